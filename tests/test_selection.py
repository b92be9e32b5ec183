"What was chosen: on disk, explained, shown."

import json

import numpy as np
import pytest
import torch
from choices import pool_of, quiet

from psr_nb.core import PSRError
from psr_nb.distilled import DistilledSet
from psr_nb.formats import write_image_folder
from psr_nb.pool import Pool
from psr_nb.select import (
    Selection,
    Weights,
    select,
)
from psr_nb.stages import open_set


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


def test_a_file_whose_pool_was_moved_says_where_it_was(tiny_copy, tmp_path):
    file = select(Pool.open(tiny_copy), 2, 'first').save(tmp_path / 'choice.json')
    moved = tiny_copy.rename(tmp_path / 'elsewhere')
    with pytest.raises(PSRError, match=f'choice.json: expected the pool it was made from at {tiny_copy}'):
        Selection.open(file)
    assert Selection.open(file, Pool.open(moved)).ipc == 2


def test_a_selection_is_a_set_to_judge(tiny_copy, tmp_path):
    chosen = select(Pool.open(tiny_copy), 2, 'first')
    for split in ('train', 'test'):
        write_image_folder(DistilledSet.from_selection(chosen), tmp_path / 'data' / split)
    images, test = open_set(chosen.save(tmp_path / 'choice.json'), str(tmp_path / 'data'))
    assert torch.equal(images.images, chosen.images) and images.classes == list(chosen.classes) == list(test.classes)
    (tmp_path / 'other.json').write_text('{"kind": "results"}')
    with pytest.raises(PSRError, match='other.json: expected a selection'):
        open_set(tmp_path / 'other.json', str(tmp_path / 'data'))


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
