"A disk that is full in the middle of a picture, and a run that ended in the middle of a grid's pool."

import os
import resource
import shutil

import pytest
import torch
from commands import worked_here

from psr_nb import sets as sets_room
from psr_nb.bench import Bench, parse_grid, run_bench
from psr_nb.core import PSRError
from psr_nb.distilled import DistilledSet
from psr_nb.formats import write_image_folder, write_rded, write_sheet
from psr_nb.pool import Pool
from psr_nb.prior import Prior
from psr_nb.select import select

GRID = dict(data='fashion-mini', prior='fashion', seeds=1, ipc=[1], epochs=1, n_per_class=2, students=['convnet1'])


def limited(call, size: int) -> str:
    "What a call says in a process whose files may not be larger; empty: nothing."
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        try:
            call()
        except PSRError as e:
            os.write(write, f'{e}'.encode())
        except BaseException as e:
            os.write(write, f'traceback {e!r}'.encode())
        os._exit(0)
    os.close(write)
    said = os.read(read, 10_000).decode()
    os.waitpid(pid, 0)
    return said


@pytest.mark.parametrize('write', [write_rded, write_image_folder, write_sheet, lambda s, out: s.save(out)])
@pytest.mark.parametrize('size', [1, 60])
def test_no_picture_is_cut_short(tmp_path, write, size):
    images = torch.randint(256, (4, 1, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    made = DistilledSet(images, torch.arange(4) % 2, ['cat', 'dog'])
    said = limited(lambda: write(made, tmp_path / 'out'), size)
    assert 'room on the disk' in said and not list(tmp_path.iterdir())


@pytest.fixture
def grid(tmp_path, monkeypatch):
    "A small grid with a pool, and how often the pool was begun."
    made = Bench.begin(parse_grid(GRID | dict(methods=['random'])), tmp_path / 'grid')
    usual, begun = sets_room.make_pool, []
    monkeypatch.setattr(
        sets_room,
        'make_pool',
        lambda *args, **more: (begun.append(1), usual(*args, **more, sampling=dict(num_inference_steps=2)))[1],
    )
    return made, begun


def test_a_pool_that_was_not_finished_is_gone_on_with(grid):
    made, begun = grid
    assert not [s.error for s in run_bench(made) if s.error] and len(begun) == 1
    shard = sorted((made.path / 'pools' / '0' / 'shards').glob('c*.safetensors'))[3]
    shard.unlink()
    shutil.rmtree(made.path / 'cells')
    again = Bench.open(made.path)
    assert not [s.error for s in run_bench(again) if s.error] and len(begun) == 2
    assert shard.is_file() and len(Pool.open(made.path / 'pools' / '0')) == 20


def test_a_full_disk_is_no_fault_of_a_method(grid, monkeypatch):
    made, _ = grid
    usual = sets_room.make_pool

    def full(*args, **more):
        raise PSRError('writing pools/0', 'room on the disk', 'none left')

    monkeypatch.setattr(sets_room, 'make_pool', full)
    with pytest.raises(PSRError, match='room on the disk'):
        list(run_bench(made))
    monkeypatch.setattr(sets_room, 'make_pool', usual)
    assert not [s.error for s in run_bench(Bench.open(made.path)) if s.error]


def test_real_images_are_taken_by_the_names_of_their_classes(tmp_path):
    "A pool of two classes, in another order than the images'."
    prior = Prior.from_pretrained('fashion', device='cpu', classes=['Bag', 'Coat'])
    pool = Pool.sample(prior, n_per_class=1, path=tmp_path / 'pool', num_inference_steps=2, progress=False)
    chosen = select(pool, 1, 'first').save(tmp_path / 'chosen.json')
    brief = ['--steps', 1, '--student', 0, '--distribution-matching', 1, '-q']
    worked_here('refine', chosen, '--data', 'fashion-mini', *brief, '--out', tmp_path / 'refined')
    assert DistilledSet.open(tmp_path / 'refined').classes == ['Bag', 'Coat']
