"The same pool, selection, worth and set, whatever it is made with: threads, processes, sizes of shards, hash seeds."

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import server
from conftest import load_tiny
from faulty import digest

TESTS = Path(__file__).parent


def made(prior: str, folder: str, threads: int, shard_size: int) -> dict[str, str]:
    "What comes of the stages: a hash of each."
    from psr_nb.distilled import DistilledSet
    from psr_nb.images import ImageData
    from psr_nb.pool import Pool
    from psr_nb.protocols import PROTOCOLS
    from psr_nb.score import score
    from psr_nb.select import select
    from psr_nb.worth import measure_worth

    model, teachers = load_tiny(prior)
    torch.set_num_threads(threads)
    pool = Pool.sample(model, teachers, 12, path=folder, shard_size=shard_size, progress=False)
    score(pool)
    chosen = select(pool, 3, seed=1)
    images = pool.images[:].clone()
    real = ImageData(images.flip(0), pool.labels.flip(0), list(pool.classes), 'real')
    brief = replace(PROTOCOLS['quick'], epochs=((math.inf, 3),))
    options = dict(protocol=brief, trials=100, student='convnet1', generation=8, device='cpu')
    *_, step = measure_worth(pool, real, 1, 16, **options)
    whole = DistilledSet.from_selection(chosen)
    return dict(
        pool=pool.fingerprint,
        selection=digest(np.stack(chosen.ids).tobytes()),
        worth=digest(step.worth.values.astype(np.float32).tobytes()),
        set=digest(whole.images.numpy().tobytes(), whole.labels.numpy().tobytes()),
    )


def _child(file: str, *options) -> None:
    Path(file).write_text(json.dumps(made(*options)))


@pytest.fixture(scope='module')
def expected(tiny_prior, tmp_path_factory):
    return made(tiny_prior, str(tmp_path_factory.mktemp('here') / 'pool'), 1, 12)


@pytest.mark.slow
@pytest.mark.parametrize('threads, shard_size', [(2, 12), (3, 1)])
def test_threads_and_sizes_of_shards(tiny_prior, tmp_path, expected, threads, shard_size):
    "Down to one candidate in a shard, which alone would be multiplied by another kernel, whose last digits differ."
    file = tmp_path / 'made.json'
    process = server.Process(target=_child, args=(file, tiny_prior, str(tmp_path / 'pool'), threads, shard_size))
    process.start()
    process.join(300)
    assert json.loads(file.read_text()) == expected


@pytest.mark.slow
def test_the_seed_of_hashes(tiny_prior, tmp_path, expected):
    code = f'import test_determinism as t; print(t.json.dumps(t.made({str(tiny_prior)!r}, {str(tmp_path / "p")!r}, 1, 12)))'
    environment = {**os.environ, 'PYTHONHASHSEED': '12345', 'PYTHONPATH': f'{TESTS}:{TESTS.parent}'}
    done = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[-1]) == expected, done.stderr[-2000:]
