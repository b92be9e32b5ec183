"Random problems and pools of noise: what the tests of selection share."

import warnings
from types import SimpleNamespace

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st

from psr_nb.data import ImageData
from psr_nb.select import (
    ImagePool,
    Prepared,
    Problem,
    similarity,
    unit_rows,
)

quick = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 10_000)


def features(seed, n, d=6):
    return unit_rows(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)))


def random_similarity(seed, n, q):
    return similarity(features(seed, n), features(seed + 1, q))


def prepared(seed=0, classes=3, n=30, q=25, pool_only=False):
    "Random features and scores of a few classes."
    g = np.random.default_rng(seed)
    difficulty = g.random(q)
    problems = [
        Problem(
            c,
            f'class {c}',
            features(seed + 10 * c, n),
            None if pool_only else features(seed + 10 * c + 5, q),
            g.random(n),
            g.random(n),
            np.where(g.random(n) < 0.7, c, (c + 1) % classes),
            lambda: difficulty,
        )
        for c in range(classes)
    ]
    return Prepared(
        SimpleNamespace(classes=[p.name for p in problems], n_per_class=n),
        problems,
        dict(space='random', reference=None),
        torch.device('cpu'),
    )


def quiet(f):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return f()


class Judge:
    "A teacher that reads the answer from the first pixel, and is wrong about every tenth image."

    name, classes = 'judge', ['a', 'b']

    def predict(self, images, batch_size=512):
        value = images[:, 0, 0, 0].long()
        seen = (value % 2) ^ (value % 10 == 0).long()
        return torch.nn.functional.one_hot(seen, 2).float() * 3 + value[:, None] / 999, images.flatten(1).float()[:, :4]


def pool_of(n=40, seed=0, teacher=True):
    g = torch.Generator().manual_seed(seed)
    images, labels = (
        torch.randint(256, (2 * n, 1, 8, 8), generator=g, dtype=torch.uint8),
        torch.arange(2).repeat_interleave(n),
    )
    images[:, 0, 0, 0] = (torch.arange(2 * n) % n * 2 + labels).to(torch.uint8)
    data = ImageData(images, labels, ['a', 'b'], 'noise')
    return ImagePool(data, teachers=[Judge()] if teacher else []), data
