"""Whatever happens to a long command, the command again gives the result of a run that nobody disturbed.

One round of each kind in the ordinary tests; `make faults` makes hundreds, over all commands (PSR_KILLS says how many,
PSR_KILLS_SEED which) and counts them in nbs/benchmarks/faults.json.
"""

import os
import random
import shutil
import time
from collections import Counter

import pytest
from faulty import COMMANDS, KINDS, Round, make_home, record, rounds, run

ROUNDS = int(os.environ.get('PSR_KILLS', 0))
SEED = int(os.environ.get('PSR_KILLS_SEED', 0))
SHORT = {'kill -9': 'worth', 'full disk': 'pool', 'read-only disk': 'select', 'two writers': 'pool'}
SHORT |= {'dates of files': 'evaluate', 'damaged file': 'pool'}


@pytest.fixture(scope='module')
def home(tmp_path_factory, tiny_prior):
    "A folder with models, real images, a pool, a selection and a set."
    return make_home(tmp_path_factory.mktemp('home'), tiny_prior)


@pytest.fixture(scope='module')
def calm(home, tmp_path_factory):
    "Command -> hash of an undisturbed run, its seconds, the bytes that it writes."
    known = {}

    def of(name: str) -> tuple[str, float, int]:
        if name not in known:
            work = tmp_path_factory.mktemp('calm') / 'home'
            shutil.copytree(home, work)
            began = time.perf_counter()
            code, said = run(COMMANDS[name].words, work)
            seconds = time.perf_counter() - began
            assert code == 0, said
            sizes = [
                sum(-(-p.stat().st_size // 4096) * 4096 for p in f.rglob('*') if p.is_file()) for f in (work, home)
            ]
            known[name] = COMMANDS[name].result(work), seconds, sizes[0] - sizes[1]
        return known[name]

    return of


def undergo(name: str, kind: str, home, calm, work, seed: object) -> Counter:
    "Disturbs a command in a copy of the home, runs it once more, and compares."
    right, seconds, written = calm(name)
    shutil.copytree(home, work)
    counts = KINDS[kind](Round(name, work, seconds, written, random.Random(f'{seed}')))
    code, said = run(COMMANDS[name].words, work)
    assert code == 0, f'{name}, {kind}, {seed}: {said}'
    assert COMMANDS[name].result(work) == right, f'{name}, {kind}, {seed}'
    shutil.rmtree(work)
    record('commands', name, kind, counts + Counter(['rounds']))
    return counts


@pytest.mark.slow
@pytest.mark.parametrize('kind', SHORT)
def test_a_disturbed_command_can_be_run_again(home, calm, tmp_path, kind):
    assert undergo(SHORT[kind], kind, home, calm, tmp_path / 'work', SEED)


@pytest.mark.skipif(not ROUNDS, reason='hundreds of rounds: make faults')
def test_at_length(home, calm, tmp_path):
    problems, counts = [], Counter()
    for i, (name, kind) in enumerate(rounds(ROUNDS, SEED)):
        try:
            counts += undergo(name, kind, home, calm, tmp_path / f'{i}', f'{SEED}/{i}')
        except AssertionError as e:
            problems.append(f'{name}, {kind}, round {i} of seed {SEED}: {e}')
            print(problems[-1], flush=True)
            record('commands', name, kind, Counter(['rounds', 'wrong']))
    print(dict(counts))
    assert not problems, '\n'.join(problems)
