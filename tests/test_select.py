"Selection as a whole: budgets, curves, and arguments that cannot be."

import itertools

import numpy as np
import pytest
import torch
from choices import pool_of, prepared, quick, quiet
from hypothesis import assume, given
from hypothesis import strategies as st

from psr_nb.core import PSRError
from psr_nb.select import (
    allocate,
    gain_curve,
    saturated,
    select,
)


@quick
@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1, max_size=3), st.integers(0, 8))
def test_allocation_is_optimal(gains, extra):
    gains = [np.sort(g)[::-1] for g in gains]
    total = len(gains) + extra
    assume(total <= sum(map(len, gains)))
    counts = allocate(gains, total)
    value = lambda n: sum(g[:m].sum() for g, m in zip(gains, n))
    best = max(value(n) for n in itertools.product(*[range(1, len(g) + 1) for g in gains]) if sum(n) == total)
    assert counts.sum() == total and value(counts) == pytest.approx(best)


def test_total_budget():
    ready = prepared()
    s = quiet(lambda: ready.select(budget=20, pins=[(0, i) for i in range(4)]))
    assert (
        sum(s.counts) == len(s) == 20
        and min(s.counts) >= 1
        and s.counts[0] >= 4
        and s.ids[0][:4].tolist() == [0, 1, 2, 3]
    )
    assert len(s.positions) == len(s.labels) == 20
    for bad in (2, 1000):
        with pytest.raises(PSRError, match='argument budget'):
            ready.select(budget=bad)


def test_gain_curve_ends_at_the_selection():
    ready = prepared()
    sizes, values = gain_curve(ready, 6, gate=False)
    np.testing.assert_allclose(
        values[-1], ready.select(6, 'psr_coverage', gate=False).metrics(1)['coverage'], rtol=1e-6
    )
    assert sizes.tolist() == [7, 15, 30] and saturated(values, 1.0).all()
    with pytest.raises(PSRError, match='sizes'):
        gain_curve(ready, 6, sizes=[3, 30])


@pytest.mark.parametrize(
    'arguments, says',
    [
        (dict(ipc=41), 'at most 40'),
        (dict(ipc=0), 'argument ipc'),
        (dict(ipc=2.5), 'argument ipc'),
        (dict(method='facility'), 'facility_location'),
        (dict(space='pixel'), "'pixels'"),
        (dict(pins=[(0, 1)], bans=[(0, 1)]), 'both'),
        (dict(pins=[(0, 99)]), '0 to 39'),
        (dict(pins=[(7, 1)]), 'class from 0 to 1'),
        (dict(pins=[3]), 'a pair'),
        (dict(bans=[('c', 1)]), 'class of a ban'),
        (dict(ipc=2, pins=[(1, i) for i in range(3)]), 'at most 2'),
        (dict(ipc=39, bans=[(0, 0), (0, 1)]), 'without the 2 banned'),
        (dict(quantile=1.0), 'quantile'),
        (dict(teacher='nobody'), 'judge'),
        (dict(method='difficulty_matched'), 'Pass reference='),
        (dict(uncertainty='entorpy'), "'entropy'"),
        (dict(space='latent'), 'prior'),
    ],
)
def test_bad_arguments_are_named(arguments, says):
    with pytest.raises(PSRError, match=says):
        select(pool_of()[0], **{'ipc': 5, 'space': 'pixels', **arguments})


@pytest.mark.parametrize('method', ['psr', 'random', 'facility_location'])
@pytest.mark.parametrize('real', [False, True])
def test_some_classes_at_a_time_give_the_same_selection(tiny_copy, method, real, monkeypatch):
    "And no more of them are in memory, which is why a pool of a thousand classes can be selected from."
    import weakref

    from psr_nb import problems
    from psr_nb.data import ImageData
    from psr_nb.pool import Pool
    from psr_nb.select import Prepared, select

    pool = Pool.open(tiny_copy)
    images = torch.randint(0, 256, (24, *pool.images.shape[1:]), dtype=torch.uint8)
    reference = ImageData(images, torch.arange(24) % 3, list(pool.classes)) if real else None
    options = dict(pins=[(1, 3)], bans=[(2, 0), (0, 1)], seed=4, reference=reference)
    whole = select(pool, 4, method, **options)
    alive, most, choose, make = weakref.WeakSet(), [], Prepared.select, problems._problem
    monkeypatch.setattr(problems, '_problem', lambda *a: (alive.add(made := make(*a)), made)[1])
    monkeypatch.setattr(Prepared, 'select', lambda self, *a, **k: (most.append(len(alive)), choose(self, *a, **k))[1])
    for at_once in (1, 2):
        part = select(pool, 4, method, at_once=at_once, **options)
        assert [ids.tolist() for ids in part.ids] == [ids.tolist() for ids in whole.ids]
        assert part.config == whole.config and part.notes == whole.notes and part.weights == whole.weights
        for a, b in zip(part.gains, whole.gains):
            assert a.keys() == b.keys() and all(np.allclose(a[k], b[k], atol=1e-5) for k in a)
    assert most[:3] == [1, 1, 1] or max(most[:3]) <= 2  # the one before may still be there
    with pytest.raises(PSRError, match='no budget for all classes together'):
        select(pool, budget=9, at_once=1)
