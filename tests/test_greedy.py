"The rules of choice and the greedy loop: what must hold on any instance, whatever the numbers."

import itertools
import math

import numpy as np
import pytest
import torch
from choices import features, quick, random_similarity, seeds
from hypothesis import given
from hypothesis import strategies as st

from psr_nb.select import (
    Coverage,
    LogDet,
    MeanMatch,
    coverage_in_lockstep,
    facility_location,
    first_best,
    greedy,
    objective,
    plan,
    similarity,
    unit_rows,
)


@quick
@given(seeds, st.integers(3, 12), st.integers(1, 15), st.floats(0, 2), st.floats(0, 2))
def test_objective_is_monotone_and_submodular(seed, n, q, w_d, w_b):
    g, k = np.random.default_rng(seed), random_similarity(seed, n, q)
    bonus = w_b * g.random(n) / 50
    order = g.permutation(n)
    i, large = order[0], order[1 : 1 + g.integers(1, n)]
    small = large[: g.integers(0, len(large) + 1)]
    F = lambda s: objective(k, s, bonus, w_d)
    gain_small, gain_large = F([*small, i]) - F(small), F([*large, i]) - F(large)
    assert gain_large >= -1e-6 and gain_small >= gain_large - 1e-6


@quick
@given(seeds, st.integers(4, 9), st.integers(1, 4), st.integers(1, 12))
def test_greedy_is_within_the_guarantee(seed, n, k, q):
    sims, bonus = random_similarity(seed, n, q), np.random.default_rng(seed).random(n) / 50
    best = max(objective(sims, s, bonus) for s in itertools.combinations(range(n), k))
    assert objective(sims, greedy(Coverage(sims), k, bonus=bonus)[0], bonus) >= (1 - 1 / math.e) * best


@quick
@given(seeds, st.integers(2, 40), st.integers(1, 60), st.integers(1, 9))
def test_incremental_gains_are_the_definition(seed, n, q, block):
    sims, term, chosen = random_similarity(seed, n, q), Coverage(random_similarity(seed, n, q), block=block), []
    for i in np.random.default_rng(seed).permutation(n)[:8]:
        want = np.array([objective(sims, [*chosen, j]) for j in range(n)]) - objective(sims, chosen)
        np.testing.assert_allclose(term.gains(), want, atol=2e-7)
        gain = term.add(int(i))
        chosen.append(int(i))
        assert gain == pytest.approx(want[i], abs=2e-7)


@quick
@given(seeds)
def test_objective_does_not_depend_on_the_numbering(seed):
    sims = random_similarity(seed, 30, 40)
    shuffle = np.random.default_rng(seed).permutation(30)
    a, b = greedy(Coverage(sims), 8)[0], greedy(Coverage(np.ascontiguousarray(sims[:, shuffle])), 8)[0]
    assert objective(sims, a) == pytest.approx(objective(sims, shuffle[b]), rel=1e-6)
    assert objective(sims, a) == objective(sims, a[::-1])


@quick
@given(seeds, st.integers(1, 4))
def test_ties_go_to_the_lowest_number(seed, copies):
    sims = random_similarity(seed, 12, 20)
    order = greedy(Coverage(sims), 6)[0]
    assert greedy(Coverage(np.tile(sims, copies)), 6)[0].tolist() == order.tolist()
    noise = 1 + 1e-7 * np.random.default_rng(seed).standard_normal(12 * copies)
    assert first_best(np.full(12 * copies, 0.3) * noise) == 0


@quick
@given(seeds, st.integers(1, 4), st.integers(3, 25), st.integers(1, 30), st.booleans())
def test_lockstep_equals_the_loop(seed, classes, n, q, constrained):
    g = np.random.default_rng(seed)
    sims = np.stack([random_similarity(seed + c, n, q) for c in range(classes)])
    bonus = g.random((classes, n)) / 50
    k, allowed, forced = min(n, 7), None, None
    if constrained:
        plans = [
            plan(n, k, g.random(n) < 0.5, g.random(n), pins=g.permutation(n)[:2] if k > 1 else ())
            for _ in range(classes)
        ]
        allowed, forced = (np.stack([p[i] for p in plans]) for i in (0, 1))
    as_tensor = lambda a: None if a is None else torch.from_numpy(a)
    orders, gained = coverage_in_lockstep(
        torch.from_numpy(sims), k, 1.0, as_tensor(bonus), as_tensor(allowed), as_tensor(forced)
    )
    for c in range(classes):
        order, gains = greedy(
            Coverage(sims[c]),
            k,
            1.0,
            bonus[c],
            None if allowed is None else allowed[c],
            None if forced is None else forced[c],
        )
        assert orders[c].tolist() == order.tolist()
        np.testing.assert_allclose(gained[c], gains, atol=1e-6)


@pytest.mark.parametrize('name', ['apricot', 'submodlib'])
def test_same_objective_as(name):
    "facility_location against two published implementations, given the same similarities."
    x = torch.relu(features(3, 200, 32) + 0.1)
    k = similarity(unit_rows(x), unit_rows(x)).astype(np.float64)
    order, gains = facility_location(x, 15)
    if name == 'apricot':
        theirs = pytest.importorskip('apricot').FacilityLocationSelection(15, metric='precomputed').fit(k).ranking
    else:
        f = pytest.importorskip('submodlib').FacilityLocationFunction(n=200, mode='dense', sijs=k, separate_rep=False)
        theirs = [i for i, _ in f.maximize(budget=15, optimizer='NaiveGreedy', show_progress=False)]
    assert k[:, order].max(1).sum() == pytest.approx(k[:, list(theirs)].max(1).sum(), rel=1e-6)
    assert gains.sum() == pytest.approx(k[:, order].max(1).sum(), rel=1e-6)


def test_log_det_is_the_determinant():
    k = similarity(features(0, 20, 30), features(0, 20, 30))
    order, gains = greedy(LogDet(k), 6)
    assert gains.sum() == pytest.approx(np.linalg.slogdet(k[np.ix_(order, order)].astype(float))[1], abs=1e-3)
    twins = np.tile(k, (2, 2))
    assert len({i % 20 for i in greedy(LogDet(twins), 12)[0].tolist()}) == 12  # a twin adds no volume


def test_mean_match_lowers_the_distance():
    x, y = features(1, 60), features(2, 50)
    k, target = similarity(x, x), similarity(x, y).mean(0)
    mmd = lambda s: k[np.ix_(s, s)].mean() - 2 * target[s].mean()
    order = greedy(MeanMatch(k, target), 10)[0]
    assert mmd(order) < min(mmd(np.random.default_rng(s).permutation(60)[:10]) for s in range(100))
