"Budgets, students, seeds and soft labels outside their domain: refused in a sentence before the first step of training."

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from psr_nb.core import PSRError
from psr_nb.data import ImageData
from psr_nb.distilled import DistilledSet
from psr_nb.evaluate import evaluate, herding_real, label_words, random_real
from psr_nb.protocols import PROTOCOLS, protocol_name, training_plan, with_label_parts
from psr_nb.scope import scope
from psr_nb.stages import evaluate_set
from psr_nb.students import STUDENTS, check_student, make_student, student_of_size

NO_COUNT = [0, -1, 1.5, '1', True, float('nan'), [1]]


def noise(per_class: int, seed: int = 0) -> ImageData:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (2 * per_class, 1, 16, 16), generator=generator).byte()
    return ImageData(images, torch.arange(2).repeat_interleave(per_class), ['cat', 'dog'], 'noise')


few, test = noise(2), noise(3, 1)


def asked(**more):
    how = dict(distilled=few, test=test, students='convnet2', seeds=1, epochs=1, progress=False)
    return evaluate(**{**how, **more}).rows


@pytest.mark.parametrize('value', NO_COUNT)
@pytest.mark.parametrize('name', ['n_images', 'n_classes', 'ipc', 'epochs', 'batch_size'])
def test_a_plan_is_made_of_counts(name, value):
    with pytest.raises(PSRError, match=f'argument {name}: expected a whole number from 1 up'):
        training_plan('quick', **{**dict(n_images=20, n_classes=10), name: value})


@pytest.mark.parametrize('value', NO_COUNT)
@pytest.mark.parametrize('name', ['epochs', 'batch_size', 'workers'])
def test_students_are_trained_so_many_times(name, value):
    with pytest.raises(PSRError, match=f'argument {name}: expected a whole number from 1 up'):
        asked(**{name: value})


@pytest.mark.parametrize('value', [3, None, ['convnet3']])
def test_a_student_has_a_name(value):
    for call in (lambda: make_student(value, (1, 16, 16), 2), lambda: training_plan('quick', 20, 10, student=value)):
        with pytest.raises(PSRError, match='argument student'):
            call()


@pytest.mark.parametrize('shape', [(3, 32), 32, (0, 32, 32), (3.0, 32, 32), ('3', '32', '32'), None])
def test_images_have_channels_and_sides(shape):
    with pytest.raises(PSRError, match='argument image_shape'):
        make_student('convnet3', shape, 10)


@pytest.mark.parametrize('count', NO_COUNT)
def test_students_know_some_classes(count):
    with pytest.raises(PSRError, match='argument n_classes'):
        make_student('convnet3', (3, 32, 32), count)


@pytest.mark.parametrize(
    ('name', 'shape', 'protocol', 'batch'),
    [
        ('inception_v3', (3, 32, 32), 'quick', 2),
        ('alexnet', (3, 32, 32), 'rded', 2),
        ('resnet_ap10', (3, 2, 2), 'quick', 2),
        ('resnet34', (3, 32, 32), 'quick', 1),  # batch norm of one value
    ],
)
def test_a_network_that_nothing_is_left_for(name, shape, protocol, batch):
    with pytest.raises(PSRError, match=f'images for {name}: expected larger ones, or more in a step'):
        check_student(name, shape, 10, protocol, batch)


def test_a_step_of_one_image_is_found_before_the_first():
    three = few.take(torch.tensor([0, 1, 2]))
    with pytest.raises(PSRError, match='images for resnet34: .* found 1 of 1×16×16 in a step'):
        asked(distilled=three, students=['convnet2', 'resnet34'], batch_size=2)


@pytest.mark.parametrize('seed', [1.5, '0', None, True, 2**64, -(2**63) - 1])
def test_first_weights_have_a_seed(seed):
    with pytest.raises(PSRError, match='argument seed: expected a whole number'):
        make_student('convnet1', (1, 8, 8), 2, seed=seed)


@pytest.mark.parametrize('seeds', [[-1], [2**32], [2**70], [1.5], ['0'], [True]])
def test_seeds_are_those_that_every_library_takes(seeds):
    with pytest.raises(PSRError, match='argument seeds: expected how many'):
        asked(seeds=seeds)
    with pytest.raises(PSRError, match='argument seed: expected a whole number from 0 up'):
        random_real(few, 1, -1)


def test_a_seed_and_a_student_count_once():
    rows = asked(seeds=[3, 3], students=['convnet2', 'convnet2'])
    assert [(row['student'], row['seed']) for row in rows] == [('convnet2', 3)]


@pytest.mark.parametrize('size', [0, -1, float('nan'), '32', None])
def test_no_student_of_such_a_size(size):
    with pytest.raises(PSRError, match='argument size'):
        student_of_size(size)


@pytest.mark.parametrize('ipc', NO_COUNT)
def test_so_many_real_images(ipc):
    for rule, name in ((random_real, 'n'), (herding_real, 'ipc')):
        with pytest.raises(PSRError, match=f'argument {name}: expected a whole number from 1 up'):
            rule(few, ipc)
    with pytest.raises(PSRError, match='argument features: expected a row for each of 4 images'):
        herding_real(few, 1, torch.rand(3, 3))


@pytest.mark.parametrize('parts', [3, None, 1.0])
def test_parts_of_a_training_are_a_text(parts):
    with pytest.raises(PSRError, match='argument parts'):
        with_label_parts('quick', parts)


def test_a_scope_is_of_classes_and_a_shape():
    with pytest.raises(PSRError, match='argument data'):
        scope('minimax', 'cifar10', (3, 32, 32))
    with pytest.raises(PSRError, match='argument image_shape'):
        scope('minimax', ['cat'], (3, 32))


def own(**more):
    "A set of somebody's own kind."
    return SimpleNamespace(**{**dict(images=few.images, labels=few.labels, classes=few.classes, name='own'), **more})


SOFT = torch.full((4, 2), 0.5)


@pytest.mark.parametrize(
    ('made', 'says'),
    [
        (own(soft_labels=torch.full((4, 3), 1 / 3)), 'soft_labels: expected shape'),
        (own(soft_labels=SOFT[:1]), 'soft_labels: expected shape'),
        (own(soft_labels=3 * SOFT), 'soft_labels: expected probabilities'),
        (own(soft_labels=SOFT * float('nan')), 'soft_labels: expected probabilities'),
        (own(soft_labels='x'), 'soft_labels: expected a tensor'),
        (own(classes=None), 'classes of the set: expected a list of names'),
        (own(images=few.images[:0], labels=few.labels[:0]), 'at least one image'),
        (lambda seed: None, 'argument distilled: expected a set'),
    ],
)
def test_sets_of_another_kind_are_looked_at(made, says):
    with pytest.raises(PSRError, match=says):
        asked(distilled=made, labels='soft')


@pytest.mark.parametrize('name, value', [('teacher', 3), ('validation', 3), ('method', 3), ('test', few.take([]))])
def test_parts_of_another_kind(name, value):
    with pytest.raises(PSRError, match=f'argument {name}'):
        asked(**{name: value})


def test_soft_labels_in_another_order_are_doubted():
    right, wrong = (
        DistilledSet(few.images, few.labels, few.classes, torch.eye(2)[y]) for y in (few.labels, 1 - few.labels)
    )
    quick = PROTOCOLS['quick']
    assert 'for 0 of 4 images: are they in the order of the classes?' in label_words(wrong, 'soft', quick)
    assert not label_words(right, 'soft', quick) and not label_words(wrong, 'hard', quick)
    with pytest.warns(UserWarning, match='in the order of the classes'):
        asked(distilled=wrong, labels='soft')


@pytest.mark.parametrize('indices', [[9], 'x', [0.5], None, torch.ones(9, dtype=torch.bool)], ids=str)
def test_positions_of_images(indices):
    with pytest.raises(PSRError, match='argument indices: expected positions from 0 to 3, or a mask'):
        few.take(indices)


def test_a_set_is_judged_by_some_student(tmp_path):
    with pytest.raises(PSRError, match='argument students: expected at least one'):
        evaluate_set(tmp_path, students=[])


# ---- one's own protocols and students


@pytest.mark.parametrize(
    'changes, say',
    [
        (dict(optimizer='adam'), "optimizer of a protocol 'adam': expected one of adamw, sgd"),
        (dict(views='flip'), "views of a protocol 'flip'"),
        (dict(schedule='step'), "schedule of a protocol 'step'"),
        (dict(tests='never'), "tests of a protocol 'never'"),
        (dict(norm='layer'), "norm of a protocol 'layer'"),
        (dict(labels='Soft'), "labels of a protocol 'Soft'"),
        (dict(many_classes=dict(rate=1)), "value of a protocol 'rate'"),
        (dict(lr=0.1), 'lr of a protocol: expected rates'),
        (dict(weight_decay=-1), 'weight_decay of a protocol'),
        (dict(cutmix=2), 'cutmix of a protocol: expected a probability'),
        (dict(temperature=0), 'temperature of a protocol: expected a number above 0'),
        (dict(epochs=5), r'epochs of a protocol: expected pairs .* \(\(10, 300\)'),
        (dict(batch_size=((1, 0),)), 'batch_size of a protocol: expected pairs'),
        (dict(class_batches={3: 0}), 'class_batches of a protocol'),
        (dict(largest=8), 'cells of a protocol: expected some, where there is largest'),
        (dict(mean=(0.1, 0.2, 0.3)), 'mean of a protocol: expected mean and std, or neither'),
        (dict(mean=(0.1, 0.2), std=(0.1, 0.2)), 'std of a protocol: expected 1 or 3 numbers'),
        (dict(mean=(127.0,), std=(60.0,)), r'std of a protocol: .* images in \[0, 1\]'),
        (dict(mean=(0.0,), std=(0.0,)), 'std of a protocol'),
    ],
)
def test_values_that_no_protocol_has(changes, say):
    with pytest.raises(PSRError, match=say):
        replace(PROTOCOLS['quick'], **changes)


def test_a_rate_for_some_students_only():
    with pytest.raises(PSRError, match='a rate for convnet3, or for "\\*", the others, found resnet18'):
        training_plan(replace(PROTOCOLS['quick'], lr={'resnet18': 0.1}), 10, 2)


def test_an_argument_that_a_student_would_pass_over():
    for student, more in (('convnet1', dict(widht=8)), ('resnet18', dict(widht=8))):
        narrow = replace(PROTOCOLS['quick'], students={student: more})
        with pytest.raises(PSRError, match=f'student {student}.*widht'):
            make_student(student, (3, 16, 16), 3, narrow)


def test_a_resnet_without_norms():
    network = make_student('resnet18', (3, 16, 16), 3, replace(PROTOCOLS['quick'], norm='none'))
    assert not any(isinstance(m, (torch.nn.GroupNorm, torch.nn.BatchNorm2d)) for m in network.modules())


class Answers(torch.nn.Module):
    "A network of somebody's own that passes over how many classes there are."

    def __init__(self, outputs, wrapped):
        super().__init__()
        self.layer, self.wrapped = torch.nn.Linear(3 * 16 * 16, outputs), wrapped

    def forward(self, x):
        logits = self.layer(x.flatten(1))
        return dict(logits=logits) if self.wrapped else logits


@pytest.mark.parametrize('outputs, wrapped, found', [(5, False, r'\(5,\)'), (2, False, r'\(2,\)'), (3, True, 'dict')])
def test_a_student_with_other_answers(monkeypatch, outputs, wrapped, found):
    import timm.models._registry as registry

    make = lambda pretrained=False, **kwargs: Answers(outputs, wrapped)
    monkeypatch.setitem(registry._model_entrypoints, 'answers', make)
    with pytest.raises(PSRError, match=f'student answers: expected one number for each of 3 classes .*{found}'):
        check_student('answers', (3, 16, 16), 3)


def test_a_name_for_a_network_that_nobody_knows(monkeypatch):
    monkeypatch.setitem(STUDENTS, 'mine', ('resnet_18', 'a slip'))
    with pytest.raises(PSRError, match="architecture of student mine 'resnet_18'"):
        check_student('mine', (3, 16, 16), 3)


def test_protocols_without_a_name_are_told_apart():
    quick = PROTOCOLS['quick']
    names = [
        protocol_name(p) for p in ('quick', replace(quick), replace(quick, lr={'*': 0.1}), replace(quick, cutmix=1))
    ]
    assert names[:2] == ['quick', 'quick'] and len(set(names[1:])) == 3
    assert all(name.startswith('own ') for name in names[2:])
    assert protocol_name(replace(quick, cutmix=1)) == names[3]
