"A pool in a store is the pool on the disk: the same bytes, the same commands; and a store that is slow or fails."

import os
import threading
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from commands import psr, worked
from fsspec.implementations.memory import MemoryFileSystem
from pools import files

from psr_nb import locks
from psr_nb.core import PSRError, as_path, atomic_folder, write_atomic
from psr_nb.data import load_data
from psr_nb.distilled import DistilledSet
from psr_nb.formats import write_parquet
from psr_nb.pool import Pool
from psr_nb.score import score
from psr_nb.select import Selection, select
from psr_nb.stages import explorer_notebook

# ---- stores


@pytest.fixture(scope='session')
def s3():
    "An object store that speaks S3, in a thread of this process; a bucket of it."
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer('127.0.0.1', 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dict(
            AWS_ENDPOINT_URL=f'http://{host}:{port}',
            AWS_ACCESS_KEY_ID='nobody',
            AWS_SECRET_ACCESS_KEY='nothing',
            AWS_DEFAULT_REGION='us-east-1',
            AWS_MAX_ATTEMPTS='1',
        ).items():
            patch.setenv(name, value)
        boto3.client('s3').create_bucket(Bucket='bucket')
        yield 's3://bucket'
    server.stop()


class Line:
    "The line to `memory://`: it takes its time, and now and then it is dead."

    def __init__(self, patch):
        self.seconds, self.dead, self.calls, self.fetched = 0.0, set(), 0, []  # dead: in which calls
        for name in ('pipe_file', 'cat_file', 'ls', '_open'):
            patch.setattr(MemoryFileSystem, name, self.over(getattr(MemoryFileSystem, name)))

    def over(self, call):
        def slow(*args, **more):
            time.sleep(self.seconds)
            self.calls += 1
            if self.calls in self.dead:
                raise OSError('the line is dead')
            answer = call(*args, **more)
            if call.__name__ == 'cat_file':
                self.fetched.append(len(answer))
            return answer

        return slow


@pytest.fixture
def line(monkeypatch):
    return Line(monkeypatch)


@pytest.fixture
def memory(tmp_path):
    return f'memory://{tmp_path.name}/pool'


@pytest.fixture
def place(request, tmp_path):
    "An empty place of each kind."
    if request.param == 's3':
        return f'{request.getfixturevalue("s3")}/{tmp_path.name}/pool'
    return {'memory': f'memory://{tmp_path.name}/pool', 'file': f'file://{tmp_path}/pool'}[request.param]


everywhere = pytest.mark.parametrize(
    'place', ['memory', 'file', pytest.param('s3', marks=pytest.mark.slow)], indirect=True
)


def sampled(tiny_models, path, n=20, **options):
    prior, teachers = tiny_models
    return Pool.sample(prior, teachers, n, path=path, shard_size=10, progress=False, **options)


def stored(path):
    "Name in the folder -> content."
    folder = as_path(path)
    found = [p for p in folder.rglob('*') if p.is_file() and not p.name.startswith('.')]
    return {str(p).removeprefix(str(folder)).lstrip('/'): p.read_bytes() for p in found}


# ---- the same pool everywhere


@everywhere
def test_a_pool_in_a_store_has_the_same_files(tiny_models, tmp_path, place):
    here = sampled(tiny_models, tmp_path / 'here')
    there = sampled(tiny_models, place, 10)
    there = sampled(tiny_models, place)  # goes on
    score(here)
    score(there)
    assert there.fingerprint == here.fingerprint == Pool.open(place, verify=True).fingerprint
    chosen = select(there, 3)
    assert chosen.key == select(here, 3).key
    saved = chosen.save(as_path(place) / 'selections')
    opened = Selection.open(str(saved))
    assert opened.key == chosen.key and (opened.images == chosen.images).all()
    select(here, 3).save(tmp_path / 'here' / 'selections')
    ours, theirs = files(tmp_path / 'here'), stored(place)
    assert ours.keys() == theirs.keys()
    for name in ours:
        if name not in ('pool.json', 'candidates.parquet'):  # this one was extended
            assert ours[name] == theirs[name], name
    assert not [p for p in as_path(place).rglob('*') if p.name == '.writer']


@everywhere
def test_a_damaged_or_missing_shard_is_found_and_made_again(tiny_models, tiny_pool, place):
    pool = sampled(tiny_models, place, 50)
    file = pool.files[1, 2]
    data = bytearray(file.read_bytes())
    data[-5] ^= 4
    file.write_bytes(bytes(data))
    pool.files[0, 0].unlink()
    with pytest.raises(PSRError, match='missing'):
        Pool.open(place)
    with pytest.warns(UserWarning, match='altered|missing'):
        assert sampled(tiny_models, place, 50).fingerprint == tiny_pool.fingerprint


@pytest.mark.slow
def test_the_commands_take_urls(s3, tmp_path):
    url = f'{s3}/commands/pool'
    few = (
        '--prior',
        'fashion',
        '--num-inference-steps',
        '2',
        '--n-per-class',
        '4',
        '--class',
        'Bag',
        '--class',
        'Coat',
    )
    made = worked('pool', *few, '--teacher', 'none', '--out', url)
    assert Pool.open(url).fingerprint in made.stdout
    file = worked('select', url, '--ipc', '2', '--method', 'k_center').stdout.splitlines()[-1]
    assert file.startswith(f'{url}/selections/')
    assert len(DistilledSet.from_selection(Selection.open(file))) == 4
    explorer_notebook(url, out=tmp_path / 'page.ipynb')
    assert f"Pool.open('{url}')" in (tmp_path / 'page.ipynb').read_text()
    refused = psr('distill', '--out', f'{s3}/commands/set')
    assert refused.returncode and 'expected a folder on a disk' in ' '.join(refused.stderr.split())


# ---- reading


def test_of_a_shard_only_the_rows_are_fetched(tiny_models, line, memory):
    sampled(tiny_models, memory)
    pool = Pool.open(memory)
    line.fetched.clear()
    one = pool.images[3]
    assert line.fetched[-1] == one.numel() and sum(line.fetched) <= 2 * 4096 + one.numel()
    assert (pool.images[[3, 13, 33]][0] == one).all()


def test_shards_are_read_side_by_side(tiny_models, line, memory, monkeypatch):
    pool, busy, most = sampled(tiny_models, memory), [], []
    meeting = threading.Barrier(3, timeout=20)
    rows_of = type(pool.images).rows_of

    def meets(self, file, rows):
        if rows != slice(0, 0) and not busy:
            meeting.wait()  # passes only where three are under way at once
            most.append(file)
        return rows_of(self, file, rows)

    expected = pool.images[:]
    monkeypatch.setattr(type(pool.images), 'rows_of', meets)
    assert (pool.images[:] == expected).all() and len(most) == 6


# ---- writers


def test_a_second_writer_waits_and_a_dead_one_is_replaced(tiny_models, monkeypatch, line, memory):
    monkeypatch.setattr(locks, '_SILENCE', 0.3)
    prior, teachers = tiny_models
    first = Pool.sample_steps(prior, teachers, 20, path=memory, shard_size=10)
    next(first)
    with pytest.raises(PSRError, match='no other writer'):
        next(Pool.sample_steps(prior, teachers, 20, path=memory, shard_size=10, wait=0))
    first.close()
    (as_path(memory) / '.writer').write_text('a machine 1 that is gone')
    assert len(sampled(tiny_models, memory)) == 60


def test_two_writers_end_in_one_pool(tiny_models, tiny_pool, monkeypatch, line, memory):
    monkeypatch.setattr(locks, '_SILENCE', 1.0)
    line.seconds = 0.001
    made, threads = [], []
    for _ in range(2):
        threads.append(threading.Thread(target=lambda: made.append(sampled(tiny_models, memory, 50).fingerprint)))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert made == [tiny_pool.fingerprint] * 2


def test_score_columns_of_two_writers_are_both_kept(tiny_models, line, memory, monkeypatch):
    monkeypatch.setattr(locks, '_SILENCE', 1.0)
    line.seconds = 0.002
    sampled(tiny_models, memory)
    pools = [Pool.open(memory) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda p=p, i=i: p.add_scores({f'mine{i}': np.full(60, float(i))}))
        for i, p in enumerate(pools)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    table = Pool.open(memory).table
    assert [table[f'mine{i}'].mean() for i in range(4)] == [0, 1, 2, 3]


# ---- a store that fails


@pytest.mark.parametrize('seed', range(3))
def test_a_store_that_fails_now_and_then_loses_nothing(tiny_models, tiny_pool, monkeypatch, line, memory, seed):
    monkeypatch.setattr(locks, '_SILENCE', 0.05)
    line.dead = set(range(5 + seed, 400, 11))  # calls that fail; some are those of the lock, which tries again
    refused = 0
    shards = lambda: [n for n in MemoryFileSystem.store if n.endswith('.safetensors')]
    for _ in range(100):
        before = len(shards())
        try:
            sampled(tiny_models, memory, 50, verify=False)
            break
        except PSRError as e:
            assert 'the line is dead' in str(e)
            refused += 1
        assert len(shards()) >= before
    else:
        pytest.fail('it never got through')
    line.dead = set()
    assert refused and Pool.open(memory).fingerprint == tiny_pool.fingerprint


def test_errors_of_stores_are_sentences(tiny_models, s3, monkeypatch):
    with pytest.raises(PSRError, match=r'nowhere/pool.*a pool'):
        Pool.open('s3://nowhere/pool')
    with pytest.raises(PSRError, match='bucket does not exist'):
        sampled(tiny_models, 's3://nowhere/pool')
    with pytest.raises(PSRError, match='address of a store'):
        as_path('nothing://x')
    with pytest.raises(PSRError, match='on a disk'), atomic_folder(f'{s3}/set'):
        pass
    monkeypatch.setitem(__import__('sys').modules, 'gcsfs', None)
    with pytest.raises(PSRError, match='pip install gcsfs'):
        as_path('gs://bucket/pool')
    monkeypatch.setenv('AWS_ENDPOINT_URL', 'http://127.0.0.1:9')
    fsspec.get_filesystem_class('s3').clear_instance_cache()
    with pytest.raises(PSRError, match='store that answers'):
        Pool.open(f'{s3}/pool')
    fsspec.get_filesystem_class('s3').clear_instance_cache()


def test_an_interrupted_put_leaves_what_was_there(line, memory):
    file = as_path(memory) / 'a.json'
    write_atomic(file, 'old')
    line.dead = range(10**6)
    with pytest.raises(PSRError, match='writing memory://.*/pool/a.json'):
        write_atomic(file, 'new')
    line.dead = set()
    assert file.read_text() == 'old'
    with pytest.raises(RuntimeError):
        write_atomic(file, lambda p: (_ for _ in ()).throw(RuntimeError('in the middle')))
    assert file.read_text() == 'old'


def test_a_path_made_of_a_url_is_the_url(tmp_path):
    assert str(as_path(Path('memory://a/b'))) == str(as_path('memory://a/b')) == 'memory://a/b'
    assert as_path(f'file://{tmp_path}') == tmp_path == as_path(Path(f'file://{tmp_path}'))
    assert as_path(as_path('memory://a')) == as_path('memory://a')
    assert isinstance(as_path('a:/b'), Path) and isinstance(as_path('s3:/b'), Path)
    assert os.fspath(as_path(tmp_path)) == str(tmp_path)


def test_a_colon_in_a_folder_is_no_address(tiny_models, tmp_path, monkeypatch):
    "pyarrow takes a relative path such as s3:run/pool for an address."
    prior, (teacher, _) = tiny_models
    monkeypatch.chdir(tmp_path)
    place = Path('s3:run')
    pool = Pool.sample(prior, [teacher], 2, path=place / 'pool', progress=False)
    assert len(Pool.open(place / 'pool').table) == len(pool)
    made = DistilledSet.from_selection(select(pool, 1, 'first'))
    made.save(place / 'set')
    write_parquet(made, place / 'set.parquet')
    assert torch.equal(DistilledSet.open(place / 'set').images, made.images)
    assert torch.equal(load_data(place / 'set.parquet').images, made.images)
