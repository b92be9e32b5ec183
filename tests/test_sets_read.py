"""Sets as people leave them: names that files hold, colours that files do not tell, layouts of tensors."""

import io
import json
import tarfile
import warnings

import numpy as np
import pytest
import torch
from commands import here
from PIL import Image

from psr_nb.classes import IMAGENET_SUBSETS, class_names, imagenet_index, numbered_classes
from psr_nb.core import PSRError
from psr_nb.data import load_data
from psr_nb.distilled import DistilledSet
from psr_nb.evaluate import Report, evaluate, named_as
from psr_nb.file_tensors import colours_of
from psr_nb.formats import EXPORTS
from psr_nb.images import ImageData
from psr_nb.stages import open_set

NAMES = ['owl', 'T-shirt/top', 'ant', 'dog 50%']


def a_set(names=NAMES):
    images = torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return DistilledSet(images, torch.arange(4).repeat_interleave(2), list(names))


UNNAMED = ('sheet', 'wordnet', 'rded', 'ddranking')  # pictures, ids and numbers in place of names


@pytest.mark.parametrize('form', [f for f in EXPORTS if f not in UNNAMED])
def test_exports_keep_the_names_of_the_classes(tmp_path, form):
    "Each image has its name again, whatever order the classes had."
    write, ending = EXPORTS[form]
    write(a_set(), tmp_path / f'set{ending}')
    home = tmp_path / f'set{ending}'
    back = load_data(home / 'train' if form == 'folder' else home).restrict(NAMES)
    assert sorted(back.classes) == sorted(NAMES)
    rows = {image.numpy().tobytes(): back.classes[c] for image, c in zip(back.images, back.labels)}
    mine = a_set()
    assert [rows[i.numpy().tobytes()] for i in mine.images] == [NAMES[c] for c in mine.labels]


def shard(path, rows):
    "A tar of a picture, a number and a JSON for each row."
    picture = io.BytesIO()
    Image.new('RGB', (8, 8)).save(picture, 'png')
    with tarfile.open(path, 'w') as tar:
        for i, (number, about) in enumerate(rows):
            for ending, data in (('png', picture.getvalue()), ('cls', f'{number}'.encode()), ('json', about.encode())):
                entry = tarfile.TarInfo(f'{i:03}.{ending}')
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))


def test_names_in_shards_are_those_of_classes(tmp_path):
    "Two splits that number their classes differently; captions and broken JSON are no names."
    say = lambda name: json.dumps(dict(label=name))
    shard(tmp_path / 'train.tar', [(0, say('owl')), (5, say('ant'))])
    shard(tmp_path / 'test.tar', [(0, say('ant')), (1, say('owl'))])
    train, test = load_data(tmp_path), load_data(tmp_path, 'test')
    named = [[data.classes[c] for c in data.labels] for data in (train, test)]
    assert train.classes == test.classes and named == [['owl', 'ant'], ['ant', 'owl']]
    shard(tmp_path / 'captions.tar', [(0, say('an owl')), (0, say('two owls')), (1, say('an ant'))])
    assert load_data(tmp_path / 'captions.tar').classes == ['0', '1']
    shard(tmp_path / 'broken.tar', [(0, '{'), (1, say('ant'))])
    assert load_data(tmp_path / 'broken.tar').classes == ['0', '1']


def test_names_of_digits_in_shards_are_names(tmp_path):
    "A set of two of ten digits had the classes 0 and 1."
    made = DistilledSet(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]), ['3', '5'])
    EXPORTS['webdataset'][0](made, tmp_path / 'set.tar')
    assert load_data(tmp_path / 'set.tar').classes == ['3', '5']


def test_names_in_arrays_and_tables(tmp_path):
    "Pickled names stay closed, and that is said; a column of names beside one of numbers counts."
    images, labels = np.zeros((3, 8, 8), np.uint8), np.array([1, 0, 1])
    images[:] = np.arange(20, 23)[:, None, None]
    np.savez(tmp_path / 'a.npz', images=images, labels=labels, classes=np.array(['owl', 'ant', 'bee']))
    assert load_data(tmp_path / 'a.npz').classes == ['owl', 'ant', 'bee']
    np.savez(tmp_path / 'b.npz', images=images, labels=labels, classes=np.array(['owl', 'ant'], object))
    with pytest.warns(UserWarning, match='not opened'):
        assert load_data(tmp_path / 'b.npz').classes == ['0', '1']
    np.savez(tmp_path / 'c.npz', images=images, labels=labels, classes=np.array(['owl']))
    with pytest.raises(PSRError, match='one for each class name'):
        load_data(tmp_path / 'c.npz')
    (tmp_path / 'table').mkdir()
    lines = ['file_name,label,class_name,species']
    for i, (number, name) in enumerate(((0, 'owl'), (1, 'ant'), (0, 'owl'))):
        Image.new('L', (8, 8), 99 + i).save(tmp_path / 'table' / f'{i}.png')
        lines.append(f'{i}.png,{number},{name},wild')
    (tmp_path / 'table' / 'metadata.csv').write_text('\n'.join(lines))
    data = load_data(tmp_path / 'table')
    assert [data.classes[c] for c in data.labels] == ['owl', 'ant', 'owl']
    assert load_data(tmp_path / 'table', label_column='label').classes == ['0', '1']


COLOURS = {
    'CIFAR': ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    'CIFAR-10': ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    'CIFAR-100': ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    'SVHN': ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    'ImageNet': ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    'one half': ((0.5,) * 3, (0.5,) * 3),
}


def smooth(low=0.0, high=1.0, size=32):
    "Floats that have no levels of bytes and no clipped ends."
    coarse = torch.rand(12, 3, 6, 6, generator=torch.Generator().manual_seed(4))
    images = torch.nn.functional.interpolate(coarse, (size, size), mode='bicubic', align_corners=False)
    images = (images - images.min()) / (images.max() - images.min())
    return low + (high - low) * images


def normalised(images, name):
    mean, std = (torch.tensor(c).view(1, 3, 1, 1) for c in COLOURS[name])
    return (images - mean) / std


def away(path, stored, want):
    "How far the pixels that are read are from those that are wanted, of 255; None: refused with a way out."
    torch.save([stored, torch.arange(12)], path / 'data.pt')
    with warnings.catch_warnings(record=True):
        warnings.simplefilter('always')
        try:
            data = load_data(path / 'data.pt')
        except PSRError as e:
            assert 'uint8' in str(e) or '[0, 1]' in e.hint
            return None
    return (data.images / 255 - want.clamp(0, 1)).abs().mean().item() * 255


@pytest.mark.parametrize('noise', [0.02, 0.05, 0.1])
@pytest.mark.parametrize('scale', [1, 255])
def test_values_a_little_outside_are_clipped(tmp_path, noise, scale):
    "Noise does not make images normalised ones."
    images = smooth()
    noisy = images + noise * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    if scale == 255 and noise == 0.1:
        return  # 60 below black is more than a little
    found = away(tmp_path, scale * noisy, noisy)
    assert found is not None and found < 0.5


def test_overshoot_of_bytes_is_clipped(tmp_path):
    images = smooth(-3 / 255, 258 / 255)
    found = away(tmp_path, 255 * images, images)
    assert found is not None and found < 0.5


@pytest.mark.parametrize('name', COLOURS)
@pytest.mark.parametrize(('low', 'high'), [(0, 1), (0.25, 0.75), (0.5, 1), (0, 0.5), (0.8, 1)])
def test_normalised_images_that_were_files_are_undone(tmp_path, name, low, high):
    "Levels of bytes tell the normalisation, whatever the contrast; half precision does not hide it."
    levels = (255 * smooth(low, high)).round() / 255
    for stored in (normalised(levels, name), normalised(levels, name).half()):
        found = away(tmp_path, stored, levels)
        assert found is not None and found < 0.6


@pytest.mark.parametrize('name', COLOURS)
def test_colours_are_not_guessed(tmp_path, name):
    "Without levels a set is read rightly or refused. Exactly [0, 1] is the one case that nothing could tell."
    for low, high in ((0, 1), (0.15, 0.85), (0.25, 0.75), (0, 0.5), (0.5, 1), (0.3, 1)):
        images = smooth(low, high)
        for more in (0, 0.05):
            noisy = images + more * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
            if name == 'one half' and low == 0.5:
                continue
            found = away(tmp_path, normalised(noisy, name), noisy)
            assert found is None or found < 2, (low, high, more, found)
    ends = torch.rand(12, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = away(tmp_path, normalised(ends, name), ends)
    assert found is not None and found < 2


def test_dark_floats_in_arrays_are_refused(tmp_path):
    "All-bright normalised images are no bytes that are nearly black."
    bright = normalised(smooth(0.6, 1), 'ImageNet').permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / 'a.npz', images=bright, labels=np.arange(12))
    with pytest.raises(PSRError, match='undo a normalisation'):
        load_data(tmp_path / 'a.npz')
    with pytest.raises(PSRError, match='undo a normalisation'):
        load_data(torch.utils.data.TensorDataset(torch.from_numpy(bright), torch.arange(12)))


@pytest.mark.parametrize('split', ['', 'train', 'run/train'])
def test_candidates_of_cao2_are_left_out(tmp_path, split):
    "Folders NAME_ss beside the classes and inside them, with a sentence; a class that is only called so stays."
    for i, name in enumerate(('n02086240', 'n02087394', 'glass_ss')):
        folders = [name, f'{name}_ss', f'{name}/{name}_ss'] if i < 2 else [name]
        for j, folder in enumerate(folders):
            home = tmp_path / split / folder
            home.mkdir(parents=True, exist_ok=True)
            for k in range(1 + 2 * (j > 0)):
                Image.new('RGB', (8, 8), (60 * i, 60 * j, 9 * k)).save(home / f'{k}.png')
    with pytest.warns(UserWarning, match='left out 12 pictures in folders NAME_ss'):
        data = load_data(tmp_path)
    assert data.classes == ['glass_ss', 'n02086240', 'n02087394'] and len(data) == 3


def reread(path, content):
    torch.save(content, path / 'data.pt')
    return load_data(path / 'data.pt')


def test_layouts_of_tensors(tmp_path):
    "Lists, a tensor for each class, five dimensions, channels last, grey without channels: the same images and labels."
    images, labels = (255 * smooth(size=8)).round() / 255, torch.arange(6).repeat_interleave(2)
    five, parts = images.view(6, 2, 3, 8, 8), list(images.split(2))
    contents = [
        [images, labels.tolist()],
        [images, [[label] for label in labels.tolist()]],
        (labels, images),
        parts,
        dict(enumerate(parts)),
        {str(5 - k): parts[5 - k] for k in range(6)},
        [five, labels],
        [five, labels.view(6, 2)],
        [five, torch.arange(6)],
        [images.permute(0, 2, 3, 1), labels],
        [(255 * images).to(torch.uint8).permute(0, 2, 3, 1), labels],
        {'image_syn': images, 'label_syn': labels},
        {'data': images, 'target': labels},
    ]
    wanted = {(i.numpy().tobytes(), f'{c}') for i, c in zip((255 * images).to(torch.uint8), labels)}
    for content in contents:
        data = reread(tmp_path, content)
        assert {(i.numpy().tobytes(), data.classes[c]) for i, c in zip(data.images, data.labels)} == wanted
    with pytest.warns(UserWarning, match='taken as 6 classes of 2 images'):
        torch.save(five, tmp_path / 'images.pt')
        assert len(load_data(tmp_path / 'images.pt').classes) == 6
    assert reread(tmp_path, [images[:, 0], labels]).images.shape == (12, 1, 8, 8)
    assert reread(tmp_path, {i: images[i] for i in range(12)}).labels.tolist() == list(range(12))
    named = reread(tmp_path, {'owl': images[:5], 'ant': images[5:]})
    assert [named.classes[c] for c in named.labels] == ['owl'] * 5 + ['ant'] * 7
    words = reread(tmp_path, [images, ['owl'] * 5 + ['ant'] * 7])
    assert [words.classes[c] for c in words.labels] == ['owl'] * 5 + ['ant'] * 7


def test_names_in_tensors(tmp_path):
    images, labels = smooth(size=8), torch.arange(12) % 3
    for key in ('classes', 'class_names'):
        assert reread(tmp_path, {'images': images, 'labels': labels, key: ['c', 'a', 'b']}).classes == ['c', 'a', 'b']
    with pytest.raises(PSRError, match='one for each class name'):
        reread(tmp_path, {'images': images, 'labels': labels, 'classes': ['c', 'a']})


def test_soft_labels_of_sets_that_are_joined(tmp_path):
    "They say nothing of the other set's classes; without those of one set there are none."
    images, soft = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8), torch.rand(4, 2).softmax(1)
    for name, classes in (('a', ['cat', 'dog']), ('b', ['ant', 'bee'])):
        torch.save(dict(images=images, soft_labels=soft, classes=classes), tmp_path / f'{name}.pt')
    torch.save(dict(images=images, labels=torch.arange(4) % 2, classes=['oak', 'elm']), tmp_path / 'c.pt')
    with pytest.warns(UserWarning, match='kept as soft labels'):
        both = load_data(f'{tmp_path / "a.pt"} + {tmp_path / "b.pt"}')
    with pytest.warns(UserWarning, match='the soft labels of a are left out, since others have none'):
        mixed = load_data(f'{tmp_path / "a.pt"}+{tmp_path / "c.pt"}')
    assert both.classes == ['cat', 'dog', 'ant', 'bee'] and torch.allclose(
        both.soft_labels, torch.block_diag(soft, soft)
    )
    assert mixed.soft_labels is None and mixed.labels.max() == 3


def test_soft_labels_say_how_many_classes_there_are(tmp_path):
    "A class that no image is likeliest of is a class; of a thousand outputs those count that occur."
    images, labels = smooth(size=8), torch.arange(12).clamp(max=8)
    for kind in (torch.nn.functional.one_hot(labels, 10), torch.nn.functional.one_hot(labels, 10) * 0.9 + 0.01):
        data = reread(tmp_path, [images, kind])
        assert data.classes == [str(i) for i in range(10)] and data.labels.tolist() == labels.tolist()
    wide = torch.zeros(12, 1000)
    wide[torch.arange(12), 100 * labels] = 9.5
    assert reread(tmp_path, [images, wide]).classes == [str(100 * i) for i in range(9)]


def test_what_is_still_refused(tmp_path):
    "Images without labels, one picture, rows of different lengths."
    images = smooth(size=8)
    for content in (images, list(images), [images[0], images[1]], [images, [[1], [2, 3]]], {'owl': images}):
        with pytest.raises(PSRError):
            reread(tmp_path, content)


@pytest.mark.parametrize('subset', IMAGENET_SUBSETS)
def test_numbers_that_may_mean_two_orders(subset):
    "ImageNet's own numbers are clear; positions are clear where the field's list and the WordNet ids have one order."
    field = IMAGENET_SUBSETS[subset].split()
    by_id = sorted(field)
    places = list(range(len(field)))
    own = [i for w in field if (i := imagenet_index(w)) is not None]
    assert [by_id[i] for i in numbered_classes(own, by_id)] == field
    assert numbered_classes(places, class_names(subset)) == places
    if field == by_id:
        assert numbered_classes(places[::-1], by_id) == places[::-1]
        return
    with pytest.raises(PSRError, match=f'two orders.*--classes {subset}'):
        numbered_classes(places, by_id)
    with pytest.raises(PSRError, match='two orders'):
        numbered_classes(places, [class_names([w])[0] for w in by_id])
    assert numbered_classes(places[:5], by_id[:5]) == places[:5]  # a part of the classes is no list of the field


def test_numbers_that_mean_nothing():
    for numbers in ([1, 2, 3], [0, 1], [0, 1, 1], [0, 2, 9]):
        with pytest.raises(PSRError, match='0 to 2, each once'):
            numbered_classes(numbers, ['owl', 'ant', 'bee'])


@pytest.mark.parametrize('name', ['CIFAR', 'CIFAR-100', 'ImageNet', 'one half'])
def test_colours_that_somebody_knows(tmp_path, name):
    "Optimised pixels are no levels of bytes: refused, unless somebody says how they were normalised."
    g = torch.Generator().manual_seed(0)
    shown = torch.rand(40, 3, 8, 8, generator=g)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in COLOURS[name])
    torch.save(((shown - mean) / std + 0.3 * torch.randn(shown.shape, generator=g)), tmp_path / 'images.pt')
    torch.save(torch.arange(40) % 4, tmp_path / 'labels.pt')
    with pytest.raises(PSRError, match='--colours NAME|cannot be undone'):
        load_data(str(tmp_path))
    with colours_of(name), pytest.warns(UserWarning, match=f'the colours of {name} are undone'):
        found = load_data(str(tmp_path))
    wanted = (torch.load(tmp_path / 'images.pt') * std + mean).clamp(0, 1) * 255
    assert (found.images.float() - wanted).abs().max() <= 0.6
    with pytest.raises(PSRError, match="Did you mean 'CIFAR'"), colours_of('CIFA'):
        pass
    with pytest.raises(PSRError, match='1 channels'), colours_of('MNIST'):
        load_data(str(tmp_path))


def test_exports_for_the_scripts_of_others(tmp_path):
    "Folders by WordNet id, RDED's numbered folders, DD-Ranking's tensors: written as they are read there, and read here."
    names = class_names('imagewoof')
    g = torch.Generator().manual_seed(0)
    coarse = torch.rand(20, 3, 4, 4, generator=g)
    pixels = (torch.nn.functional.interpolate(coarse, (16, 16), mode='bilinear') * 255).byte()
    labels = torch.arange(10).repeat_interleave(2)
    ours = DistilledSet(pixels, labels, names, torch.nn.functional.one_hot(labels, 10) * 0.9 + 0.01)
    for form in ('wordnet', 'rded', 'ddranking'):
        EXPORTS[form][0](ours, tmp_path / form)
    found = load_data(str(tmp_path / 'wordnet')).restrict(names)
    order = found.labels.argsort(stable=True)  # the folders are in the order of the ids
    assert torch.equal(found.images[order], pixels) and found.labels[order].tolist() == labels.tolist()
    files = sorted(f.relative_to(tmp_path / 'rded').as_posix() for f in (tmp_path / 'rded').rglob('*.jpg'))
    assert files[:3] == [f'{c:05d}/class{c:05d}_id{i:05d}.jpg' for c, i in ((0, 0), (0, 1), (1, 0))]
    numbered = load_data(str(tmp_path / 'rded'))
    assert numbered.labels.tolist() == labels.tolist()
    assert (numbered.images.float() - pixels.float()).abs().mean() < 4
    images, soft = (torch.load(tmp_path / 'ddranking' / f'{n}.pt') for n in ('images', 'labels'))
    assert torch.equal((images * 255).round().byte(), pixels)
    assert torch.allclose(soft.exp(), ours.soft_labels, atol=1e-5)
    with pytest.warns(UserWarning, match='soft'):
        assert torch.equal(load_data(str(tmp_path / 'ddranking')).images, pixels)
    plain = DistilledSet(pixels, labels, names)
    EXPORTS['ddranking'][0](plain, tmp_path / 'hard')
    assert torch.load(tmp_path / 'hard' / 'labels.pt').tolist() == labels.tolist()


def packed_set(folder, side=16, factor=2, classes=4, name='data.pt'):
    "Two images per class that IDC would have packed: the parts of each are of one grey."
    folder.mkdir(parents=True, exist_ok=True)
    labels = torch.arange(classes).repeat_interleave(2)
    grey = torch.rand(len(labels), factor, factor, generator=torch.Generator().manual_seed(0))
    each = -(-side // factor)
    images = grey.repeat_interleave(each, 1).repeat_interleave(each, 2)[:, None, :side, :side].expand(-1, 3, -1, -1)
    torch.save([images.clone(), labels], folder / name)
    return folder / name, grey, labels


def test_a_factor_that_somebody_says(tmp_path):
    "Each part becomes an image of the whole size, with the class of the image that it was in."
    path, grey, labels = packed_set(tmp_path)
    with pytest.warns(
        UserWarning, match='8 images, packed with factor 2, are 32 images of 16×16.*count 8.*stored are 2'
    ):
        data = load_data(path, factor=2)
    assert data.images.shape == (32, 3, 16, 16) and data.labels.tolist() == labels.repeat(4).tolist()
    shown = data.images.float().mean((1, 2, 3)) / 255
    assert (shown - grey.permute(1, 2, 0).flatten()).abs().max() < 0.01  # part after part, as IDC's code has them
    assert load_data(path).images.shape == load_data(path, factor=1).images.shape == (8, 3, 16, 16)


def test_a_factor_that_the_file_or_its_folder_names(tmp_path):
    "No option is needed; one that is given is heard first; parts of several sizes are refused."
    idc = tmp_path / 'conv3in_grad_l1_nd2000_cut_factor2_lr0.005_mix_ipc10'
    path, _, labels = packed_set(idc)
    with pytest.warns(UserWarning, match='factor 2'):
        assert len(load_data(idc)) == 32
    assert len(load_data(idc, factor=1)) == 8
    images = torch.load(path)[0]
    bytes_too = (images * 255).round().to(torch.uint8)
    for number, value in enumerate((2, torch.tensor(2))):
        torch.save({'images': bytes_too, 'labels': labels, 'factor': value}, tmp_path / f'named{number}.pt')
        with pytest.warns(UserWarning, match='factor 2'):
            assert len(load_data(tmp_path / f'named{number}.pt')) == 32
    several = tmp_path / 'conv3in_grad_l1_factor2_multi_lr0.005_mix_ipc10'
    packed_set(several)
    with pytest.raises(PSRError, match='parts of one size.*factor2_multi.*--factor 2'):
        load_data(several)
    assert len(load_data(packed_set(tmp_path / 'refactor2d')[0])) == 8  # a word that is not IDC's


def test_a_factor_that_does_not_divide_the_side(tmp_path):
    "IDC's own for ImageNet: 3 at 224 px. The image is filled up with grey, as in IDC's code."
    path, grey, _ = packed_set(tmp_path, side=16, factor=3)
    with pytest.warns(UserWarning, match='factor 3'):
        data = load_data(path, factor=3)
    assert data.images.shape == (72, 3, 16, 16)
    first = data.images[:8].float().mean((1, 2, 3)) / 255
    assert (first - grey[:, 0, 0]).abs().max() < 0.01


def test_options_of_tensors_that_nothing_can_hear(tmp_path):
    "Numbers that are no factor, and sets that are no tensors."
    path, _, _ = packed_set(tmp_path / 'packed')
    for factor in (0, 1.5, True, 'two', 65):
        with pytest.raises(PSRError, match='--factor.*whole number from 1 to 64.*1 means that nothing is packed'):
            load_data(path, factor=factor)
    with pytest.raises(PSRError, match='parts of at least 2 pixels'):
        load_data(path, factor=9)
    a_set().save(tmp_path / 'set')
    for how in (dict(factor=2), dict(colours='CIFAR')):
        for name in (tmp_path / 'set' / 'train', 'fashion-mini'):
            with pytest.raises(PSRError, match=r'a set of tensors \(.pt\)'):
                load_data(name, **how)
        with pytest.raises(PSRError, match='a set of tensors.*the distilled set'):
            open_set(tmp_path / 'set', 'fashion-mini', **how)


def test_a_packed_set_in_the_shell(tmp_path):
    "The factor is said before anything is trained, and the table counts what is trained on."
    real = load_data('fashion-mini').per_class(1)
    names, small = real.classes, torch.nn.functional.avg_pool2d(real.images.float() / 255, 2)
    packed = small.repeat(1, 1, 2, 2)
    torch.save({'images': packed, 'labels': real.labels, 'classes': names}, tmp_path / 'data.pt')
    words = ['evaluate', tmp_path / 'data.pt', '--data', 'fashion-mini', '--students', 'convnet2', '--seeds', 1, '-q']
    done = here(*words, '--factor', 2, '--out', tmp_path / 'r.json')
    assert done.returncode == 0, done.stderr
    assert '10 images, packed with factor 2, are 40 images of 32×32' in done.stdout + done.stderr
    assert Report.open(tmp_path / 'r.json').rows[0]['ipc'] == 4
    done = here(*words, '--factor', 17)
    assert done.returncode == 1 and 'parts of at least 2 pixels' in done.stderr
    done = here('data', tmp_path / 'data.pt', '--factor', 2, '--no-near')
    assert done.returncode == 0 and '40 images, 4 to 4 per class' in done.stdout


def soft_set(n=12, count=4, side=8):
    "Smooth images, and logits that are sure of each image's class."
    labels = torch.arange(n) % count
    logits = torch.randn(n, count, generator=torch.Generator().manual_seed(1))
    logits[torch.arange(n), labels] += 6
    return smooth(size=side), labels, logits


@pytest.mark.parametrize('kind', ['logits', 'logarithms of probabilities', 'probabilities'])
def test_soft_labels_of_a_file_are_kept(tmp_path, kind):
    "Whatever they were stored as, they are the softmax of the logits; the likeliest class is the class."
    images, labels, logits = soft_set()
    stored = {
        'logits': logits,
        'logarithms of probabilities': logits.log_softmax(1),
        'probabilities': logits.softmax(1),
    }
    torch.save(images, tmp_path / 'images.pt')
    torch.save(stored[kind].half(), tmp_path / 'labels.pt')
    with pytest.warns(
        UserWarning, match=f'labels are {kind} of 4 classes, kept as soft labels of temperature 1; the like'
    ):
        data = load_data(tmp_path)
    assert data.labels.tolist() == labels.tolist()
    assert (data.soft_labels - logits.softmax(1)).abs().max() < 0.01
    some = data.restrict(['2', '0'])
    assert some.labels.tolist() == [{2: 0, 0: 1}[c] for c in labels.tolist() if c in (0, 2)]
    kept = [c in (0, 2) for c in labels.tolist()]
    assert (some.soft_labels - logits[kept][:, [2, 0]].softmax(1)).abs().max() < 0.01
    assert torch.equal(load_data(tmp_path, classes=['2', '0']).soft_labels, some.soft_labels)


def test_soft_labels_beside_class_numbers(tmp_path):
    "A file that has both keeps both, also where the likeliest class is another one."
    images, labels, logits = soft_set()
    torch.save({'images': images, 'labels': labels.flip(0), 'soft_labels': logits}, tmp_path / 'both.pt')
    with pytest.warns(UserWarning, match='logits of 4 classes'):
        data = load_data(tmp_path / 'both.pt')
    assert data.labels.tolist() == labels.flip(0).tolist()
    assert torch.allclose(data.soft_labels, logits.softmax(1), atol=1e-5)
    for bad in (logits[:5], logits * torch.nan, logits[:, :, None]):
        torch.save({'images': images, 'labels': bad}, tmp_path / 'bad.pt')
        with pytest.raises(PSRError):
            load_data(tmp_path / 'bad.pt')


def test_exported_soft_labels_train_the_same_student(tmp_path):
    "DD-Ranking's tensors, .pt and safetensors, read back, against the distilled set itself."
    real = load_data('fashion-mini').per_class(1)
    test = load_data('fashion-mini', 'test').per_class(5)
    soft = (4 * torch.nn.functional.one_hot(real.labels, 10) + torch.rand(10, 10)).softmax(1)
    ours = DistilledSet(real.images, real.labels, real.classes, soft)
    how = dict(students='convnet2', seeds=1, epochs=3, progress=False)
    wanted = evaluate(ours, test, labels='soft', **how).rows[0]
    for form in ('ddranking', 'pt', 'safetensors'):
        write, ending = EXPORTS[form]
        write(ours, tmp_path / f'set{form}{ending}')
        with pytest.warns(UserWarning, match='kept as soft labels'):
            found = load_data(tmp_path / f'set{form}{ending}')
        assert found.soft_labels is not None and (found.soft_labels - soft).abs().max() < 1e-3
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            got = evaluate(found, test, labels='soft', **how).rows[0]
        assert abs(got['accuracy_last'] - wanted['accuracy_last']) <= 0.021  # one test image more or less
        with pytest.warns(UserWarning, match='hard classes, the likeliest of its soft labels.*--labels soft'):
            evaluate(found, test, **how)
    with pytest.raises(PSRError, match='one: protocol rded.*protocol="minimax" with labels="soft"'):
        evaluate(found, test, 'rded', **how)


def test_numbered_soft_labels_follow_their_classes():
    "Classes called by numbers that are not in the order of the positions."
    test = load_data('fashion-mini', 'test').per_class(1)
    order = [3, 1, 0, 2, 9, 8, 7, 6, 5, 4]  # column -> class
    soft = torch.nn.functional.one_hot(torch.arange(10), 10) * 0.9 + 0.01
    images = ImageData(test.images, torch.arange(10), [f'class{i}' for i in order], 'x', soft_labels=soft)
    found, _ = named_as(images, test)
    assert found.labels.tolist() == order
    assert torch.equal(found.soft_labels.argmax(1), found.labels)
