"Students: one alone and many side by side are the same students."

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from psr_nb.core import PSRError
from psr_nb.data import load_data
from psr_nb.learning import GroupedStudents, _train_abreast, accuracies_abreast, train_student, train_students
from psr_nb.protocols import PROTOCOLS, training_plan
from psr_nb.students import make_student


@pytest.fixture(scope='module')
def real():
    return load_data('fashion-mini')


@pytest.fixture(scope='module')
def judges():
    return load_data('fashion-mini', 'test').per_class(20)


def sets_of(real, n, ipc=2):
    draws = [real.per_class(ipc, seed) for seed in range(n)]
    return [(d.images, d.labels) for d in draws]


def test_alone_and_beside_others(real, judges):
    "Bit for bit on a CPU, whatever is trained beside it and by how many workers."
    sets = sets_of(real, 3)
    two = list(train_students(sets, judges, seeds=[4, 5, 6], epochs=2, workers=2, device='cpu'))
    one = list(train_students(sets[1:], judges, seeds=[5, 6], epochs=2, workers=1, device='cpu'))
    assert torch.equal(two[1], one[0]) and torch.equal(two[2], one[1])
    *_, last = train_student(*sets[2], judges, seed=6, epochs=2, device='cpu')
    assert (two[2].argmax(1) == judges.labels).float().mean().item() == pytest.approx(last.accuracy)


@pytest.mark.parametrize('student', ['convnet3', 'convnet4'])
def test_one_network_of_several(student, judges):
    networks = [make_student(student, (1, 32, 32), 10, 'quick', seed) for seed in range(3)]
    x = torch.randn(3, 5, 1, 32, 32)
    expected = torch.stack([network(part) for network, part in zip(networks, x)])
    assert torch.allclose(GroupedStudents(networks)(x), expected, atol=1e-5)


def test_a_group_trains_each_of_its_students(real, judges):
    sets = sets_of(real, 3)
    work = training_plan('quick', 20, 10, epochs=3)
    grouped = list(_train_abreast(sets, judges, work, 'convnet3', [1, 2, 3], torch.device('cpu')))
    alone = list(train_students(sets, judges, seeds=[1, 2, 3], epochs=3, device='cpu'))
    for a, b in zip(grouped, alone):
        assert torch.allclose(a, b, atol=1e-2)
    pair = list(_train_abreast(sets[1:], judges, work, 'convnet3', [2, 3], torch.device('cpu')))
    assert torch.allclose(pair[0], grouped[1], atol=1e-3)  # the company does not matter


@pytest.mark.slow
def test_twenty_of_each_are_as_good(real, judges):
    sets = sets_of(real, 1, ipc=5) * 20
    narrow = replace(PROTOCOLS['quick'], students={'convnet*': dict(width=8)})
    right = lambda logits: (logits.argmax(1) == judges.labels).float().mean().item()
    work = training_plan(narrow, 50, 10, epochs=6)
    grouped = _train_abreast(sets, judges, work, 'convnet3', range(20), torch.device('cpu'))
    alone = train_students(sets, judges, narrow, seeds=range(100, 120), epochs=6, device='cpu')
    a, b = np.array([*map(right, grouped)]), np.array([*map(right, alone)])
    assert abs(a.mean() - b.mean()) < 2 * np.sqrt(a.var(ddof=1) / 20 + b.var(ddof=1) / 20) + 0.005


@pytest.mark.slow
def test_resnets_as_one_network_are_those_that_are_alone(real, judges):
    "Six ResNet-18 of four channels, joined and one after another: the same answers, and as many of them right."
    narrow = replace(PROTOCOLS['quick'], students={'resnet18': dict(channels=(4, 4, 4, 4))})
    sets, seeds = sets_of(real, 1) * 6, range(6)
    work = training_plan(narrow, 20, 10, None, 'resnet18', 2)
    joined = torch.stack(list(_train_abreast(sets, judges, work, 'resnet18', seeds, torch.device('cpu'))))
    alone = torch.stack(list(train_students(sets, judges, narrow, 'resnet18', seeds, epochs=2, device='cpu')))
    right = lambda logits: (logits.argmax(2) == judges.labels).float().mean(1).numpy()
    a, b = right(joined), right(alone)
    assert abs(a.mean() - b.mean()) < 2 * np.sqrt(a.var(ddof=1) / 6 + b.var(ddof=1) / 6) + 0.005
    apart = (joined - alone).abs().mean()
    assert apart < 0.1 * (joined - joined.mean(0)).abs().mean()  # what two seeds differ by is much more


def test_soft_targets_and_other_networks(real, judges):
    images, labels = sets_of(real, 1)[0]
    soft = torch.nn.functional.one_hot(labels, 10).float()
    hard_one, soft_one = train_students([(images, labels)] * 2, judges, seeds=[3, 3], epochs=1, device='cpu'), None
    soft_one = next(train_students([(images, soft)], judges, seeds=[3], epochs=1, device='cpu'))
    assert torch.allclose(next(hard_one), soft_one, atol=1e-3)
    (resnet,) = train_students([(images, labels)], judges, student='resnet_ap10', epochs=1, device='cpu')
    assert resnet.shape == (200, 10) and resnet.isfinite().all()


def test_leaving_early_stops_the_others(real, judges):
    before = torch.get_num_threads()
    answers = train_students(sets_of(real, 8), judges, epochs=10, workers=2, device='cpu')
    next(answers)
    answers.close()
    assert torch.get_num_threads() == before
    assert not [t for t in threading.enumerate() if t.name.startswith('ThreadPoolExecutor') and t.is_alive()]


def test_an_error_of_one_is_told(real, judges):
    (images, labels), good = sets_of(real, 2)
    with pytest.raises(IndexError):
        list(train_students([good, (images, labels + 90)], judges, epochs=1, device='cpu'))
    with pytest.raises(PSRError, match='one for each of the 1 sets'):
        list(train_students([good], judges, seeds=[1, 2]))
    with pytest.raises(PSRError, match='one for each of the 0 sets'):
        list(train_students([], judges))


def test_students_abreast_do_not_read_test_labels(real, judges):
    "Other test labels, the same answers; the accuracies are counted from them after the training."
    sets, work = sets_of(real, 2, ipc=1), training_plan('quick', 10, 10, epochs=2)
    other = replace(judges, labels=(judges.labels + 1) % 10)
    a, b = (list(_train_abreast(sets, t, work, 'convnet3', [1, 2], torch.device('cpu'))) for t in (judges, other))
    assert all(torch.equal(x, y) for x, y in zip(a, b))


@pytest.mark.parametrize('student', ['convnet3', pytest.param('resnet_ap10', marks=pytest.mark.slow)])
def test_accuracies_of_students_abreast(real, judges, student):
    narrow = {'convnet*': dict(width=8), 'resnet_ap*': dict(width=4)}
    sets, protocol = sets_of(real, 2, ipc=1), replace(PROTOCOLS['quick'], students=narrow)
    found = accuracies_abreast(sets, judges, protocol, student, [1, 2], epochs=4, device='cpu')
    assert found is not None and found[0] == 4
    for (images, labels), seed, own in zip(sets, (1, 2), found[1]):
        steps = train_student(images, labels, judges, protocol, student, seed, epochs=4, device='cpu')
        assert own == pytest.approx([s.accuracy for s in steps if s.accuracy is not None], abs=0.02)
    assert accuracies_abreast(sets, judges, replace(protocol, norm='batch'), student, [1, 2]) is None
