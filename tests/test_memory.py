"""Memory that stages need: at most twice as much for twice the candidates, and no more after a thousand turns.

Each measurement is a process of its own: the most that it holds, less what it holds before the stage begins.
"""

import json
import os
import resource
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import server
from conftest import CLASSES, load_tiny
from faulty import record

MIB = 2**20


def held() -> int:
    "Bytes in memory now."
    return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()


def most() -> int:
    "The most that there were at once."
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def large_pool(folder: Path, like: Path, n: int, shape=(1, 32, 32), size: int = 500):
    "A pool of so many candidates per class, of random numbers."

    from psr_nb.core import read_json, to_json
    from psr_nb.pool import Pool
    from psr_nb.shards import pack_arrays, pool_identity, shard_name

    (folder / 'shards').mkdir(parents=True)
    info = read_json(like / 'pool.json')
    info['config'] |= dict(shard_size=size)
    info |= dict(n_per_class=n, n_wanted=n, shards={}, identity=pool_identity(info['config']))
    (folder / 'pool.json').write_text(to_json(info))
    draw = torch.Generator().manual_seed(0)
    for label in range(3):
        for block in range(n // size):
            features = torch.randn(size, 64, generator=draw)
            about = {'identity': info['identity'], 'class': label, 'block': block}
            arrays = {'latents': torch.zeros(size, 4, 8, 8).half()}
            for i in range(2):
                arrays |= {f'logits.{i}': features[:, :3].clone(), f'features.{i}': features.half()}
            images = torch.randint(0, 255, (size, *shape), dtype=torch.uint8, generator=draw)
            data, digest = pack_arrays({'images': images, **arrays}, about)
            (folder / 'shards' / shard_name(label, block, digest)).write_bytes(data)
    return Pool.open(folder)


# ---- stages, each with the number of candidates per class


def sampling(home: str, prior: str, n: int) -> None:
    from psr_nb.pool import Pool

    model, teachers = load_tiny(prior)
    Pool.sample(model, teachers, n, path=Path(home) / 'sampled', shard_size=5, progress=False)


def selecting(home: str, prior: str, n: int) -> None:
    from psr_nb.pool import Pool
    from psr_nb.select import select

    select(Pool.open(Path(home) / f'pool-{n}'), 10, space='teacher', gate=False)


def exploring(home: str, prior: str, n: int) -> None:
    from psr_nb.explorer import PoolExplorer
    from psr_nb.pool import Pool

    PoolExplorer(Pool.open(Path(home) / f'pool-{n}'), space='teacher', map='pca', keep=False)


def measuring(home: str, prior: str, n: int) -> None:
    from psr_nb.images import ImageData
    from psr_nb.pool import Pool
    from psr_nb.worth import measure_worth

    pool = Pool.open(Path(home) / f'pool-{n}')
    real = ImageData(pool.images[:300].clone(), torch.arange(300) % 3, list(pool.classes), 'real')
    for _ in measure_worth(pool, real, 1, 16, student='convnet1', trials=64, device='cpu'):
        pass


def evaluating(home: str, prior: str, n: int) -> None:
    from psr_nb.evaluate import evaluate
    from psr_nb.images import ImageData

    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (3 * n, 1, 32, 32), dtype=torch.uint8, generator=draw)
    made = ImageData(images, torch.arange(3 * n) % 3, ['a', 'b', 'c'], 'made')
    test = ImageData(images.flip(0)[:600], torch.arange(600) % 3, ['a', 'b', 'c'], 'test')
    evaluate(made, test, students=['convnet1'], seeds=1, epochs=1, progress=False, allow_overlap=True)


STAGES = {'pool': sampling, 'select': selecting, 'explorer': exploring, 'worth': measuring, 'evaluate': evaluating}
# From 10,000 candidates of a class some rules compare them with two thousand drawn ones: so once below, once above.
SIZES = [('pool', 100), ('select', 5000), ('select', 12_000), ('explorer', 12_000), ('worth', 500), ('evaluate', 1000)]


def _peak(file: str, stage, *arguments) -> None:
    torch.set_num_threads(1)
    before = held()
    stage(*arguments)
    Path(file).write_text(json.dumps(most() - before))


def child(file: Path, what, *arguments):
    "What a function in a process of its own writes into a file."
    process = server.Process(target=what, args=(str(file), *arguments))
    process.start()
    process.join(600)
    assert process.exitcode == 0
    return json.loads(file.read_text())


at_length = pytest.mark.skipif('PSR_FAULTS' not in os.environ, reason='some minutes: make faults')


@at_length
@pytest.mark.parametrize('name, n', SIZES)
def test_memory_grows_with_the_candidates_at_most(tiny_pool, tiny_prior, tmp_path, name, n):
    stage, peaks = STAGES[name], []
    for size in (n, 2 * n):
        home = tmp_path / f'{size}'
        if name in ('select', 'explorer', 'worth'):
            large_pool(home / f'pool-{size}', tiny_pool.path, size)
        home.mkdir(exist_ok=True)
        peaks.append(child(tmp_path / 'peak.json', _peak, stage, str(home), str(tiny_prior), size))
        record('memory', name, f'{size} candidates per class', Counter(MiB=round(peaks[-1] / MIB)))
        shutil.rmtree(home)
    assert peaks[1] < 2.2 * peaks[0] + 30 * MIB


# ---- a thousand times


def _selections(file: str, pool: str) -> None:
    from psr_nb.pool import Pool
    from psr_nb.select import prepare

    torch.set_num_threads(1)
    prepared = prepare(Pool.open(pool), space='teacher')
    sizes = []
    for i in range(1000):
        prepared.select(1 + i % 5, 'psr')
        if i in (200, 999):
            sizes.append(held())
    Path(file).write_text(json.dumps(sizes))


def _refinement(file: str, pool: str, prior: str) -> None:
    from psr_nb.pool import Pool
    from psr_nb.refine import refine
    from psr_nb.select import select

    model, teachers = load_tiny(prior)
    start = select(Pool.open(pool), 1, 'first')
    sizes, options = [], dict(student=0, distribution_matching=0, soft_label=1.0, target='own')
    for step in refine(start, model, teachers[0], None, steps=1000, **options):
        if step.step in (200, 1000):
            sizes.append(held())
    Path(file).write_text(json.dumps(sizes))


@pytest.mark.slow
def test_a_thousand_selections_leave_nothing(tiny_pool, tmp_path):
    early, late = child(tmp_path / 'sizes.json', _selections, str(tiny_pool.path))
    record('memory', 'a thousand selections', 'growth after 200', Counter(KiB=round((late - early) / 1024)))
    assert late - early < 8 * MIB


@at_length
def test_a_thousand_steps_of_refinement_leave_nothing(tiny_pool, tiny_prior, tmp_path):
    early, late = child(tmp_path / 'sizes.json', _refinement, str(tiny_pool.path), str(tiny_prior))
    record('memory', 'a thousand steps of refinement', 'growth after 200', Counter(KiB=round((late - early) / 1024)))
    assert late - early < 8 * MIB


# ---- a pool larger than the memory there is


class Grey:
    "A prior whose images are large and made in no time."

    def __init__(self, classes: list[str]):
        from psr_nb.prior import SAMPLER

        self.name, self.weights_hash, self.device, self.defaults = 'grey', 'grey', torch.device('cpu'), dict(SAMPLER)
        self.classes = classes

    def sample(self, labels, generators, **_):
        return torch.stack([torch.randn(4, 8, 8, generator=g) for g in generators])

    def decode(self, latents):
        return (latents[:, :1, :1, :1] / 4 + 0.5).clamp(0, 1).expand(-1, 1, 1024, 1024)


def _limited(file: str, prior: str, folder: str, n: int, room: int) -> None:
    from psr_nb.pool import Pool
    from psr_nb.score import score
    from psr_nb.select import select

    torch.set_num_threads(1)
    _, teachers = load_tiny(prior)
    here = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here + room, here + room))
    pool = Pool.sample(Grey(CLASSES), teachers[:1], n, path=folder, shard_size=5, progress=False)
    score(pool)
    chosen = select(pool, 2, space='teacher', gate=False)
    assert len(chosen.images) == 6
    with pytest.raises((MemoryError, RuntimeError)):
        np.ones(room, np.uint8)  # the limit is one
    Path(file).write_text(json.dumps(sum(p.stat().st_size for p in pool.files.values())))


@at_length
def test_a_pool_ten_times_larger_than_memory_is_sampled_scored_and_selected(tiny_prior, tmp_path):
    room = 192 * MIB
    total = child(tmp_path / 'bytes.json', _limited, str(tiny_prior), str(tmp_path / 'pool'), 660, room)
    shutil.rmtree(tmp_path / 'pool')
    record(
        'memory',
        'a pool under a limit',
        'sample, score and select',
        Counter({'limit MiB': room // MIB, 'pool MiB': total // MIB}),
    )
    assert total > 10 * room
