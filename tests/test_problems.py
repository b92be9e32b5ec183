"References: by name, of the right size, with images of each class."

import pytest
from choices import pool_of

from psr_nb.core import PSRError
from psr_nb.data import ImageData
from psr_nb.select import (
    select,
)


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
