"""DD-Ranking's two scores: from a set in a folder to numbers, in the shell and in Python."""

import numpy as np
import pytest
import torch
from commands import here

from psr_nb.core import PSRError
from psr_nb.data import load_data
from psr_nb.distilled import DistilledSet
from psr_nb.evaluate import Report, augmentation_robust_score, evaluate, label_robust_score, random_real
from psr_nb.protocols import PROTOCOLS, Protocol, without_augmentation
from psr_nb.results import interval
from psr_nb.robustness import full_work, robustness
from psr_nb.teacher import Teacher


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    "One real image per class with a teacher's soft labels, as DD-Ranking's tensors too."
    where, few = tmp_path_factory.mktemp('robust'), load_data('fashion-mini').per_class(1, seed=3)
    made = DistilledSet(few.images, few.labels, few.classes, provenance=dict(method='mine'))
    teacher = Teacher.from_pretrained('fashion/a')
    made.relabel(teacher).save(where / 'set')
    made = DistilledSet.open(where / 'set')
    torch.save(few.images / 255, where / 'images.pt')
    torch.save(made.soft_labels.log(), where / 'labels.pt')
    return where


SMALL = dict(protocol='a minute', student='convnet2', progress=False)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    "The quick protocol with three epochs."
    p = PROTOCOLS['quick']
    monkeypatch.setitem(PROTOCOLS, 'a minute', Protocol(**{**vars(p), 'epochs': ((float('inf'), 3),)}))


def test_scores_and_their_parts(home):
    "Each part is the training that its name says, with the same seeds; scores are those of the formulas."
    real, teacher = load_data('fashion-mini'), Teacher.from_pretrained('fashion/a')
    test = load_data('fashion-mini', 'test').per_class(40)
    ours, said = DistilledSet.open(home / 'set'), []
    found = robustness(ours, real, test, seeds=[4, 7, 9], teacher=teacher, say=said.append, **SMALL)
    assert len(found.report) == 6 * 3 and said[0].startswith(
        'all real images: 2,000; a student on them takes 200 times'
    )
    how = dict(students='convnet2', seeds=[7], progress=False, teacher=teacher)
    alone = {
        'set': evaluate(ours, test, 'a minute', labels='soft', **how),
        'set_hard': evaluate(ours, test, 'a minute', labels='hard', **how),
        'random': evaluate(random_real(real, 1, 7), test, 'a minute', labels='soft', **how),
        'all_real': evaluate(real, test, 'a minute', labels='hard', **how),
        'set_plain': evaluate(ours, test, without_augmentation('a minute'), labels='soft', **how),
        'random_plain': evaluate(random_real(real, 1, 7), test, without_augmentation('a minute'), labels='soft', **how),
    }
    for part, report in alone.items():
        assert found.accuracies(part)[1] == report.rows[0]['accuracy_last'], part
    mean = {part: found.accuracies(part).mean() for part in alone}
    lrs = label_robust_score(mean['all_real'], mean['set_hard'], mean['set'], mean['random'])
    ars = augmentation_robust_score(mean['set'], mean['random'], mean['set_plain'], mean['random_plain'])
    assert np.allclose([found.lrs[0], found.ars[0]], [lrs, ars])
    by_seed = [0.5 * (found.difference('IOR')[i] - found.difference('HLR')[i]) for i in range(3)]
    low = (np.exp(interval(by_seed)[1]) - np.exp(-1)) / (np.e - np.exp(-1))
    assert found.lrs[1] == pytest.approx(max(0.0, low))
    text = found.text()
    for words in ('the set, soft labels', 'a minute, no augmentation', 'all real images, hard labels', 'LRS', 'ARS'):
        assert words in text
    assert 'leaderboard is no comparison' in text and '<table' in found._repr_html_()


def test_without_all_real_images(home):
    "What is not known is not made up."
    real, test = load_data('fashion-mini'), load_data('fashion-mini', 'test')
    found = robustness(DistilledSet.open(home / 'set'), real, test, seeds=2, labels='hard', full=None, **SMALL)
    assert found.lrs is None and found.ars is not None and 'LRS: ' not in found.text()
    assert 'HLR and LRS are not computed' in found.text() and 'soft labels' not in found.text().split('\n\n')[0]
    assert len({r['seed'] for r in found.report.rows}) == 2 and len(found.report) == 2 * 4
    known = robustness(DistilledSet.open(home / 'set'), real, test, seeds=1, labels='hard', full=0.9, **SMALL)
    assert known.lrs is not None and np.isnan(known.lrs[1]) and 'given as a number' in known.text()


def test_what_is_refused_before_anything_is_trained(home):
    ours, real, test = DistilledSet.open(home / 'set'), load_data('fashion-mini'), load_data('fashion-mini', 'test')
    small = dict(seeds=1, **SMALL)
    for more, say in (
        (dict(), 'random real images need soft labels'),
        (dict(labels='both'), '"hard" or "soft"'),
        (dict(labels='hard', full=92.0), 'Divide percentages by 100'),
        (dict(labels='hard', full='all'), 'argument full'),
        (dict(labels='hard', full=True), 'argument full'),
        (dict(labels='hard', weight=2), 'argument weight'),
        (dict(labels='hard', name='random_real'), 'another name'),
    ):
        with pytest.raises(PSRError, match=say):
            robustness(ours, real, test, **small | more)
    with pytest.raises(PSRError, match='does not say how to train on 200 images per class.*--full-accuracy'):
        full_work(ours, real, 'rded', 'convnet3')


def test_in_the_shell(home):
    "Stored logits are soft labels; rows are kept; a wrong accuracy costs no training."
    words = ['robustness', home, '--data', 'fashion-mini', '--student', 'convnet2', '--seeds', 1, '-q']
    words += ['--classes', ','.join(load_data('fashion-mini').classes)]
    for text in ('92', 'all'):
        done = here(*words, '--labels', 'hard', '--full-accuracy', text)
        assert done.returncode == 1 and 'between 0 and 1' in done.stderr
    more = ['--teacher', 'fashion/a', '--full-accuracy', '0.8', '--batch-size', 10, '--out', home / 'rows.json']
    done = here(*words, *more)
    assert done.returncode == 0, done.stderr
    assert 'LRS: label-robust score' in done.stdout and 'given as a number' in done.stdout
    assert 'logarithms of probabilities of 10 classes, kept as soft labels' in done.stdout + done.stderr
    rows = Report.open(home / 'rows.json').rows
    assert len(rows) == 5 and {r['labels'] for r in rows} == {'soft', 'hard'}
    assert {r['protocol'] for r in rows} == {'quick (batch 10)', 'quick, no augmentation (batch 10)'}
