"What holds for any input: worth is unbiased and knows its error, comparisons are paired, orders follow the candidates."

import random

import numpy as np
import pytest
from faulty import ROW
from hypothesis import given, settings
from hypothesis import strategies as st

from psr_nb.results import Report, paired
from psr_nb.trials import Regression, balanced_sets, effects, membership


def test_worth_is_unbiased_and_its_errors_are_right():
    "A synthetic pool with known worth, measured two hundred times."
    g = np.random.default_rng(0)
    truth = g.normal(size=(2, 12))
    centred = lambda x: x - x.mean(1, keepdims=True)  # a constant cannot be told
    same, nothing = np.stack([np.eye(12)] * 2), np.zeros((2, 12))
    away, scores = [], []
    for seed in range(200):
        taken = membership(balanced_sets(12, 2, 3, 64, seed), 12)
        outcome_of = lambda worth, t=taken: np.einsum('csn,cn->sc', t, worth) + g.normal(size=(64, 2))
        mean, _ = effects(taken, outcome_of(truth), nothing, same, Regression(ridge=1e-3))
        away.append(centred(mean) - centred(truth))
        another = g.normal(size=(2, 12))  # of the variance that the ridge says
        mean, se = effects(taken, outcome_of(another), nothing, same, Regression(ridge=1.0))
        scores.append((mean - another) / se)
    spread = np.std(away, 0) / np.sqrt(200)
    assert np.abs(np.mean(away, 0) / spread).max() < 4  # 24 of them
    assert 0.9 < np.sqrt(np.mean(np.square(scores))) < 1.1


rows = st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1)), min_size=2, max_size=8, unique_by=lambda r: r[0])


@settings(deadline=None, max_examples=60)
@given(rows, rows, st.randoms(use_true_random=False))
def test_comparisons_are_paired_by_seed(first, second, shuffle):
    "Only seeds that both have count, in whatever order the rows came; and a − b is −(b − a)."
    made = [{**ROW, 'method': m, 'seed': s, 'accuracy_last': a} for m, r in (('a', first), ('b', second)) for s, a in r]
    shuffle.shuffle(made)
    common = sorted({s for s, _ in first} & {s for s, _ in second})
    if len(common) < 2:
        return
    report = Report(made)
    found, back = report.compare('a', 'b'), report.compare('b', 'a')
    x, y = (np.array([dict(r)[s] for s in common]) for r in (first, second))
    np.testing.assert_allclose(
        [found.difference, found.low, found.high, found.p], paired(x, y), rtol=1e-9, atol=1e-12, equal_nan=True
    )
    assert found.n == len(common)
    np.testing.assert_allclose([found.difference, found.low], [-back.difference, -back.high], atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_rows_are_the_same_in_any_order_and_any_number_of_parts(seed):
    draw = random.Random(seed)
    made = [{**ROW, 'seed': s, 'method': m, 'accuracy_last': draw.random()} for s in range(4) for m in 'ab']
    whole = Report(made)
    parts = [Report([r]) for r in draw.sample(made, len(made))]
    together = sum(parts)
    assert sorted(map(str, together.rows)) == sorted(map(str, whole.rows))
    assert (together + whole).compare('a', 'b').difference == pytest.approx(whole.compare('a', 'b').difference)
