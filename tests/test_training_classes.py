"""Classes of what is trained and judged: each has images, and is known by its name."""

import pytest
from commands import here
from PIL import Image

from psr_nb.core import PSRError
from psr_nb.data import load_data
from psr_nb.prior_report import prior_report
from psr_nb.teacher import Teacher
from psr_nb.train_prior import train_prior
from psr_nb.train_teacher import train_teacher


@pytest.fixture
def photos(tmp_path):
    "Three classes, one of which has test images only."
    for name, split in (('cat', 'train'), ('dog', 'train'), ('cat', 'test'), ('dog', 'test'), ('owl', 'test')):
        (tmp_path / split / name).mkdir(parents=True)
        for i in range(2):
            Image.new('RGB', (16, 16), (ord(name[0]), 40 * i, 99 if split == 'train' else 199)).save(
                tmp_path / split / name / f'{i}.png'
            )
    return tmp_path


def test_a_class_without_training_images_is_not_trained_in_silence(photos, tmp_path):
    "The line about the data says it on a line of its own; a training refuses before its first step."
    data, out = load_data(photos), tmp_path / 'out'
    assert data.classes == ['cat', 'dog', 'owl']
    for train in (train_teacher, train_prior):
        with pytest.raises(PSRError, match='at least one of every class, found none of owl.*data.restrict'):
            next(train(data, out))
    done = here('train-teacher', '--data', photos, '--out', out, '--epochs', 1)
    assert done.returncode == 1 and 'none of owl' in done.stderr and not out.exists()
    assert '\nno training images of owl: nothing can be learnt about it\n' in done.stdout


def test_a_report_on_a_prior_goes_by_the_names(fashion_prior):
    "Images and teachers with the classes in another order give the same numbers; other classes are refused."
    train, test = (load_data('fashion-mini', split).per_class(8) for split in ('train', 'test'))
    judge = Teacher.from_pretrained('fashion/c', device='cpu')
    turned = list(fashion_prior.classes)[::-1]
    few = dict(n_per_class=2, num_inference_steps=2)
    wanted = prior_report(fashion_prior, train, test, [judge], **few)['fashion/c']
    theirs = Teacher.from_pretrained('fashion/c', classes=turned, device='cpu')
    assert prior_report(fashion_prior, train, test, [theirs], **few)['fashion/c'] == wanted
    other = prior_report(fashion_prior, train.restrict(turned), test.restrict(turned), [judge], **few)['fashion/c']
    assert other == pytest.approx(wanted)
    with pytest.raises(PSRError, match='Bag'):
        prior_report(fashion_prior, train.restrict(turned[2:]), test, [judge], **few)
