"""kill -9 at any instant of a long command, then the command again: the result of a run that nobody disturbed.

One round in the ordinary tests; `make faults` makes hundreds (PSR_KILLS says how many, PSR_KILLS_SEED which).
"""

import hashlib
import json
import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
from commands import psr, server, worked

ROUNDS = int(os.environ.get('PSR_KILLS', 1))
SEED = int(os.environ.get('PSR_KILLS_SEED', 0))
FEW = ('--prior', 'fashion', '--num-inference-steps', '4', '--n-per-class', '3')


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b''.join(parts)).hexdigest()[:16]


def of_pool(folder: Path) -> str:
    from psr_nb.pool import Pool

    pool = Pool.open(folder)
    columns = [c for c in pool.table.columns if c != 'class']
    return digest(pool.fingerprint.encode(), pool.table[columns].to_numpy(float).tobytes())


def of_set(folder: Path) -> str:
    from psr_nb.distilled import DistilledSet

    made = DistilledSet.open(folder)
    assert made.soft_labels is not None
    return digest(made.images.numpy().tobytes(), made.soft_labels.numpy().tobytes())


def of_rows(file: Path) -> str:
    rows = [{k: v for k, v in row.items() if 'seconds' not in k} for row in json.loads(file.read_text())]
    return digest(json.dumps(sorted(rows, key=lambda r: r['seed']), sort_keys=True).encode())


# command -> (arguments, what it leaves, hash of that); made in a folder that holds `pool` and `set`
COMMANDS = {
    'pool': (
        ['pool', *FEW, '--teacher', 'fashion/a', '--out', 'more'],
        ('more',),
        lambda home: of_pool(home / 'more'),
    ),
    'worth': (
        ['worth', 'pool', '--data', 'fashion-mini', '--ipc', '1', '--students', '16'],
        ('pool/worth',),
        lambda home: of_pool(home / 'pool'),
    ),
    'evaluate': (
        ['evaluate', 'set', '--data', 'fashion-mini', '--seeds', '2', '--out', 'rows.json'],
        ('rows.json',),
        lambda home: of_rows(home / 'rows.json'),
    ),
    'distill': (
        ['distill', *FEW, '--data', 'fashion-mini', '--ipc', '1', '--steps', '2', '--map', 'pca', '--out', 'new'],
        ('new', 'new-pool'),
        lambda home: of_set(home / 'new') + of_pool(home / 'new-pool'),
    ),
}


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    "A folder with a small pool and a small set."
    home = tmp_path_factory.mktemp('kills')
    worked(
        *('distill', *FEW, '--data', 'fashion-mini', '--ipc', '1', '--no-refine', '--map', 'none'),
        *('--pool', home / 'pool', '--out', home / 'set'),
    )
    return home


def undisturbed(name: str, home: Path, copy: Path) -> tuple[str, float]:
    "Hash and seconds of a run that nobody kills."
    shutil.copytree(home, copy)
    arguments, _, hashed = COMMANDS[name]
    began = time.perf_counter()
    worked(*inside(arguments, copy))
    return hashed(copy), time.perf_counter() - began


def inside(arguments: list[str], folder: Path) -> list[str]:
    "The arguments with their paths in a folder."
    paths = {'pool', 'set', 'new', 'more', 'rows.json'}
    return [str(folder / a) if a in paths and i else a for i, a in enumerate(arguments)]


def killed(arguments: list[str], after: float, folder: Path) -> bool:
    "Runs a command and kills it after so many seconds; whether it was still running."
    from commands import _command

    process = server.Process(target=_command, args=(arguments, str(folder), os.getcwd(), {**os.environ}))
    process.start()
    process.join(after)
    alive = process.exitcode is None
    process.kill()
    process.join()
    return alive


@pytest.mark.slow
def test_killed_at_any_instant(home, tmp_path):
    g, expected, counts = random.Random(SEED), {}, Counter()
    for i in range(ROUNDS):
        name = list(COMMANDS)[(i + SEED) % len(COMMANDS)]
        arguments, _, hashed = COMMANDS[name]
        if name not in expected:
            expected[name] = undisturbed(name, home, tmp_path / f'calm-{name}')
        right, seconds = expected[name]
        work = tmp_path / f'round-{i}'
        shutil.copytree(home, work)
        words = inside(arguments, work)
        times = g.randint(1, 3)
        for _ in range(times):
            counts['killed' if killed(words, g.uniform(0.05, 1.1) * seconds, work) else 'too late'] += 1
        end = psr(*words)
        assert end.returncode == 0, f'{name}, round {i}: {end.stdout}{end.stderr}'
        assert hashed(work) == right, f'{name}, round {i}, seed {SEED}'
        counts[name] += 1
        shutil.rmtree(work)
    print(dict(counts))
