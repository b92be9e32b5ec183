"""Commands on models and images that are as small as they can be, and what may happen to a command while it runs.

Each kind of fault runs a command in a folder of its own and disturbs it. What it returns is counted. Afterwards the same
command runs once more, undisturbed: it has to end, and its result has to be that of a run that nobody disturbed.
"""

import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from commands import PSR, _command, server
from PIL import Image

CLASSES = ['ankle boot', 'bag', 'coat']
ROW = dict(method='m', dataset='d', ipc=1, protocol='quick', student='s', labels='hard', seed=0)
ROW |= dict(accuracy_best=0.5, accuracy_last=0.5, seconds=1.0)


# ---- a home: a prior, a teacher, real images, and what the first stages leave


def make_home(home: Path, tiny_prior: Path) -> Path:
    "Everything that the commands read."
    from psr_nb.core import read_json, to_json
    from psr_nb.students import new_network

    shutil.copytree(tiny_prior, home / 'prior')
    index = read_json(home / 'prior' / 'model_index.json')
    index['id2label'] = {str(i): c for i, c in enumerate(CLASSES)}
    (home / 'prior' / 'model_index.json').write_text(to_json(index))
    for seed, name in enumerate(('teacher', 'judge')):
        make_teacher(new_network('convnet3', (1, 32, 32), 3, seed, width=4), CLASSES, home / name)
    draw = np.random.default_rng(0)
    for split, n in (('train', 12), ('test', 6)):
        for i, name in enumerate(CLASSES):
            (home / 'data' / split / name).mkdir(parents=True)
            for k in range(n):
                image = draw.integers(0, 90, (32, 32), np.uint8)
                image[8 * i : 8 * i + 12, 4:28] += 150
                Image.fromarray(image).save(home / 'data' / split / name / f'{k}.png')
    for words in (
        [*POOL, '--out', 'pool'],
        ['select', 'pool', '--ipc', '2', '--method', 'psr', '--out', 'chosen.json'],
        ['export', 'chosen.json', '--out', 'set'],
    ):
        code, said = run(words, home)
        assert code == 0, said
    return home


def make_teacher(model, classes: list[str], folder: Path) -> None:
    "A convnet3 of width 4 as timm writes it."
    from safetensors.torch import save_file

    folder.mkdir()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / 'model.safetensors')
    about = dict(architecture='convnet3', num_classes=3, label_names=classes, model_args=dict(width=4))
    about['pretrained_cfg'] = dict(mean=[0.5], std=[0.5], input_size=[1, 32, 32])
    (folder / 'config.json').write_text(json.dumps(about))


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b''.join(parts)).hexdigest()[:16]


def of_pool(folder: Path) -> str:
    from psr_nb.pool import Pool

    pool = Pool.open(folder, verify=True)
    columns = [c for c in pool.table.columns if c != 'class']
    return digest(pool.fingerprint.encode(), pool.table[columns].to_numpy(float).tobytes())


def of_selection(file: Path) -> str:
    from psr_nb.select import Selection

    return Selection.open(file).key


def of_set(folder: Path) -> str:
    from psr_nb.distilled import DistilledSet

    made = DistilledSet.open(folder)
    assert made.soft_labels is not None
    return digest(made.images.numpy().tobytes(), made.soft_labels.numpy().tobytes())


def of_rows(file: Path) -> str:
    rows = [{k: v for k, v in row.items() if 'seconds' not in k} for row in json.loads(file.read_text())]
    return digest(json.dumps(sorted(rows, key=lambda r: r['seed']), sort_keys=True).encode())


def of_weights(folder: Path) -> str:
    return digest(*(p.read_bytes() for p in sorted(folder.rglob('*.safetensors'))))


class Command(NamedTuple):
    words: list[str]
    result: Callable[[Path], str]  # home -> hash of what the command leaves


POOL = ['pool', '--prior', 'prior', '--teacher', 'teacher', '--n-per-class', '30']
REAL = ['--data', 'data', '--teacher', 'teacher']
COMMANDS = {
    'pool': Command([*POOL, '--out', 'more'], lambda home: of_pool(home / 'more')),
    'select': Command(
        ['select', 'pool', '--ipc', '3', '--data', 'data', '--out', 'new.json'],
        lambda home: of_selection(home / 'new.json'),
    ),
    'worth': Command(
        [
            'worth',
            'pool',
            '--data',
            'data',
            '--ipc',
            '1',
            '--students',
            '20',
            '--student',
            'convnet1',
            '--protocol',
            'brief',
        ],
        lambda home: of_pool(home / 'pool'),
    ),
    'refine': Command(
        ['refine', 'chosen.json', *REAL, '--judge', 'judge', '--steps', '4', '--student', '0', '--out', 'new'],
        lambda home: of_set(home / 'new'),
    ),
    'distill': Command(
        ['distill', *POOL[1:], '--data', 'data', '--ipc', '1', '--steps', '1', '--map', 'none', '--out', 'new'],
        lambda home: of_set(home / 'new') + of_pool(home / 'new-pool'),
    ),
    'evaluate': Command(
        [
            'evaluate',
            'set',
            '--data',
            'data',
            '--seeds',
            '2',
            '--students',
            'convnet1',
            '--protocol',
            'brief',
            '--out',
            'rows.json',
        ],
        lambda home: of_rows(home / 'rows.json'),
    ),
    'train-teacher': Command(
        [
            *('train-teacher', '--data', 'data', '--architecture', 'convnet1'),
            *('--epochs', '7', '--batch-size', '16', '--out', 'own-teacher'),
        ],
        lambda home: of_weights(home / 'own-teacher'),
    ),
    'train-prior': Command(
        [
            *('train-prior', '--data', 'data', '--steps', '24', '--autoencoder-steps', '8', '--batch-size', '8'),
            *('--dim', '16', '--depth', '1', '--heads', '2', '--out', 'own-prior'),
        ],
        lambda home: of_weights(home / 'own-prior'),
    ),
    'pool by Ray': Command(
        [*POOL, '--out', 'more', '--engine', 'ray', '--workers', '2'], lambda home: of_pool(home / 'more')
    ),
}


# ---- running


def _shorten() -> None:
    "Hundreds of rounds have to end within an hour: brief students, few trials, a checkpoint after every few steps."
    import dataclasses
    import functools

    from psr_nb import distill, training
    from psr_nb.protocols import PROTOCOLS

    PROTOCOLS['brief'] = dataclasses.replace(PROTOCOLS['quick'], epochs=((1e9, 6),))
    distill.measure_worth = functools.partial(distill.measure_worth, trials=100, generation=8)
    usual = training.Checkpoint.__init__
    training.Checkpoint.__init__ = lambda self, out, settings, every=5: usual(self, out, settings, min(every, 5))


def _limited(words: list[str], out: str, folder: str, environment: dict[str, str], limit: int | None) -> None:
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    _shorten()
    _command(words, out, folder, environment)


@contextlib.contextmanager
def started(words: list[str], folder: Path, limit: int | None = None) -> Iterator[tuple]:
    "A command that is running: its process, and what it has said when it is over."
    with tempfile.TemporaryDirectory() as out:
        process = server.Process(target=_limited, args=(words, out, str(folder), {**os.environ}, limit))
        process.start()
        try:
            yield process, lambda: ''.join((Path(out) / n).read_text() for n in ('stdout', 'stderr'))
        finally:
            process.kill()
            process.join()


def run(words: list[str], folder: Path, limit: int | None = None) -> tuple[int, str]:
    "Exit code of a command, and what it said."
    with started(words, folder, limit) as (process, said):
        process.join(900)
        return process.exitcode, said()


# ---- what may happen


class Round(NamedTuple):
    "One command in one folder."

    name: str
    work: Path
    seconds: float  # that it takes undisturbed
    written: int  # bytes that it writes
    draw: random.Random

    @property
    def words(self) -> list[str]:
        return COMMANDS[self.name].words


def _ended(code: int, said: str, *reasons: str) -> str:
    "How a disturbed command ended: well, or with one clear sentence."
    if code == 0:
        return 'ended'
    assert code == 1 and 'Traceback' not in said and any(r in said for r in reasons), f'exit {code}: {said[-2000:]}'
    return 'refused'


def killed(r: Round) -> Counter:
    "`kill -9` at random instants."
    counts = Counter()
    for _ in range(r.draw.randint(1, 3)):
        with started(r.words, r.work) as (process, _):
            process.join(r.draw.uniform(0.0, 1.1) * r.seconds)
            counts['killed' if process.exitcode is None else 'too late'] += 1
    return counts


def full(r: Round) -> Counter:
    "A disk with room for a part of what is written; without the right to make one, a limit on the size of files."
    room = int(r.draw.uniform(0.0, 1.2) * r.written)
    with small_disk(r.work, room) as there:
        limit = None if there else max(1, int(r.draw.uniform(0, 1) * r.written / 4))
        return Counter([_ended(*run(r.words, r.work, limit), 'room on the disk', 'No space left')])


def read_only(r: Round) -> Counter:
    "A disk that cannot be written to."
    with small_disk(r.work, 2**24) as there:
        if not there:
            return Counter(['not tried'])
        subprocess.run(['mount', '-o', 'remount,ro', r.work], check=True)
        try:
            return Counter([_ended(*run(r.words, r.work), 'can be written to', 'Read-only')])
        finally:
            subprocess.run(['mount', '-o', 'remount,rw', r.work], check=True)


@contextlib.contextmanager
def small_disk(folder: Path, room: int) -> Iterator[bool]:
    "The folder on a disk of its own with so much room left; afterwards a folder again. False: one may not mount."
    side = folder.with_name(f'{folder.name}-disk')
    side.mkdir()
    size = sum(-(-p.stat().st_size // 4096) * 4096 for p in folder.rglob('*') if p.is_file())
    size += 4096 * sum(1 for _ in folder.rglob('*'))
    mount = ['mount', '-t', 'tmpfs', '-o', f'size={max(4096, size + room)}', 'tmpfs', str(side)]
    if os.getuid() != 0 or shutil.which('mount') is None or subprocess.run(mount, capture_output=True).returncode:
        side.rmdir()
        yield False
        return
    try:
        shutil.copytree(folder, side, dirs_exist_ok=True)
        subprocess.run(['mount', '--move', side, folder], capture_output=True)
        if not os.path.ismount(folder):  # a shared mount cannot be moved
            subprocess.run(['mount', '--bind', side, folder], check=True)
        yield True
        kept = folder.with_name(f'{folder.name}-kept')
        shutil.copytree(folder, kept)
    finally:
        for place in (folder, side):
            while os.path.ismount(place):
                subprocess.run(['umount', place], check=True)
        side.rmdir()
    shutil.rmtree(folder)
    kept.rename(folder)


def two(r: Round) -> Counter:
    "The same command twice at the same time."
    with started(r.words, r.work) as (first, said), started(r.words, r.work) as (second, also):
        first.join(900)
        second.join(900)
        return Counter(
            [_ended(first.exitcode, said(), 'no other writer'), _ended(second.exitcode, also(), 'no other writer')]
        )


def clock(r: Round) -> Counter:
    "A killed run whose files are years old, or years ahead."
    counts = killed(r)
    for file in r.work.rglob('*'):
        then = time.time() + r.draw.choice((-1, 1)) * r.draw.uniform(0, 10) * 3e7
        os.utime(file, (then, then))
    return counts


def faketime(r: Round) -> Counter:
    "A clock that is years ahead or behind, in a process of its own that is killed or ends."
    words = ['faketime', '-f', r.draw.choice(('+3y', '-3y', '+1d', '-10d x50'))] if shutil.which('faketime') else None
    if words is None:
        return Counter(['not tried'])
    process = subprocess.Popen(
        [*words, *PSR, *r.words], cwd=r.work, env={**os.environ, 'NO_COLOR': '1'}, stdout=-1, stderr=-2, text=True
    )
    if r.draw.random() < 0.5:
        time.sleep(r.draw.uniform(0, 4) * r.seconds)
        process.kill()
        process.communicate()
        return Counter(['killed'])
    said, _ = process.communicate(timeout=900)
    return Counter([_ended(process.returncode, said)])


def _resumed_from(file: Path) -> bool:
    "Shards of a pool, students of a measurement, the state of a training."
    return 'shards' in file.parts or file.name.endswith('.checkpoint.pt') or file.name.startswith('students-')


def damaged(r: Round) -> Counter:
    "A killed run, and then a bit flip or a cut in one of the files that it wrote."
    before = {p for p in r.work.rglob('*')}
    counts = killed(r)
    made = sorted(p for p in r.work.rglob('*') if p.is_file() and p not in before and _resumed_from(p))
    if made:
        file = r.draw.choice(made)
        data = bytearray(file.read_bytes())
        if r.draw.random() < 0.5 or not data:
            data = data[: r.draw.randrange(len(data) + 1)]
        else:
            data[r.draw.randrange(len(data))] ^= 1 << r.draw.randrange(8)
        file.write_bytes(bytes(data))
        counts['damaged'] += 1
    return counts


def _workers(driver: int) -> list[int]:
    "The processes that make a pool's shards among those that descend from a process; Ray's own agents are left alone."
    said = subprocess.run(['ps', '-eo', 'pid=,ppid=,comm='], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in said.splitlines()]
    parent = {int(pid): int(above) for pid, above, _ in rows}

    def descends(pid: int) -> bool:
        return pid == driver or (pid in parent and descends(parent[pid]))

    return [int(pid) for pid, _, name in rows if name.startswith('ray::_Worker') and descends(int(pid))]


def worker_killed(r: Round) -> Counter:
    "One of Ray's workers is killed, again and again; the others go on and another takes its place."
    counts = Counter()
    with started(r.words, r.work) as (process, said):
        ends = time.monotonic() + 900
        while process.exitcode is None and time.monotonic() < ends:
            process.join(r.draw.uniform(0.2, 1.0) * r.seconds / 4)
            workers = _workers(process.pid)
            if workers and counts['killed'] < 3:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(r.draw.choice(workers), signal.SIGKILL)
                    counts['killed'] += 1
        return counts + Counter([_ended(process.exitcode, said(), 'a worker that survives it')])


KINDS: dict[str, Callable[[Round], Counter]] = {
    'kill -9': killed,
    'full disk': full,
    'read-only disk': read_only,
    'two writers': two,
    'dates of files': clock,
    'damaged file': damaged,
}

# Every kind comes to every command. What starts a fresh Python takes ten times as long, and comes to a few alone.
PAIRS = [(name, kind) for kind in KINDS for name in COMMANDS if name != 'pool by Ray']
SLOW = [('pool', 'clock of the process'), ('pool by Ray', 'worker killed')]
SLOW += [('distill', 'clock of the process'), ('pool by Ray', 'kill -9')]
KINDS |= {'clock of the process': faketime, 'worker killed': worker_killed}


def rounds(count: int, seed: int) -> list[tuple[str, str]]:
    "Pairs of a command and a kind: all in turn, in an order of their own, and in the end some slow ones."
    slow = count // 25
    pairs = random.Random(seed).sample(PAIRS, len(PAIRS))
    return [pairs[i % len(pairs)] for i in range(count - slow)] + [SLOW[i % len(SLOW)] for i in range(slow)]


# ---- a record


def record(part: str, name: str, kind: str, counts: Counter) -> None:
    "Adds to the file that PSR_FAULTS names, where it names one: how often what happened."
    if not (file := os.environ.get('PSR_FAULTS')):
        return
    from filelock import FileLock

    from psr_nb.core import to_json, write_atomic

    with FileLock(f'{file}.lock'):
        content = json.loads(Path(file).read_text()) if Path(file).exists() else {}
        row = content.setdefault(part, {}).setdefault(name, {}).setdefault(kind, {})
        for what, n in counts.items():
            row[what] = row.get(what, 0) + n
        write_atomic(file, to_json(content))
