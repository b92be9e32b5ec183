"References: by name, of the right size, with images of each class. And whose opinion of a class counts."

import copy

import numpy as np
import pytest
import torch
from choices import pool_of

from psr_nb.core import PSRError
from psr_nb.data import ImageData
from psr_nb.problems import ImagePool
from psr_nb.select import prepare, select
from psr_nb.selectors import Weights


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


def test_a_teacher_has_no_say_in_classes_that_it_does_not_know(fashion_mini, fashion_teachers):
    "It takes bags for coats, real ones too: gate, probability and cut leave both alone, and all other classes as they are."
    good, teacher = fashion_teachers['a'], copy.copy(fashion_teachers['a'])
    bag, coat = (good.classes.index(name) for name in ('Bag', 'Coat'))
    order = list(range(10))
    order[bag], order[coat] = coat, bag
    teacher._buffers = {**teacher._buffers, 'outputs': torch.tensor(order)}
    candidates, real = fashion_mini.parts(dict(candidates=30, real=30)).values()
    right, wrong = (prepare(ImagePool(candidates, teachers=[t]), real, 'pixels') for t in (good, teacher))
    assert [p.name for p in wrong.problems if p.unheard] == ['Coat', 'Bag']
    assert not any(p.unheard for p in right.problems)
    with pytest.warns(UserWarning, match='the teacher recognises .* of 30 real images .* no say in this class'):
        chosen = wrong.select(4, 'psr', quantile=0.3)
    assert sum('has no say' in note for note in chosen.notes) == 2
    usual = right.select(4, 'psr', quantile=0.3)
    without = right.select(4, 'psr', Weights(reliability=0), gate=False)
    for label, p in enumerate(wrong.problems):
        assert chosen.ids[label].tolist() == (without if p.unheard else usual).ids[label].tolist()
        assert chosen.gains[label]['reliability'].any() == (p.unheard is None)
    free = next(i for i in range(30) if i not in chosen.ids[bag])
    assert 'the teacher sees' not in chosen.explain(bag, free).reason
    assert not wrong.select(4, 'herding').notes  # a rule that does not ask it
    alone = prepare(ImagePool(candidates, teachers=[teacher]), None, 'pixels')
    assert not any(p.unheard for p in alone.problems)  # no real images to ask about: the gate is as it was
    with pytest.warns(UserWarning, match='filled up from below the gate: Coat'):
        alone.select(4, 'psr')


def test_a_large_class_never_has_a_square_matrix():
    from psr_nb.greedy import Pairs, greedy, similarity, unit_rows
    from psr_nb.problems import Problem
    from psr_nb.selectors import SELECTORS

    rows = unit_rows(torch.randn(10_100, 8, generator=torch.Generator().manual_seed(0)))
    small = Problem(0, 'small', rows[:300], None)
    pairs = Pairs(rows[:300])
    assert np.allclose(pairs.mean(0), similarity(rows[:300], rows[:300]).mean(0), atol=1e-5)
    large = Problem(0, 'large', rows, None)
    assert isinstance(large.pairs, Pairs) and large.own.shape == (2000, 10_100)
    for rule in ('herding', 'k_center', 'facility_location', 'dpp', 'psr_mmd'):
        term = SELECTORS[rule].term(large, 3, 0, np.ones(large.n, bool))
        chosen, _ = greedy(term, 3)
        assert len(set(chosen.tolist())) == 3
        assert 'kernel' not in large.__dict__
    for rule in ('herding', 'k_center'):  # the same choice, whichever way
        by_matrix, _ = greedy(SELECTORS[rule].term(small, 5, 0, np.ones(300, bool)), 5)
        small.__dict__['pairs'] = pairs
        by_rows, _ = greedy(SELECTORS[rule].term(small, 5, 0, np.ones(300, bool)), 5)
        del small.__dict__['pairs']
        assert by_matrix.tolist() == by_rows.tolist()


def test_similarities_of_a_large_class_are_made_part_by_part():
    "What decides has the bits that the whole matrix gives, which `psr` never makes."
    import numpy as np
    import torch

    from psr_nb.greedy import greedy, unit_rows
    from psr_nb.problems import LARGE, Problem
    from psr_nb.selectors import SELECTORS

    rows = unit_rows(torch.randn(LARGE + 100, 64, generator=torch.Generator().manual_seed(0)))
    parts, whole = Problem(0, 'parts', rows, None), Problem(0, 'whole', rows, None)
    greedy(SELECTORS['psr'].term(parts, 3, 0, np.ones(parts.n, bool)), 3, bonus=0.05 * parts.representativeness)
    columns = parts.columns(np.array([7, 3]))
    assert not {'kernel', 'similarity'} & set(parts.__dict__)
    assert np.array_equal(parts.totals, whole.similarity.sum(0, dtype=np.float64))
    assert np.allclose(columns, whole.similarity[:, [7, 3]], atol=1e-6)


@pytest.mark.parametrize(
    'name, values, says',
    [
        ('class', np.zeros(40), 'any but class'),
        ('mine', ['1'] * 40, 'real numbers'),
        ('mine', np.ones(40) * 1j, 'real numbers'),
        ('mine', np.full(40, np.inf), 'finite'),
        ('mine', np.zeros(39), '40 candidates'),
    ],
)
def test_scores_of_images_in_memory_are_checked_like_those_of_a_pool_on_disk(name, values, says):
    data = ImageData(
        torch.zeros(40, 1, 8, 8, dtype=torch.uint8), torch.arange(2).repeat_interleave(20), ['a', 'b'], 'own'
    )
    pool = ImagePool(data)
    before = pool.table
    with pytest.raises(PSRError, match=says):
        pool.add_scores({'fine': np.zeros(40), name: values})
    assert pool.table.equals(before)
