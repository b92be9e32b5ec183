"""Damaged files of every kind: the right result, or one sentence of the project's own.

Each case copies the files of one subject, damages one of them by a seeded mutation, and reads.
300 cases run by default; `PSR_FUZZ=5000 pytest tests/test_fuzz.py` runs the long form and prints what came of them.
`PSR_FUZZ_FIRST` is the number of the first, for a long form in pieces.
"""

import copy
import io
import json
import os
import pickle
import random
import resource
import shutil
import tarfile
import time
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from faulty import ROW, make_teacher, record
from PIL import Image

from psr_nb.core import PSRError
from psr_nb.data import load_data
from psr_nb.decisions import Decisions
from psr_nb.describe import describe
from psr_nb.distilled import DistilledSet
from psr_nb.pool import Pool
from psr_nb.prior import Prior
from psr_nb.results import Report
from psr_nb.select import Selection, select
from psr_nb.teacher import Teacher

CASES, FIRST = (int(os.environ.get(name, n)) for name, n in (('PSR_FUZZ', 300), ('PSR_FUZZ_FIRST', 0)))
SECONDS, MEMORY = 10, 2 * 2**30


# ---- subjects: a folder, and how it is read


def pictures(n: int = 8) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 255, (n, 12, 12, 3), np.uint8))


def encoded(image: np.ndarray, kind: str = 'png') -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def make_folders(folder: Path) -> Path:
    kinds = ('png', 'jpeg', 'bmp', 'gif', 'tiff', 'webp', 'ppm', 'jpeg2000')
    for i, (image, kind) in enumerate(zip(pictures(), kinds)):
        place = folder / ('cat' if i % 2 else 'dog')
        place.mkdir(parents=True, exist_ok=True)
        (place / f'{i}.{kind.replace("jpeg2000", "jp2")}').write_bytes(encoded(image, kind))
    return folder


def make_table(folder: Path) -> Path:
    folder.mkdir()
    for i, image in enumerate(pictures()):
        (folder / f'{i}.png').write_bytes(encoded(image))
    rows = [dict(file_name=f'{i}.png', label=('cat', 'dog')[i % 2]) for i in range(8)]
    pd.DataFrame(rows).to_csv(folder / 'labels.csv', index=False)
    return folder


def make_parquet(folder: Path) -> Path:
    folder.mkdir()
    rows = [dict(image=dict(bytes=encoded(x), path=None), label=i % 2) for i, x in enumerate(pictures())]
    pd.DataFrame(rows).to_parquet(folder / 'train.parquet')
    return folder


def make_npz(folder: Path) -> Path:
    folder.mkdir()
    x, y = np.stack(pictures()), np.arange(8)[:, None] % 2
    np.savez_compressed(folder / 'set.npz', train_images=x, train_labels=y, test_images=x[:4], test_labels=y[:4])
    return folder / 'set.npz'


def make_cifar(folder: Path) -> Path:
    folder.mkdir()
    data = np.random.default_rng(0).integers(0, 255, (6, 3072), np.uint8)
    for name in ('data_batch_1', 'test_batch'):
        (folder / name).write_bytes(pickle.dumps({b'data': data, b'labels': [0, 1] * 3}))
    (folder / 'batches.meta').write_bytes(pickle.dumps({'label_names': ['cat', 'dog']}))
    return folder


def make_idx(folder: Path) -> Path:
    folder.mkdir()
    x, y = np.stack(pictures())[..., 0], np.arange(8, dtype=np.uint8) % 2
    for part in ('train', 't10k'):
        (folder / f'{part}-images-idx3-ubyte').write_bytes(
            bytes([0, 0, 8, 3]) + np.array(x.shape, '>i4').tobytes() + x.tobytes()
        )
        (folder / f'{part}-labels-idx1-ubyte').write_bytes(
            bytes([0, 0, 8, 1]) + np.array(8, '>i4').tobytes() + y.tobytes()
        )
    return folder


def make_tar(folder: Path) -> Path:
    folder.mkdir()
    with tarfile.open(folder / 'train-000000.tar', 'w') as archive:
        for i, image in enumerate(pictures()):
            for name, data in ((f'{i:04d}.png', encoded(image)), (f'{i:04d}.cls', str(i % 2).encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return folder


def make_zip(folder: Path) -> Path:
    folder.mkdir()
    with zipfile.ZipFile(folder / 'photos.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        for i, image in enumerate(pictures()):
            archive.writestr(f'photos/{"cat" if i % 2 else "dog"}/{i}.png', encoded(image))
    return folder / 'photos.zip'


def read_data(path: Path) -> torch.Tensor:
    describe(path)
    return load_data(path).images


def read_pool(path: Path) -> torch.Tensor:
    pool = Pool.open(path)
    chosen = select(pool, 2)
    assert len(pool.table) == len(pool)
    return chosen.images


def read_selection(path: Path) -> torch.Tensor:
    return Selection.open(path / 's.json').images


def read_set(path: Path) -> torch.Tensor:
    made = DistilledSet.open(path)
    made._repr_html_()
    return made.images


def read_results(path: Path) -> str:
    report = Report.open(path / 'r.json')
    report._repr_html_()
    return ''


def read_prior(path: Path) -> torch.Tensor:
    prior = Prior.from_pretrained(path, device='cpu')
    with torch.no_grad():
        return prior.decode(prior.sample([0], num_inference_steps=1))


def read_teacher(path: Path) -> torch.Tensor:
    return Teacher.from_pretrained(path, device='cpu').predict(torch.zeros(1, 1, 32, 32, dtype=torch.uint8))[0]


@pytest.fixture(scope='session')
def subjects(tmp_path_factory, tiny_prior, tiny_models, tiny_pool):
    "Name -> (folder, what is read of it, reader, whether a hash vouches for its pixels)."
    home = tmp_path_factory.mktemp('subjects')
    found = {}
    for make in (make_folders, make_table, make_parquet, make_npz, make_cifar, make_idx, make_tar, make_zip):
        name = make.__name__.removeprefix('make_')
        inner = make(home / name)
        found[name] = home / name, inner.relative_to(home), read_data, False
    pool = Path(shutil.copytree(tiny_pool.path, home / 'pool'))
    small = Pool.open(pool)
    small.add_scores({'mine': np.linspace(0, 1, len(small))})
    (home / 'chosen').mkdir()
    chosen = select(Pool.open(pool), 2)
    chosen.save(home / 'chosen' / 's.json')
    made = DistilledSet.from_selection(chosen)
    made.save(home / 'set')
    (home / 'results').mkdir()
    (home / 'results' / 'r.json').write_text(json.dumps([ROW, {**ROW, 'seed': 1}]))
    (home / 'decisions').mkdir()
    Decisions(pins=((0, 1),)).save(home / 'decisions' / 'd.json')
    shutil.copytree(tiny_prior, home / 'prior')
    make_teacher(tiny_models[1][0].model, list(tiny_models[1][0].classes), home / 'teacher')
    found |= {
        'pool': (pool, 'pool', read_pool, True),
        'selection': (home / 'chosen', 'chosen', read_selection, True),
        'distilled set': (home / 'set', 'set', read_set, True),
        'results': (home / 'results', 'results', read_results, False),
        'decisions': (home / 'decisions', 'decisions', lambda p: Decisions.open(p / 'd.json').method, False),
        'prior': (home / 'prior', 'prior', read_prior, False),
        'teacher': (home / 'teacher', 'teacher', read_teacher, False),
    }
    return home, found


# ---- mutations


def other_json(data: bytes, rng: random.Random) -> bytes:
    "One entry of a JSON file of another type or value."
    try:
        content = json.loads(data)
    except ValueError:
        return data[::-1]
    places, stack = [], [content]
    while stack:
        node = stack.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
        for key in keys:
            places.append((node, key))
            stack.append(node[key])
    if not places:
        return b'null'
    node, key = rng.choice(places)
    if rng.random() < 0.2 and isinstance(node, dict):
        del node[key]
    else:
        node[key] = copy.deepcopy(
            rng.choice([None, 'x', '', -1, 0, 10**30, 0.5, [], {}, True, [None], {'a': 1}, '../..', '\0'])
        )
    return json.dumps(content).encode()


def damaged(data: bytes, kind: str, rng: random.Random) -> bytes:
    at = rng.randrange(max(1, len(data)))
    if kind == 'flip':
        changed = bytearray(data)
        for _ in range(rng.choice((1, 3, 20))):
            if changed:
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    if kind == 'head':
        changed = bytearray(data)
        for i in range(min(len(changed), 64)):
            if rng.random() < 0.2:
                changed[i] = rng.choice((0, 255, 127, rng.randrange(256)))
        return bytes(changed)
    if kind == 'cut':
        return data[:at]
    if kind == 'hole':
        return data[:at] + bytes(min(64, len(data) - at)) + data[at + 64 :]
    if kind == 'insert':
        return data[:at] + rng.randbytes(rng.choice((1, 7, 300))) + data[at:]
    if kind == 'swap':
        return data[at:] + data[:at]
    return b'' if kind == 'empty' else rng.randbytes(len(data))


def mutate(folder: Path, rng: random.Random) -> str:
    "Damages one file of a folder; says which and how."
    files = sorted(p for p in folder.rglob('*') if p.is_file() and '.lock' not in p.name)
    kinds = ['flip', 'head', 'cut', 'hole', 'insert', 'swap', 'empty', 'noise', 'gone', 'folder']
    texts = [p for p in files if p.suffix == '.json']
    file = rng.choice(texts) if texts and rng.random() < 0.5 else rng.choice(files)
    kind = rng.choice([*kinds, 'json', 'json', 'json', 'json'] if file.suffix == '.json' else kinds)
    data = file.read_bytes()
    file.unlink()
    if kind == 'folder':
        file.mkdir()
    elif kind != 'gone':
        file.write_bytes(other_json(data, rng) if kind == 'json' else damaged(data, kind, rng))
    return f'{file.relative_to(folder)}: {kind}'


# ---- what must come of it


def outcome(read, path: Path, expected, vouched: bool) -> str:
    "'right', 'changed', 'refused'; otherwise what went wrong."
    began = time.process_time()
    try:
        found = read(path)
        same = torch.equal(found, expected) if isinstance(found, torch.Tensor) else found == expected
        result = 'right' if same else 'CHANGED though a hash vouches for it' if vouched else 'changed'
    except PSRError:
        result = 'refused'
    except Exception as e:
        result = f'FOREIGN {type(e).__name__}: {str(e)[:100]}'
    if time.process_time() - began > SECONDS:
        result = f'SLOW after {result}'
    return result


@pytest.mark.slow
def test_damaged_files_are_read_rightly_or_refused(subjects, tmp_path):
    home, found = subjects
    rights = {name: read(home / inner) for name, (_, inner, read, _) in found.items()}
    counts: dict[str, dict[str, int]] = {}
    faults, before = [], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    warnings.simplefilter('ignore')
    only = os.environ.get('PSR_FUZZ_ONLY')
    for case in range(FIRST, FIRST + CASES):
        rng = random.Random(case)
        name = only or list(found)[case % len(found)]
        folder, inner, read, vouched = found[name]
        place = tmp_path / f'{case}'
        shutil.copytree(folder, place / folder.name)
        if name == 'selection':
            shutil.copytree(home / 'pool', place / 'pool')
        what = mutate(place / folder.name, rng)
        result = outcome(read, place / inner, rights[name], vouched)
        shutil.rmtree(place)
        row = counts.setdefault(name, {})
        row[result.split()[0]] = row.get(result.split()[0], 0) + 1
        record('files', name, 'damaged', Counter([result.split()[0]]))
        if result.split()[0].isupper():
            faults.append(f'case {case}, {name}, {what}: {result}')
            print(faults[-1], flush=True)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    print(pd.DataFrame(counts).fillna(0).astype(int).T.to_string())
    print(f'{CASES} cases, memory grew by {grown / 2**20:.0f} MiB')
    assert not faults, '\n'.join(faults)
    assert grown < MEMORY
