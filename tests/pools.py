"What the tests of pools share."

import warnings
from pathlib import Path

from psr_nb.pool import Pool


def again(tiny_models, path, n=50, **options):
    "Samples into an existing pool, returning it and what was warned about."
    prior, teachers = tiny_models
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        pool = Pool.sample(prior, teachers, n_per_class=n, path=path, progress=False, **options)
    return pool, [str(w.message) for w in said if w.category is UserWarning]


def files(path):
    return {
        p.relative_to(path).as_posix(): p.read_bytes()
        for p in sorted(Path(path).rglob('*'))
        if p.is_file() and p.name != '.lock'
    }


def flip(p):
    data = bytearray(p.read_bytes())
    data[len(data) // 2] ^= 4
    p.write_bytes(data)
