"""Files and folders at the worst moment: killed, damaged, of another kind, written by two."""

import json
import multiprocessing
import os
import shutil
import signal
import stat
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from faulty import ROW
from safetensors.torch import save_file

from psr_nb import core
from psr_nb.core import PSRError, atomic_folder, read_json, write_atomic
from psr_nb.distill import writable
from psr_nb.distilled import DistilledSet
from psr_nb.pool import Pool
from psr_nb.results import Report
from psr_nb.select import Selection, select
from psr_nb.stages import add_rows

# ---- writing


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='kills a forked process')
@pytest.mark.parametrize('call', ['rename', 'rmtree'])
def test_a_folder_is_replaced_in_one_step(tmp_path, call):
    "A kill before or after any step of the replacement leaves the old folder or the new one, whole."

    def replace_and_die(before):
        place = dict(rename=(core, '_exchange'), rmtree=(shutil, 'rmtree'))[call]
        real = getattr(*place)

        def dies(*args, **more):
            if not before:
                real(*args, **more)
            os.kill(os.getpid(), signal.SIGKILL)

        with atomic_folder(tmp_path / 'set') as f:
            (f / 'x').write_text('new')
            setattr(*place, dies)

    for before in (True, False):
        with atomic_folder(tmp_path / 'set') as f:
            (f / 'x').write_text('old')
        process = multiprocessing.get_context('fork').Process(target=replace_and_die, args=(before,))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert (tmp_path / 'set' / 'x').read_text() in ('old', 'new')


def test_what_is_no_file_and_no_folder_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / 'pipe')  # or a device: /dev/null
    (tmp_path / 'file').write_text('mine')
    (tmp_path / 'folder').mkdir()
    for place in ('pipe', 'folder'):
        with pytest.raises(PSRError, match=f'{place}: expected a file, or nothing yet'):
            write_atomic(tmp_path / place, 'new')
    for place in ('pipe', 'file'):
        with (
            pytest.raises(PSRError, match=f'{place}: expected a folder, or nothing yet'),
            atomic_folder(tmp_path / place),
        ):
            pass
    assert stat.S_ISFIFO((tmp_path / 'pipe').stat().st_mode)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['file', 'folder', 'pipe']


@pytest.mark.parametrize(
    'said',
    [
        'Error while serializing: I/O error: No space left on device (os error 28)',  # safetensors
        '[enforce fail at inline_container.cc:671] . unexpected pos 960 vs 854',  # torch.save
    ],
)
def test_a_full_disk_is_said_whoever_found_it(tmp_path, said):
    def fills(path):
        raise RuntimeError(said)

    with pytest.raises(PSRError, match='a.pt: expected room on the disk'):
        write_atomic(tmp_path / 'a.pt', fills)
    with pytest.raises(PSRError, match='set: expected room on the disk'), atomic_folder(tmp_path / 'set') as folder:
        fills(folder)
    with pytest.raises(RuntimeError, match='another'), atomic_folder(tmp_path / 'set'):
        raise RuntimeError('another')
    assert not list(tmp_path.iterdir())


def test_a_link_that_leads_nowhere_is_no_place(tmp_path):
    (tmp_path / 'out').symlink_to('nowhere')
    with pytest.raises(PSRError, match='out: expected a new folder'):
        writable(tmp_path / 'out', 'config.json')


def test_files_of_another_kind_are_not_replaced(tiny_copy, tmp_path):
    "`psr select pool --out pool/pool.json` would lose the pool."
    before = (tiny_copy / 'pool.json').read_bytes()
    chosen = select(Pool.open(tiny_copy), 2, 'first')
    for write in (chosen.save, Report([]).save, lambda file: add_rows(Report([]), file)):
        with pytest.raises(PSRError, match='pool.json'):
            write(tiny_copy / 'pool.json')
    with pytest.raises(PSRError, match='expected a selection, or nothing'):
        chosen.save(Report([]).save(tmp_path / 'rows.json'))
    assert (tiny_copy / 'pool.json').read_bytes() == before
    assert chosen.save(chosen.save(tmp_path / 'chosen.json')).is_file()  # its own kind is


def test_files_of_a_newer_version_are_not_replaced(tmp_path):
    (tmp_path / 'set').mkdir()
    for name, kind in (('chosen.json', 'selection'), ('set/provenance.json', 'distilled set')):
        (tmp_path / name).write_text(json.dumps(dict(kind=kind, format=99)))
    for check in (
        lambda: Selection.check_place(tmp_path / 'chosen.json'),
        lambda: writable(tmp_path / 'set', 'provenance.json'),
    ):
        with pytest.raises(PSRError, match='expected format 1 or older, found format 99'):
            check()


def test_columns_of_others_stay_in_a_file_of_results(tmp_path):
    (tmp_path / 'rows.json').write_text(json.dumps([{**ROW, 'note': 'mine'}]))
    add_rows(Report([{**ROW, 'seed': 1}]), tmp_path / 'rows.json')
    rows = read_json(tmp_path / 'rows.json')
    assert [r.get('note') for r in rows] == ['mine', None] and [r['seed'] for r in rows] == [0, 1]


def test_temporary_files_follow_no_link_and_the_umask(tmp_path, monkeypatch):
    (tmp_path / 'mine').write_text('mine')
    (tmp_path / 'a.json').symlink_to(tmp_path / 'mine')
    old = os.umask(0o027)
    arrays = lambda file: save_file({'x': torch.zeros(1)}, file)  # a library that makes files for their owner alone
    try:
        write_atomic(tmp_path / 'a.json', 'new')
        write_atomic(tmp_path / 'b.safetensors', arrays)
        with atomic_folder(tmp_path / 'set') as new:
            (new / 'a').mkdir()
            arrays(new / 'a' / 'b.safetensors')
    finally:
        os.umask(old)
    assert (tmp_path / 'mine').read_text() == 'mine' and (tmp_path / 'a.json').read_text() == 'new'
    for name in ('a.json', 'b.safetensors', 'set/a/b.safetensors'):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / 'set').stat().st_mode) == 0o750
    monkeypatch.setattr('secrets.token_hex', lambda n: 'known')
    (tmp_path / '.b.json.known.tmp').symlink_to(tmp_path / 'mine')
    with pytest.raises(PSRError):
        write_atomic(tmp_path / 'b.json', 'new')
    assert (tmp_path / 'mine').read_text() == 'mine'


def test_rows_of_many_writers_are_all_kept(tmp_path):
    rows = [Report([{**ROW, 'seed': i}]) for i in range(20)]
    threads = [threading.Thread(target=add_rows, args=(r, tmp_path / 'r.json')) for r in rows]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(r['seed'] for r in Report.open(tmp_path / 'r.json').rows) == list(range(20))


# ---- reading


@pytest.mark.parametrize('what', ['folder', 'pipe', 'device', 'large', 'deep', 'other bytes'])
def test_only_regular_json_files_are_read(tmp_path, what):
    file = tmp_path / 'x.json'
    if what == 'folder':
        file.mkdir()
    elif what == 'pipe':
        os.mkfifo(file)
    elif what == 'device':
        file = Path('/dev/zero')
    elif what == 'large':
        with open(file, 'wb') as f:
            f.truncate(2**40)
    else:
        file.write_bytes(b'[' * 10**5 if what == 'deep' else b'\xff\xfe{}')
    for read in (read_json, Report.open, Selection.open):
        with pytest.raises(PSRError, match=file.name):
            read(file)


@pytest.mark.parametrize('column', [*ROW])
@pytest.mark.parametrize('value', [None, 'x', [], {}, True])
def test_results_of_another_type_are_refused(tmp_path, column, value):
    if isinstance(value, str) and isinstance(ROW[column], str):
        return
    (tmp_path / 'r.json').write_text(json.dumps([{**ROW, column: value}]))
    with pytest.raises(PSRError, match=column):
        Report.open(tmp_path / 'r.json')


@pytest.mark.parametrize(
    'column, value',
    [('accuracy_last', 71.0), ('accuracy_best', float('nan')), ('ipc', 0), ('seconds', -1), ('seed', 10**400)],
)
def test_results_out_of_range_are_refused(tmp_path, column, value):
    (tmp_path / 'r.json').write_text(json.dumps([{**ROW, column: value}]))
    with pytest.raises(PSRError, match=f'under {column}'):
        Report.open(tmp_path / 'r.json')


def test_a_row_that_is_there_twice_counts_once(tmp_path):
    (tmp_path / 'r.json').write_text(json.dumps([ROW, {**ROW, 'accuracy_last': 0.25}, {**ROW, 'seed': 1}]))
    assert [r['accuracy_last'] for r in Report.open(tmp_path / 'r.json').rows] == [0.25, ROW['accuracy_last']]


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 0x80
    file.write_bytes(data)


def test_no_pixel_of_a_damaged_shard_is_used(tiny_copy):
    file = Pool.open(tiny_copy).files[0, 0]
    flip(file, file.stat().st_size - 5)
    pool = Pool.open(tiny_copy)
    for use in (
        lambda: pool.images[0],
        lambda: pool.latents[0],
        lambda: pool.logits(),
        lambda: select(pool, 2, 'first').images,
    ):
        with pytest.raises(PSRError, match='altered'):
            use()
    assert pool.images[len(pool) - 1].shape == pool.images.shape[1:]  # other shards are as they were


@pytest.mark.parametrize('kind', ['pipe', 'folder', 'link'])
def test_what_is_no_shard_and_no_table(tiny_copy, kind):
    shard = Pool.open(tiny_copy).files[0, 0]
    for file in (shard, tiny_copy / 'candidates.parquet'):
        content = file.read_bytes()
        file.unlink()
        dict(pipe=os.mkfifo, folder=os.mkdir, link=lambda p: p.symlink_to('nowhere'))[kind](file)
        with pytest.raises(PSRError, match=file.name[:5]):  # a pipe would be waited for
            select(Pool.open(tiny_copy), 2, 'first').images  # noqa: B018
        file.rmdir() if kind == 'folder' else file.unlink()
        file.write_bytes(content)


def test_an_altered_table_of_scores_is_refused(tiny_copy):
    pool = Pool.open(tiny_copy)
    pool.add_scores({'mine': np.linspace(0, 1, len(pool))})
    file = tiny_copy / 'candidates.parquet'
    data = file.read_bytes()
    assert pool.table['mine'].iloc[-1] == 1
    refused = 0
    for at in range(0, len(data), 37):
        flip(file, at)
        try:
            assert np.allclose(Pool.open(tiny_copy).table['mine'], np.linspace(0, 1, len(pool)))
        except PSRError:
            refused += 1
        file.write_bytes(data)
    assert refused > len(data) // 37 // 3


# ---- numbers that are none


def test_scores_that_are_no_numbers_choose_nothing(tiny_copy):
    pool = Pool.open(tiny_copy)
    values = np.linspace(0, 1, len(pool))
    values[3] = np.nan
    pool.add_scores({'mine': values})
    with pytest.raises(PSRError, match='score column mine.*1 of'):
        select(pool, 2, reliability='mine')
    with pytest.raises(PSRError, match='finite'):
        pool.add_scores({'mine': values + np.inf})


def test_a_teacher_that_answers_nan_chooses_nothing(tiny_copy, monkeypatch):
    pool = Pool.open(tiny_copy)
    monkeypatch.setattr(Pool, 'logits', lambda self, *_: torch.full((len(self), len(self.classes)), torch.nan))
    with pytest.raises(PSRError, match='finite answer'):
        select(pool, 2)


def test_a_selection_holds_different_candidates_of_the_pool(tiny_copy, tmp_path):
    chosen = select(Pool.open(tiny_copy), 2, 'first')
    for ids in ([0, 0], [0, 10**6], [-1, 0]):
        with pytest.raises(PSRError, match='different candidates'):
            Selection(chosen.pool, [np.array(ids)] * len(chosen.ids), 'first', chosen.weights, chosen.gains, {})
    file = chosen.save(tmp_path / 's.json')
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, 'ids': [[0, 0]] * len(chosen.ids)}))
    with pytest.raises(PSRError, match='altered'):
        Selection.open(file)


def test_a_set_that_is_replaced_opens_at_each_moment(tmp_path):
    made = DistilledSet(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.arange(2), ['a', 'b'])
    made.save(tmp_path / 'set')
    stop, problems = threading.Event(), []

    def reads():
        while not stop.is_set():
            if not (tmp_path / 'set').is_dir():
                problems.append('nothing there')

    reader = threading.Thread(target=reads)
    reader.start()
    for _ in range(20):
        made.save(tmp_path / 'set')
    stop.set()
    reader.join()
    assert not problems and len(DistilledSet.open(tmp_path / 'set')) == 2
    assert [p.name for p in tmp_path.iterdir()] == ['set']
