"What a protocol is called: plain where it was defined for the data, adapted everywhere else."

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from commands import here
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from psr_nb.bench_page import published_for, table_sections
from psr_nb.bench_table import tabulate
from psr_nb.classes import IMAGENET_SUBSETS, class_names
from psr_nb.core import PSRError
from psr_nb.data import FASHION_CLASSES, load_data
from psr_nb.distilled import DistilledSet
from psr_nb.evaluate import _scaled, evaluate
from psr_nb.images import ImageData
from psr_nb.learning import train_student
from psr_nb.protocols import training_plan
from psr_nb.results import Report
from psr_nb.scope import CIFAR10_CLASSES, CIFAR100_CLASSES, data_family, scope
from psr_nb.stages import evaluate_set, open_set
from psr_nb.students import make_student

WOOF = class_names('imagewoof')
NUMBERS = [str(i) for i in range(10)]
DIGITS = [f'{i} - {w}' for i, w in enumerate('zero one two three four five six seven eight nine'.split())]


def noise(classes, shape, name='data', per_class=1):
    n = len(classes) * per_class
    images = torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageData(images, torch.arange(n) % len(classes), list(classes), name)


@pytest.mark.parametrize(
    ('classes', 'shape', 'name'),
    [
        (NUMBERS, (3, 32, 32), 'cifarpng'),
        (NUMBERS, (3, 32, 32), 'cinic-10'),
        (NUMBERS, (1, 28, 28), 'fashpng'),
        (NUMBERS, (1, 28, 28), 'emnist'),
        ([str(i) for i in range(100)], (3, 32, 32), 'data'),
        (CIFAR10_CLASSES, (3, 32, 32), 'cinic-10'),
        (DIGITS, (1, 28, 28), 'QMNIST'),
        (WOOF, (3, 224, 224), 'imagenet-sketch'),
    ],
)
def test_unknown_data_have_no_plain_name(classes, shape, name):
    here = scope('minimax', noise(classes, shape, name), shape, 'convnet3')
    assert here.named('minimax') == f'minimax, adapted: other data; {shape[-1]} px'
    assert here.protocol.views != 'dsa_digits'  # nobody knows that these are digits
    if shape[-1] <= 32:
        assert here.protocol.mean is None  # their own colours


@pytest.mark.parametrize(
    ('classes', 'shape', 'name', 'family'),
    [
        (NUMBERS, (3, 32, 32), 'SVHN', 'svhn'),
        (NUMBERS, (3, 32, 32), 'ufldl-stanford/svhn', 'svhn'),
        (NUMBERS, (1, 28, 28), 'MNIST', 'mnist'),
        (DIGITS, (1, 28, 28), 'MNIST', 'mnist'),
        (DIGITS, (1, 28, 28), 'data', 'mnist'),
        (NUMBERS, (1, 28, 28), 'fashion-mnist', 'fashion'),
        (NUMBERS, (3, 32, 32), 'cifar10', 'cifar10'),
        (CIFAR10_CLASSES, (3, 32, 32), 'data', 'cifar10'),
        (['cra' if c == 'crab' else c for c in CIFAR100_CLASSES], (3, 32, 32), 'data', 'cifar100'),
    ],
)
def test_known_data_keep_the_name(classes, shape, name, family):
    here = scope('minimax', noise(classes, shape, name), shape, 'convnet3')
    assert (here.family, here.named('minimax')) == (family, 'minimax')


@pytest.mark.parametrize('protocol', ['minimax', 'rded', 'sre2l'])
def test_colours_belong_to_the_data(protocol):
    assert scope(protocol, WOOF, (1, 224, 224), 'resnet18').named('x') == 'x, adapted: grey'
    assert scope(protocol, WOOF, (3, 224, 224), 'resnet18').named('x') == 'x'


def test_fashion_in_colour_is_said():
    assert scope('minimax', FASHION_CLASSES, (3, 28, 28)).named('minimax') == 'minimax, adapted: RGB'
    assert scope('minimax', CIFAR10_CLASSES, (1, 32, 32)).named('minimax') == 'minimax, adapted: grey'


def test_two_hundred_classes_are_not_always_tiny_imagenet():
    assert data_family(class_names('imagenet1k')[:200], size=64) == 'imagenet'


def test_everything_that_differs_is_said():
    "A student that has no place, and a size that has none."
    assert scope('rded', WOOF, (3, 64, 64), 'convnet3').named('rded') == 'rded, adapted: student convnet3; 64 px'
    words = 'minimax, adapted: student densenet121 with its own norms'
    assert scope('minimax', WOOF, (3, 224, 224), 'densenet121').named('minimax') == words
    norms = [
        m for m in make_student('densenet121', (3, 64, 64), 10, 'minimax').modules() if 'BatchNorm' in str(type(m))
    ]
    assert norms


@pytest.mark.parametrize('shape', [(3, 300, 224), (3, 300, 256), (3, 224, 300)])
def test_images_that_are_not_square_are_cut_or_said(shape):
    "minimax cuts out the middle, as the field's code does; rded's code does not, in training."
    assert scope('minimax', WOOF, shape, 'resnet18').named('minimax') == 'minimax'
    assert f'{shape[2]}×{shape[1]} px' in scope('rded', WOOF, shape, 'resnet18').named('rded')


@pytest.mark.parametrize('shape', [(3, 300, 224), (3, 300, 256), (3, 224, 300)])
def test_the_middle_is_cut_out_as_torchvision_does(shape):
    few = noise(WOOF, shape)
    theirs = v2.Compose([v2.Resize(224, antialias=True), v2.CenterCrop(224)])(few.images)
    assert (_scaled(few.images, 224).int() - theirs.int()).abs().max() <= 1


def test_evaluate_knows_the_name_of_the_set():
    "House numbers keep the protocol's name; numbered folders of unknown content do not; sets that are not square work."
    few, how = noise(NUMBERS, (3, 32, 32), 'SVHN'), dict(seeds=1, epochs=1, progress=False, students='convnet3')
    other = replace(few, images=255 - few.images)
    assert evaluate(other, few, 'minimax', **how).rows[0]['protocol'] == 'minimax (1 epochs)'
    unknown = replace(few, name='data')
    assert 'other data; 32 px' in evaluate(other, unknown, 'minimax', **how).rows[0]['protocol']
    wide = noise(WOOF, (3, 40, 32))
    how |= dict(students='resnet_ap10')
    for protocol in ('quick', 'minimax'):
        assert evaluate(replace(wide, images=255 - wide.images), wide, protocol, **how).rows


def test_enlarged_test_images_are_said():
    here = scope('rded', WOOF, (3, 224, 224), 'resnet18')
    assert [here.named('rded', side) for side in (256, 300)] == ['rded', 'rded']
    assert here.named('rded', 224) == 'rded, adapted: test images enlarged from 224 px'
    assert scope('rded', CIFAR10_CLASSES, (3, 32, 32)).named('rded', 32) == 'rded'
    assert scope('minimax', WOOF, (3, 224, 224), 'resnet18').named('minimax', 224) == 'minimax'


@pytest.mark.parametrize('student', ['convnet3', 'vit_tiny_patch16_224'])
@pytest.mark.parametrize('protocol', ['quick', 'minimax'])
def test_square_networks_say_so(student, protocol):
    "Also in the middle of a training, in place of torch's words."
    few = noise(WOOF, (3, 40, 32))
    with pytest.raises(PSRError, match='expected square images, found 32×40 pixels'):
        next(train_student(few.images, few.labels, few, protocol, student, epochs=1))


def test_heads_of_rded_are_cut_from_a_thousand_outputs():
    "The spread of EfficientNet's first weights depends on the number of outputs; the others' does not."
    torch.manual_seed(0)
    for name in ('efficientnet_b0', 'mobilenet_v2'):
        ours = make_student(name, (3, 64, 64), 10, 'rded').classifier[1]
        theirs = torchvision.models.get_model(name, weights=None, num_classes=1000).classifier[1]
        assert ours.weight.std().item() == pytest.approx(theirs.weight.std().item(), rel=0.05)
        assert ours.weight.shape == (10, theirs.in_features) and ours.bias.shape == (10,)


@pytest.mark.parametrize('name', ['vgg11', 'alexnet', 'vit_b_16', 'swin_v2_t'])
def test_cut_heads_answer(name):
    "Each of torchvision's students still ends in one output per class."
    net = make_student(name, (3, 64, 64), 7, 'rded').eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    assert [m for m in net.modules() if isinstance(m, nn.Linear)][-1].out_features == 7


def test_schedule_and_tests_of_sre2l():
    "A cosine that moves with every epoch; tests after epochs 1, 11, …, 291 and the last."
    work = training_plan('sre2l', 10_000, 1000, 10, 'resnet18')
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], work.lr)
    theirs = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: 0.5 * (1 + math.cos(math.pi * e / work.epochs)))
    for epoch in range(work.epochs):
        assert work.rate(epoch) == work.rate(epoch + 0.9) == pytest.approx(optimizer.param_groups[0]['lr'])
        optimizer.step()
        theirs.step()
    assert work.tests == (*range(1, 300, 10), 300)


def test_the_name_of_the_set_reaches_the_plan():
    "Numbered classes of CIFAR-100: the special case of RDED's ConvNet-3."
    few = noise([str(i) for i in range(100)], (3, 32, 32), 'cifar100')

    class Judge:
        name, recipe, device = 'x', dict(architecture='convnet3'), torch.device('cpu')

        def logits(self, x):
            return torch.zeros(len(x), 100)

    first = next(train_student(few.images, torch.full((100, 100), 0.01), few, 'rded', teacher=Judge(), ipc=1, epochs=1))
    assert (first.total, first.lr) == (4, 0.002)
    unknown = replace(few, name='data')
    asked = few.images, torch.full((100, 100), 0.01), unknown, 'rded'
    assert next(train_student(*asked, teacher=Judge(), ipc=1, epochs=1)).lr == 0.001


def put(path, seed, size=16):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    "Five classes of real images by WordNet id, and sets of the last three: by id, and by number in another order."
    home = tmp_path_factory.mktemp('photos')
    ids = sorted(IMAGENET_SUBSETS['imagewoof'].split())[:5]
    chosen = ids[:1:-1]
    for i, wnid in enumerate(ids):
        put(home / 'real' / 'train' / wnid / 'a.png', 10 + i)
        put(home / 'real' / 'train' / wnid / 'b.png', 20 + i)
        put(home / 'real' / 'val' / wnid / 'a.png', 30 + i)
    for i, wnid in enumerate(chosen):
        put(home / 'ids' / wnid / '0.png', i)
        put(home / 'numbers' / f'{i:05d}' / f'class{i:05d}_id00000.jpg', i)
    return home, chosen


def test_classes_of_others_sets(photos):
    "Numbers count in the order that was asked for; ids and names are taken by what they mean."
    home, chosen = photos
    for name in ('ids', 'numbers'):
        images, test = open_set(home / name, str(home / 'real'), classes=chosen)
        assert (test.classes, len(test)) == (chosen, 3)
        assert test.images[0, :, 0, 0].tolist() != test.images[2, :, 0, 0].tolist()
        if name == 'ids':
            assert images.classes == chosen and images.labels.tolist() == [2, 1, 0]  # in the order of the folders
    with pytest.raises(PSRError, match='numbers of the classes of numbers: expected 0 to 4'):
        evaluate_set(home / 'numbers', str(home / 'real'), seeds=1, progress=False)


@pytest.mark.slow
def test_classes_and_batch_size_in_the_shell(photos):
    "Every layout, with --classes and --size, and a budget that rded has no batch size for."
    home, chosen = photos
    more = ['--data', str(home / 'real'), '--classes', ','.join(chosen), '--size', '16', '--students', 'convnet2']
    more += ['--seeds', '1', '-q', '--protocol', 'quick', '--baseline', 'random_real']
    for name in ('ids', 'numbers'):
        out = home / f'{name}.json'
        done = here('evaluate', home / name, *more, '--batch-size', 2, '--out', out)
        assert done.returncode == 0, done.stderr
        rows = Report.open(out).rows
        assert [(r['protocol'], r['ipc']) for r in rows] == [('quick (batch 2)', 1)] * 2


def test_a_batch_size_for_rded(photos):
    "Two images per class: no batch size of the protocol; one that is given is said."
    home, chosen = photos
    how = dict(labels='hard', seeds=1, progress=False, students=['convnet2'], classes=chosen)
    where = home / 'real' / 'train', str(home / 'real'), 'rded'
    with pytest.raises(PSRError, match='argument batch_size'):
        evaluate_set(*where, **how)
    rows = evaluate_set(*where, batch_size=3, **how).rows
    assert rows[0]['protocol'] == 'rded, adapted: student convnet2; 16 px (batch 3)'


def test_hybrid_schedules_in_the_shell(tmp_path):
    "Soft labels, then hard ones; the table says so."
    images = load_data('fashion-mini').per_class(1)
    provenance = dict(method='mine', data=dict(name='fashion'))
    soft = torch.nn.functional.one_hot(images.labels, 10) * 0.8 + 0.02
    DistilledSet(images.images, images.labels, images.classes, soft, provenance).save(tmp_path / 'set')
    words = ['evaluate', tmp_path / 'set', '--data', 'fashion-mini', '--seeds', 1, '-q', '--out', tmp_path / 'r.json']
    done = here(*words, '--label-parts', '0.5:soft,1:hard')
    assert done.returncode == 0, done.stderr
    row = Report.open(tmp_path / 'r.json').rows[0]
    assert (row['protocol'], row['labels']) == ('quick, labels soft to 50 %, hard to 100 %', 'soft')
    for more, say in ((['0.5:soft'], 'such as 0.5:soft,1:hard'), (['1:soft', '--labels', 'hard'], '--label-parts')):
        done = here(*words, '--label-parts', *more)
        assert done.returncode == 1 and say in done.stderr


def real_images(classes, files):
    images = torch.zeros(len(files), 3, 1, 1, dtype=torch.uint8)
    return ImageData(images, torch.arange(len(files)) % len(classes), list(classes), names=np.array(files))


def test_published_numbers_stand_beside_the_same_conditions_only():
    own = [f'ILSVRC2012_val_{i:08d}.JPEG' for i in range(500)]
    fastai = [f'n02096294_{i}.JPEG' if i % 3 else name for i, name in enumerate(own)]
    asked = 'minimax', 'resnet_ap10', 10
    for classes in (WOOF, IMAGENET_SUBSETS['imagewoof'].split(), WOOF[::-1]):
        assert len(published_for(real_images(classes, own), *asked)) == 7
        assert not published_for(real_images(classes, own), *asked, 'soft')
        assert not published_for(real_images(classes, fastai), *asked)
        assert not published_for(real_images(classes, own[:490]), *asked)
        assert not published_for(classes, *asked)  # nobody knows which images
    assert not published_for(replace(real_images(WOOF, own), names=None), *asked)
    assert not published_for(real_images(class_names('imagenette'), own), 'minimax', 'convnet6', 10)


def test_sections_of_a_page_know_labels():
    about = dict(
        dataset='imagewoof-val', ipc=10, protocol='minimax', student='resnet_ap10', pool=0, draw=0, seconds=1.0
    )
    about |= dict(accuracy_best=0.5, network_evaluations=1)
    rows = [
        about | dict(method=m, seed=s, labels=kind, accuracy_last=0.4 + 0.01 * s)
        for m in 'ab'
        for s in range(3)
        for kind in ('hard', 'soft')
    ]
    test = real_images(WOOF, [f'ILSVRC2012_val_{i:08d}.JPEG' for i in range(500)])
    sections = table_sections(tabulate(Report(rows), 'a'), test)
    assert {('hard labels' in s['title'], len(s['published'])) for s in sections} == {(True, 7), (False, 0)}
