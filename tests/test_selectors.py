"Every rule: its constraints hold, its orders are nested, its weights matter where they apply."

import numpy as np
import pytest
from choices import prepared, quick, quiet, seeds
from hypothesis import given
from hypothesis import strategies as st

from psr_nb.select import (
    SELECTORS,
    Weights,
)


@pytest.mark.parametrize('method', SELECTORS)
@quick
@given(seeds, st.booleans(), st.sampled_from([0.0, 0.3]))
def test_constraints_hold(method, seed, gate, quantile):
    ready, g = prepared(seed % 7), np.random.default_rng(seed)
    ids = [(int(c), int(i)) for c in range(3) for i in g.permutation(30)[:4]]
    pins, bans = ids[::2], ids[1::2]
    s = quiet(lambda: ready.select(8, method, gate=gate, quantile=quantile, pins=pins, bans=bans, seed=seed))
    again = quiet(lambda: ready.select(8, method, gate=gate, quantile=quantile, pins=pins, bans=bans, seed=seed))
    for c, chosen in enumerate(s.ids):
        mine = [i for label, i in pins if label == c]
        assert chosen.tolist() == again.ids[c].tolist() and len(set(chosen.tolist())) == 8
        assert chosen[:2].tolist() == mine and not set(chosen) & {i for label, i in bans if label == c}
        passing = ready.problems[c].agrees[chosen[2:]]
        if gate:
            assert not (np.diff(passing.astype(int)) > 0).any()  # those that fail come last, and only when none is left
        if gate and not passing.all():
            assert any(f'class {c}' in n for n in s.notes)
        assert all(len(v) == 8 for v in s.gains[c].values())


@pytest.mark.parametrize('method', [m for m in SELECTORS if SELECTORS[m].nested])
@quick
@given(seeds, st.integers(1, 29), st.booleans())
def test_orders_are_nested(method, seed, small, gate):
    ready = prepared(seed % 5)
    large = quiet(lambda: ready.select(30, method, gate=gate, seed=seed))
    part = quiet(lambda: ready.select(small, method, gate=gate, seed=seed))
    assert (
        [i.tolist() for i in part.ids]
        == [i[:small].tolist() for i in large.ids]
        == [i.tolist() for i in large.take(small).ids]
    )


def test_gains_are_the_objective():
    for weights in (Weights(), Weights(0.5, 1.0, 0.2), Weights(1.0, 0.3, -0.4, 0.5), Weights(1.0, 0.0, 0.0, 0.0)):
        s = quiet(lambda weights=weights: prepared(3).select(6, weights=weights))
        np.testing.assert_allclose(
            s.objective(), [sum(v.sum() for v in g.values()) for g in s.gains], rtol=1e-6, atol=1e-9
        )


def test_one_image_is_representative_not_merely_sure():
    ready = prepared(4)
    for p, ids in zip(ready.problems, quiet(lambda: ready.select(1, weights=Weights(reliability=0.0))).ids):
        passing = np.flatnonzero(p.agrees)
        assert ids[0] == passing[p.similarity.mean(0)[passing].argmax()]
    assert abs(p.representativeness.mean()) < 1e-9 and p.representativeness.std() == pytest.approx(1)


def test_weights_only_matter_where_they_apply():
    ready = prepared()
    assert quiet(lambda: ready.select(5, 'random', weights=Weights(1.0, 1.0, 1.0))).notes == ['random takes no weights']
    only = quiet(lambda: ready.select(5, weights=Weights(1.0, 0.0, 0.0, 0.0), gate=False))
    for p, ids in zip(ready.problems, only.ids):
        assert ids.tolist() == np.argsort(-p.reliability, kind='stable')[:5].tolist()


def test_random_order_survives_an_extension():
    a, b = prepared(n=20).select(20, 'random', seed=4).ids[1], prepared(n=30).select(30, 'random', seed=4).ids[1]
    assert [i for i in b if i < 20] == a.tolist()
