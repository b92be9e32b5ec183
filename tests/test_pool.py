"A pool against what happens to long computations: killed, written twice, out of room, read elsewhere."

import json
import os
import random
import resource
import shutil
import signal
import tempfile
import time
import warnings
from pathlib import Path

import pytest
import torch
from commands import server
from conftest import CLASSES, load_tiny
from pools import again, files

from psr_nb.core import PSRError, content_hash, read_json, to_json
from psr_nb.pool import Pool, shard_damage

PATIENCE = 300  # seconds, for a machine that is busy with other things


def _child(folder, path, ready, moment):
    "Samples. With `moment`, kills itself at that write: with half of the bytes written, before the flush, or before the rename."
    prior, teachers = load_tiny(folder)
    if moment:
        countdown, kind = iter(range(moment[0], -1, -1)), moment[1]

        def deadly(original, last_deed=lambda *args: None):
            def call(*args):
                if next(countdown) == 0:
                    last_deed(*args)
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*args)

            return call

        write_bytes = Path.write_bytes
        if kind == 'half':
            Path.write_bytes = deadly(write_bytes, lambda p, data: write_bytes(p, data[: len(data) // 2]))
        else:
            setattr(os, kind, deadly(getattr(os, kind)))
    ready.set()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        Pool.sample(prior, teachers, n_per_class=100, path=path, shard_size=10, progress=False)


@pytest.mark.slow
def test_killed_twenty_times(tiny_prior, tiny_models, tmp_path):
    "kill -9 at random moments, writes among them, then one undisturbed run: the pool of a run never disturbed."
    rng, path = random.Random(0), tmp_path / 'p'
    undisturbed, _ = again(tiny_models, tmp_path / 'undisturbed', n=100, shard_size=10)
    shards = []
    for i in range(20):
        moment = (rng.randrange(4), rng.choice(['fsync', 'replace', 'half'])) if i % 2 else None
        ready = server.Event()
        child = server.Process(target=_child, args=(tiny_prior, path, ready, moment))
        child.start()
        assert ready.wait(PATIENCE)
        if moment is None:
            seen = len(list(path.glob('shards/*.safetensors')))
            time.sleep(rng.random() * 0.03)
            deadline = time.monotonic() + PATIENCE
            while (
                i % 4 == 0
                and child.is_alive()
                and len(list(path.glob('shards/*.safetensors'))) <= seen
                and time.monotonic() < deadline
            ):
                time.sleep(0.001)  # some runs must get somewhere, on a slow machine too
            time.sleep(rng.random() * 0.02)
            os.kill(child.pid, signal.SIGKILL)
        child.join(PATIENCE)
        assert child.exitcode == -signal.SIGKILL
        shards.append(len(list(path.glob('shards/*.safetensors'))))
        assert all(
            not shard_damage(p) for p in path.glob('shards/*.safetensors')
        )  # never half a shard under its final name
    assert 0 < shards[-1] < 30 and len(set(shards)) > 5, shards
    pool, said = again(tiny_models, path, n=100, shard_size=10)
    assert not said and pool.fingerprint == undisturbed.fingerprint
    assert not [p for p in path.rglob('.*.tmp')]
    assert set(files(path)) == set(files(undisturbed.path))


def _writer(folder, path, n, wait, out):
    prior, teachers = load_tiny(folder)
    try:
        out.put(
            Pool.sample(prior, teachers, n_per_class=n, path=path, shard_size=10, progress=False, wait=wait).fingerprint
        )
    except PSRError as e:
        out.put(e.args[0])


@pytest.mark.slow
def test_two_writers(tiny_prior, tiny_pool, tmp_path):
    out = server.Queue()
    both = [server.Process(target=_writer, args=(tiny_prior, tmp_path / 'p', 50, None, out)) for _ in range(2)]
    for p in both:
        p.start()
    assert {out.get(timeout=PATIENCE) for _ in both} == {tiny_pool.fingerprint}
    for p in both:
        p.join(PATIENCE)
    assert (
        Pool.open(tmp_path / 'p', verify=True).fingerprint == tiny_pool.fingerprint
        and len(list((tmp_path / 'p' / 'shards').iterdir())) == 15
    )


@pytest.mark.slow
def test_second_writer_that_does_not_wait(tiny_models, tmp_path):
    prior, teachers = tiny_models
    steps = Pool.sample_steps(prior, teachers, n_per_class=20, path=tmp_path / 'p', shard_size=10)
    step = next(steps)
    assert (step.step, step.total, step.label, step.block) == (1, 6, 0, 0) and step.images.shape == (10, 1, 32, 32)
    with pytest.raises(PSRError, match='another|sampling into it'):
        Pool.sample(prior, teachers, n_per_class=20, path=tmp_path / 'p', wait=0, progress=False)
    steps.close()
    assert Pool.sample(prior, teachers, n_per_class=20, path=tmp_path / 'p', wait=0, progress=False).n_per_class == 20


def _full(folder, path, limit, out):
    prior, teachers = load_tiny(folder)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        out.put(Pool.sample(prior, teachers, n_per_class=20, path=path, shard_size=10, progress=False).fingerprint)
    except PSRError as e:
        out.put(e.args[0])


@pytest.mark.slow
def test_full_disk(tiny_prior, tiny_models, tiny_pool, tmp_path):
    out = server.Queue()
    child = server.Process(target=_full, args=(tiny_prior, tmp_path / 'p', 8192, out))
    child.start()
    assert 'room on the disk' in out.get(timeout=PATIENCE)
    child.join(PATIENCE)
    assert not list((tmp_path / 'p' / 'shards').iterdir()) and not list(tmp_path.rglob('.*.tmp'))
    assert again(tiny_models, tmp_path / 'p', n=50, shard_size=10)[0].fingerprint == tiny_pool.fingerprint


def _stranger(path, out):
    "As a user who may read the pool and not write it."
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        Pool.open(path).extend(60, *load_stub())
    except PSRError as e:
        out.put(e.args[0])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        pool = Pool.open(path)
        pool.add_scores({'mine': torch.arange(len(pool)) / len(pool)})
        cached = [pool.cache('x', lambda: torch.rand(3)) for _ in range(2)]
    out.put(
        (
            pool._read_table()[0].keys() | pool._unsaved_scores.keys(),
            torch.equal(*cached),
            [str(w.message) for w in said],
        )
    )


def load_stub():
    "The least that `extend` asks of a prior before it writes."

    class Stub:
        classes, name, weights_hash, defaults, device, decode = CLASSES, 'stub', '0', {}, 'cpu', None

    return Stub(), ()


@pytest.mark.slow
def test_read_only_pool(tiny_pool):
    with tempfile.TemporaryDirectory() as shared:  # pytest's own folders are closed to others
        os.chmod(shared, 0o755)
        path = Path(shutil.copytree(tiny_pool.path, Path(shared) / 'pool'))
        for p in (path, *path.rglob('*')):
            p.chmod(0o555 if p.is_dir() else 0o444)
        before, out = files(path), server.Queue()
        child = server.Process(target=_stranger, args=(path, out))
        child.start()
        assert 'a folder that can be written to' in out.get(timeout=PATIENCE)
        columns, same, said = out.get(timeout=PATIENCE)
        child.join(PATIENCE)
        for p in (path, *path.rglob('*')):
            p.chmod(0o755)
        assert (
            'mine' in columns
            and same
            and len(said) == 2
            and all('in memory only' in s for s in said)
            and files(path) == before
        )


@pytest.mark.slow
def test_path_that_cannot_be_a_folder(tiny_models, tmp_path):
    (tmp_path / 'file').write_text('')
    for path in (tmp_path / 'file', tmp_path / 'file' / 'pool', Path('/proc/nowhere/pool')):
        with pytest.raises(PSRError, match=str(path)):
            again(tiny_models, path)
    assert (tmp_path / 'file').read_text() == ''


@pytest.mark.slow
def test_a_pool_larger_than_memory_opens_at_once(tiny_pool, tmp_path):
    "Sparse shards, together larger than this machine's memory: opening reads none, indexing keeps only the rows asked for."
    memory, candidate = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'), 10**7
    blocks = 2 * memory // (10 * candidate) // 3 + 1
    info = read_json(tiny_pool.path / 'pool.json')
    (tmp_path / 'p' / 'shards').mkdir(parents=True)
    header = json.dumps(
        {'images': {'dtype': 'U8', 'shape': [10, 1, candidate, 1], 'data_offsets': [0, 10 * candidate]}}
    ).encode()
    head = len(header).to_bytes(8, 'little') + header
    digest = content_hash(head + bytes(10 * candidate))[:16]
    written = {f'{label},{block}': digest for label in range(3) for block in range(blocks)}
    (tmp_path / 'p' / 'pool.json').write_text(to_json({**info, 'n_per_class': 10 * blocks, 'shards': written}))
    for label in range(3):
        for block in range(blocks):
            with open(tmp_path / 'p' / 'shards' / f'c{label:04d}-b{block:04d}-{digest}.safetensors', 'wb') as f:
                f.write(head)
                try:
                    f.truncate(8 + len(header) + 10 * candidate)
                except OSError:
                    pytest.skip('this file system has no sparse files of this size')
    rss = lambda: int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')
    before = rss()
    pool = Pool.open(tmp_path / 'p')
    assert sum(p.stat().st_size for p in pool.files.values()) > memory
    assert rss() - before < 2e7
    assert pool.images.shape == (30 * blocks, 1, candidate, 1) and rss() - before < 2e7
    assert pool.images[[0, len(pool) - 1]].sum() == 0 and rss() - before < 20 * candidate


def test_what_a_pool_shows_is_escaped(tiny_pool):
    page = tiny_pool._repr_html_()
    assert 'bag &amp; &lt;b&gt;more' in page and '<b>' not in page and 'data:image/png;base64' in page
    assert (
        repr(tiny_pool)
        == 'Pool pool: 3 classes × 50 candidates from ' + tiny_pool.config['prior']['name'] + ', seed 0, teachers a, b'
    )
