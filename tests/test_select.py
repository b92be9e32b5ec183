"Selection: what must hold on any instance, whatever the numbers."

import itertools
import json
import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from psr_nb.core import PSRError
from psr_nb.data import ImageData
from psr_nb.select import (
    SELECTORS,
    Coverage,
    ImagePool,
    LogDet,
    MeanMatch,
    Prepared,
    Problem,
    Selection,
    Weights,
    allocate,
    coverage_in_lockstep,
    embed,
    facility_location,
    first_best,
    gain_curve,
    greedy,
    objective,
    plan,
    saturated,
    select,
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


# ---- the objective


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


# ---- every rule


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


# ---- budgets


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


# ---- the whole of it, on images


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


def test_selection_on_disk(tmp_path):
    pool, data = pool_of()
    s = select(pool, 6, reference=data, space='pixels', weights=Weights(0.2, 1.0, -0.1), pins=[('b', 3)])
    file = s.save(tmp_path)
    assert file.name == f'selection-{s.key[:16]}.json' and s.save(tmp_path) == file
    again = Selection.open(file, pool)
    assert (
        again.key == s.key
        and again.weights == s.weights
        and again.notes == s.notes
        and torch.equal(again.images, s.images)
        and torch.equal(again.labels, s.labels)
    )
    for old, new, says in (
        ('"quantile": 0.0', '"quantile": 0.5', 'altered'),
        ('"format": 1', '"format": 2', 'newer'),
        ('"selection"', '"pool"', 'another kind'),
        ('{', '', 'JSON'),
    ):
        content = json.dumps(json.loads(file.read_text()))
        assert old in content
        (tmp_path / 'bad.json').write_text(content.replace(old, new, 1))
        with pytest.raises(PSRError, match=says):
            Selection.open(tmp_path / 'bad.json', pool)
    with pytest.raises(PSRError, match='fingerprint'):
        Selection.open(file, pool_of(seed=1)[0])
    with pytest.raises(PSRError, match='prepare'):
        again.explain(0, 0)


def test_explanations():
    pool, data = pool_of()
    s = select(pool, 6, space='pixels', bans=[(0, 2)], quantile=0.2)
    for c in range(2):
        for i in range(40):
            e = s.explain(c, i)
            assert e.chosen == (i in s.ids[c]) and e.index == i and 'nan' not in repr(e)
            if not e.chosen and 'would add' in e.reason:
                assert sum(e.terms.values()) <= sum(v[-1] for v in s.gains[c].values()) + 1e-7
    gated = next(int(i) for i in np.flatnonzero(~s.prepared.problems[0].agrees) if i != 2)
    assert 'banned' in s.explain('a', 2).reason and 'teacher sees b' in s.explain('a', gated).reason
    assert 'pinned' in select(pool, 2, space='pixels', pins=[('a', 5)]).explain('a', 5).reason
    assert sum(s.explain(0, int(i)).stands_for for i in s.ids[0]) == 40


def test_html_is_escaped():
    pool, data = pool_of()
    pool.classes[0] = '<script>'
    s = quiet(lambda: select(pool, 40, space='pixels'))
    assert s.notes and '<script>' not in s._repr_html_() and '&lt;script&gt;' in s._repr_html_()


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


def test_bad_references_are_named():
    pool, data = pool_of()
    small = ImageData(data.images[..., :4, :4], data.labels, data.classes, 'small')
    for reference, says in (
        (small, 'size=8'),
        (ImageData(data.images, data.labels, ['a', 'z'], 'other'), 'no b'),
        (data.take(data.labels == 0), 'images of class b'),
    ):
        with pytest.raises(PSRError, match=says):
            select(pool, 3, reference=reference, space='pixels')
    with pytest.raises(PSRError, match='gate=False'):
        select(pool_of(teacher=False)[0], 3, space='pixels')


def test_reference_order_is_by_name():
    pool, data = pool_of()
    turned = ImageData(data.images, 1 - data.labels, ['b', 'a'], 'turned')
    a, b = (select(pool, 5, reference=r, space='pixels') for r in (data, turned))
    assert [i.tolist() for i in a.ids] == [i.tolist() for i in b.ids]


def test_embeddings_are_seeded_and_kept():
    pool, data = pool_of()
    a = embed(pool, 'student:8x2+pixels')
    assert torch.equal(a, embed(pool, 'student:8x2+pixels')) and torch.allclose(
        a.norm(dim=1), torch.ones(len(a)), atol=1e-5
    )
    assert torch.allclose(a, embed(pool.images, 'student:8x2+pixels'), atol=1e-6)
    built = []
    pool.cache = lambda name, build: built.append(name) or build()
    embed(pool, 'student+pixels+teacher')
    embed(data, 'student', pool=pool)
    kept = [name for name in built if name.startswith('space')]  # not the teacher's: the pool has those already
    assert len(kept) == 2 and kept[0] != kept[1]
