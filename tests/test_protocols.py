"The field's protocols beside independent implementations: torchvision's networks and transforms, torch's schedules, numpy."

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from psr_nb.classes import IMAGENET_SUBSETS, class_names
from psr_nb.core import PSRError
from psr_nb.data import load_data
from psr_nb.evaluate import PROTOCOLS, VIEWS, _test_view, evaluate, match_numbers
from psr_nb.images import ImageData
from psr_nb.learning import _optimizer, train_student
from psr_nb.protocols import training_plan
from psr_nb.scope import CIFAR10_CLASSES, scope
from psr_nb.students import make_student

WOOF = class_names('imagewoof')


def instance(channels):
    return nn.GroupNorm(channels, channels)


def torchvision_resnet(depth, size, norm):
    "torchvision's ResNet with the field's first layers."
    net = getattr(torchvision.models, f'resnet{depth}')(weights=None, num_classes=10, norm_layer=norm)
    if size <= 128:
        net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    if size <= 64:
        net.maxpool = nn.Identity()
    return net.eval()


big = lambda *values: pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize('depth', [18, big(34), big(50)])
@pytest.mark.parametrize('size', [32, 64, big(96), 128, 224])
def test_resnets_of_minimax(depth, size):
    ours = make_student(f'resnet{depth}', (3, size, size), 10, 'minimax').eval()
    theirs = torchvision_resnet(depth, size, instance)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), atol=1e-4)


@pytest.mark.parametrize(
    ('name', 'size'), [('resnet18', 32), ('resnet18', 224), big('resnet50', 224), big('resnet101', 64)]
)
def test_resnets_of_rded(name, size):
    ours = make_student(name, (3, size, size), 10, 'rded').eval()
    theirs = torchvision_resnet(int(name[6:]), 64 if size <= 64 else 224, None)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), atol=1e-3)
    scales = [p for n, p in ours.named_parameters() if n.endswith('weight') and p.ndim == 1]
    assert all((p == 1).all() for p in scales)


def plain_convnet(state, x, depth, padding):
    "ConvNet-D in functions, with instance norm."
    for i in range(depth):
        x = F.conv2d(x, state[f'body.{4 * i}.weight'], state[f'body.{4 * i}.bias'], padding=padding if i == 0 else 1)
        x = F.instance_norm(x, weight=state[f'body.{4 * i + 1}.weight'], bias=state[f'body.{4 * i + 1}.bias'])
        x = F.avg_pool2d(F.relu(x), 2)
    return F.linear(x.flatten(1), state['fc.weight'], state['fc.bias'])


@pytest.mark.parametrize(
    ('depth', 'shape', 'parameters'),
    [
        (3, (3, 32, 32), 320_010),
        (4, (3, 64, 64), 467_850),
        (5, (3, 128, 128), 615_690),
        (6, (3, 224, 224), 754_570),
        (3, (1, 28, 28), 317_706),
        (3, (1, 32, 32), 317_706),
    ],
)
def test_convnets(depth, shape, parameters):
    net = make_student(f'convnet{depth}', shape, 10, 'minimax')
    assert sum(p.numel() for p in net.parameters()) == parameters
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(net(x), plain_convnet(net.state_dict(), x, depth, 3 if shape[0] == 1 else 1), atol=1e-4)


def test_first_weights():
    "Normal with variance 2 / (k² · outputs) for residual networks; torch's own, uniform, for ConvNets."
    for name, protocol in (
        ('resnet_ap10', 'minimax'),
        ('resnet18', 'minimax'),
        ('resnet18', 'rded'),
        ('resnet50', 'rded'),
    ):
        for layer in make_student(name, (3, 64, 64), 10, protocol).modules():
            if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 5000:
                expected = math.sqrt(2 / (layer.kernel_size[0] ** 2 * layer.out_channels))
                assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
                assert (layer.weight.abs() > 3 * expected).any()  # not uniform
    layer = make_student('convnet3', (3, 32, 32), 10, 'minimax').body[4]
    assert layer.weight.abs().max().item() == pytest.approx(1 / math.sqrt(9 * 128), rel=0.01)


def test_cifar_networks_of_minimax_are_half_as_wide():
    here = scope('minimax', CIFAR10_CLASSES, (3, 32, 32), 'resnet18').protocol
    net = make_student('resnet18', (3, 32, 32), 10, here)
    assert (net.conv1.out_channels, net.fc.in_features, net.layer1[0].downsample) == (32, 256, None)
    assert make_student('resnet_ap10', (3, 32, 32), 10, here).num_features == 256
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_crops_in_distribution():
    "Share of the area and width over height, against torchvision's own draws."
    from psr_nb.augmentations import crop_boxes

    torch.manual_seed(0)
    image = torch.zeros(3, 224, 224)
    draw = torchvision.transforms.RandomResizedCrop.get_params
    theirs = torch.tensor([draw(image, [0.5, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)]).float()
    ours = crop_boxes(3000, 224, 224, (0.5, 1.0), generator=torch.Generator().manual_seed(1))
    points = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95])
    for of in (
        lambda b: b[:, 2] * b[:, 3] / 224**2,
        lambda b: (b[:, 3] / b[:, 2]).log(),
        lambda b: b[:, 0],
        lambda b: b[:, 1],
    ):
        a, b = (of(boxes).quantile(points) for boxes in (ours, theirs))
        assert ((a - b).abs() < 0.15 * of(theirs).std()).all()


def test_colours_against_torchvision():
    "One operation after another: torchvision's brightness, contrast and saturation with the same weights."
    from psr_nb.augmentations import colour_jitter

    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3  # nothing is clipped
    fits = 0
    for seed in range(40):
        g = torch.Generator().manual_seed(seed)
        out = colour_jitter(x, 0.4, g)
        g = torch.Generator().manual_seed(seed)
        order = torch.rand(1, 3, generator=g).argsort(1)[0].tolist()
        weights = ((torch.rand(1, 3, generator=g) * 2 - 1) * 0.4)[0].tolist()
        expected = x
        for kind, weight in zip(order, weights):
            change = (v2.functional.adjust_brightness, v2.functional.adjust_contrast, v2.functional.adjust_saturation)[
                kind
            ]
            expected = change(expected, 1 - weight)
        if expected.min() > 0 and expected.max() < 1:
            fits += torch.allclose(out, expected, atol=2e-3)
    assert fits > 20


def test_dsa_on_fixed_draws():
    "Rotation and scale by torchvision's affine map, the shift by slices, on the draws that were made."
    from psr_nb.augmentations import _shift, _warp

    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    angle = math.radians(12)
    turned = _warp(x, torch.tensor([[[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]]))
    expected = v2.functional.rotate(x, 12, interpolation=v2.InterpolationMode.BILINEAR)
    assert (turned - expected).abs().max() < 1e-4
    moved = _shift(x, 0.125, torch.Generator().manual_seed(3))
    shifts = [(d, r) for d in range(-4, 5) for r in range(-4, 5)]
    padded = F.pad(x, (4, 4, 4, 4))
    found = [s for s in shifts if torch.equal(moved, padded[..., 4 + s[0] : 36 + s[0], 4 + s[1] : 36 + s[1]])]
    assert len(found) == 1


def test_schedules_against_torch():
    for ipc in (1, 10, 50, 100):
        work = training_plan('minimax', 10 * ipc, 10)
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], work.lr)
        steps = [2 * work.epochs // 3, 5 * work.epochs // 6]
        theirs = torch.optim.lr_scheduler.MultiStepLR(optimizer, steps, 0.2)
        for epoch in range(work.epochs):
            assert work.rate(epoch) == pytest.approx(optimizer.param_groups[0]['lr'])
            optimizer.step()
            theirs.step()
    work = training_plan('rded', 100, 10, student='resnet18')
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], work.lr)
    theirs = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: 0.5 * (1 + math.cos(math.pi * e / work.epochs / 2)))
    for epoch in range(work.epochs):
        assert work.rate(epoch + 0.9) == pytest.approx(optimizer.param_groups[0]['lr'])  # constant within an epoch
        optimizer.step()
        theirs.step()


def test_what_is_decayed():
    "RDED: matrices called weight; not biases, norms, class tokens or position embeddings."
    net = make_student('vit_b_16', (3, 32, 32), 10, replace(PROTOCOLS['rded']))
    groups = _optimizer(net, training_plan('rded', 100, 10, student='vit_b_16')).param_groups
    names = {id(p): n for n, p in net.named_parameters()}
    decayed = {names[id(p)] for g in groups if g['weight_decay'] for p in g['params']}
    assert 'heads.head.weight' in decayed and 'conv_proj.weight' in decayed
    assert not {'encoder.pos_embedding', 'class_token', 'conv_proj.bias', 'encoder.ln.weight'} & decayed
    assert len(names) == sum(len(g['params']) for g in groups)


def test_the_loss_of_soft_labels():
    "The divergence at temperature 20, not multiplied by 400: a student that knows nothing, and a teacher that knows one class."
    from psr_nb.learning import _loss

    teacher, student = torch.randn(6, 10) * 5, torch.randn(6, 10)
    ours = _loss((student / 20).log_softmax(1), (teacher / 20).softmax(1), None, 1.0)
    theirs = nn.KLDivLoss(reduction='batchmean')(F.log_softmax(student / 20, 1), F.softmax(teacher / 20, 1))
    assert torch.allclose(ours, theirs)


@pytest.mark.parametrize(('protocol', 'size', 'edge', 'middle'), [('rded', 224, 256, 224), ('minimax', 256, 224, 224)])
def test_test_images_as_torchvision_prepares_them(protocol, size, edge, middle):
    "Resize and centre crop of Pillow's images, bilinear."
    pixels = np.random.default_rng(0).integers(0, 256, (260, 260, 3), dtype=np.uint8)
    small = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)
    image = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1)[None]
    here = scope(protocol, WOOF, (3, size, size), 'resnet18')
    ours = _test_view(ImageData(image, torch.zeros(1, dtype=torch.long), WOOF), here).images[0]
    prepare = v2.Compose([v2.Resize(edge), v2.CenterCrop(middle)])
    theirs = torch.from_numpy(np.asarray(prepare(small)).copy()).permute(2, 0, 1)
    assert ours.shape == theirs.shape and (ours.int() - theirs.int()).abs().max() <= 2


def test_epochs_and_batches():
    "The numbers of the field's code at every budget of its tables."
    epochs = {1: 3000, 10: 2000, 20: 1500, 50: 1500, 70: 1000, 100: 1000}
    assert {i: training_plan('minimax', 10 * i, 10).epochs for i in epochs} == epochs
    assert [training_plan('rded', n * i, n, i).batch_size for n in (10, 100, 1000) for i in (1, 10, 50)] == [
        *(10, 50, 100),
        *(20, 100, 200),
        *(20, 100, 200),
    ]
    for ipc in (1, 10, 50):
        work = training_plan('minimax', 10 * ipc, 10, data='cifar10')
        assert (work.epochs, work.batch_size, work.tests) == (1000, min(64, 10 * ipc), (1000,))


def test_a_protocol_outside_its_domain_says_so():
    test = load_data('fashion-mini', 'test').per_class(2)
    few = load_data('fashion-mini').per_class(1)
    row = evaluate(few, test, 'minimax', seeds=1, epochs=1, progress=False).rows[0]
    assert row['protocol'] == 'minimax, adapted: 32 px (1 epochs)'
    assert evaluate(few, test, 'quick', seeds=1, epochs=1, progress=False).rows[0]['protocol'] == 'quick (1 epochs)'


def test_training_does_not_read_test_labels():
    "Other test labels, the same student."
    few, test = load_data('fashion-mini').per_class(2), load_data('fashion-mini', 'test').per_class(3)
    other = replace(test, labels=(test.labels + 1) % 10)
    a, b = (list(train_student(few.images, few.labels, t, epochs=3))[-1].model.state_dict() for t in (test, other))
    assert all(torch.equal(a[k], b[k]) for k in a)


def numbered(names, per_class=1):
    n = len(names) * per_class
    images = torch.randint(0, 255, (n, 3, 16, 16), dtype=torch.uint8)
    return ImageData(images, torch.arange(len(names)).repeat_interleave(per_class), list(names), 'theirs')


def test_numbered_classes():
    test = numbered([f'class {c}' for c in 'abcdefghijkl'])
    data, words = match_numbers(numbered([str(i) for i in (0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)]), test)
    assert data.classes == test.classes and data.labels.tolist() == [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
    assert '0 → class a' in words
    for wrong in ([str(i) for i in range(1, 13)], ['new000', 'new001']):
        with pytest.raises(PSRError, match='0 to 11, each once'):
            match_numbers(numbered(wrong), test)
    ids = numbered(sorted(IMAGENET_SUBSETS['imagewoof'].split()))
    assert match_numbers(ids, numbered(WOOF)) == (ids, '')


@pytest.mark.slow
def test_layouts_of_others(tmp_path):
    "Folders by number, by WordNet id with CaO2's second folders, and tensors, through the function of the shell."
    from psr_nb.stages import evaluate_set

    def put(path, seed):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)

    ids = sorted(IMAGENET_SUBSETS['imagewoof'].split())[:3]
    for i, wnid in enumerate(ids):
        for split in ('train', 'val'):
            put(tmp_path / 'real' / split / wnid / 'a.png', 10 + i + 5 * (split == 'val'))
        put(tmp_path / 'minimax' / wnid / '0.png', i)
        put(tmp_path / 'cao2' / wnid / '0.png', i)
        put(tmp_path / 'cao2' / f'{wnid}_ss' / '0.png', 90 + i)
        put(tmp_path / 'rded' / f'{i:05d}' / f'class{i:05d}_id00000.jpg', i)
        put(tmp_path / 'sre2l' / f'new{i:03d}' / f'class{i:03d}_id000.jpg', i)
        put(tmp_path / 'd4m' / f'{i}' / f'{i}-image00.png', i)
    torch.save([torch.rand(3, 3, 16, 16), torch.arange(3)], tmp_path / 'idc.pt')
    said = []
    for name in ('minimax', 'cao2', 'rded', 'sre2l', 'd4m', 'idc.pt'):
        report = evaluate_set(
            tmp_path / name, tmp_path / 'real', students=['convnet2'], seeds=1, progress=False, say=said.append
        )
        assert report.rows[0]['ipc'] == 1 and len(report) == 1
    assert sum('by number' in words for words in said) == 4


def test_rded_views_are_torchvisions_at_small_sizes():
    "A crop of everything is the image, whatever ratio is drawn."
    crop = v2.RandomResizedCrop(32, scale=(1, 1), antialias=True)
    x = torch.rand(3, 32, 32)
    torch.manual_seed(0)
    assert all(torch.allclose(crop(x), x, atol=1e-6) for _ in range(50))
    y = VIEWS['rded'](x[None], torch.Generator().manual_seed(0))[0]
    assert torch.equal(y, x) or torch.equal(y, x.flip(-1))
