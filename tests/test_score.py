"Scores: without a network where the pool has the answers, and each teacher is asked once."

import pytest
import torch
from conftest import CLASSES

from psr_nb.core import PSRError
from psr_nb.pool import Pool
from psr_nb.score import score
from psr_nb.teacher import Teacher


def test_scores_need_no_network(tiny_models, tiny_copy, monkeypatch):
    monkeypatch.setattr(Teacher, 'forward', lambda *_: pytest.fail('a network was used'))
    pool = Pool.open(tiny_copy)
    a, b = score(pool, teacher='a'), score(pool, teacher='b')
    assert not a['reliability'].equals(b['reliability']) and a['mutual_information'].equals(b['mutual_information'])
    assert pool.score_sources == dict.fromkeys(
        ('reliability', 'margin', 'entropy', 'typicality', 'difficulty'), 'b'
    ) | {'mutual_information': 'several: a, b'}
    with pytest.raises(PSRError, match='mutual_information'):
        score(pool, 'mutual_informatoin')
    with pytest.raises(PSRError, match='teacher of this pool'):
        score(pool, teacher='c')


def test_another_teacher_is_asked_once(tiny_models, tiny_copy, monkeypatch):
    import timm

    torch.manual_seed(2)
    pool, third = (
        Pool.open(tiny_copy),
        Teacher(timm.create_model('convnet3', width=4, in_chans=1, num_classes=3), 'c', (0.5,), (0.5,), 32, CLASSES).to(
            'cpu'
        ),
    )
    first = score(pool, ['reliability', 'mutual_information'], third, ensemble=['a'])
    monkeypatch.setattr(Teacher, 'forward', lambda *_: pytest.fail('asked again'))
    assert score(Pool.open(tiny_copy), ['reliability', 'mutual_information'], third, ensemble=['a']).equals(first)
    assert pool.score_sources['reliability'] == 'c' and 0 < first['mutual_information'].max() <= 1


def test_typicality_to_real_images(tiny_models, tiny_copy):
    from psr_nb.data import ImageData

    pool, (_, (a, _)) = Pool.open(tiny_copy), tiny_models
    own = score(pool, 'typicality')['typicality']
    same = ImageData(pool.images[:], pool.labels, CLASSES, 'same')
    assert abs(score(pool, 'typicality', a, same)['typicality'] - own).max() < 1e-3  # stored features are fp16
    assert pool.score_sources['typicality'] == 'a, reference same'
    shuffled = ImageData(
        same.images.flip(0), 2 - same.labels.flip(0), CLASSES[::-1], 'shuffled'
    )  # classes are matched by name
    assert abs(score(pool, 'typicality', a, shuffled)['typicality'] - own).max() < 1e-3
    with pytest.raises(PSRError, match='boot'):
        score(pool, 'typicality', a, ImageData(same.images[:50], same.labels[:50], CLASSES, 'shirts'))
    with pytest.raises(PSRError, match='none of shirt'):
        score(pool, 'typicality', a, ImageData(same.images, same.labels, ['x', 'boot', CLASSES[2]], 'x'))
