"A data set is what it shows, not what it is called: hold-out, checkpoints, records, licences and tables go by that."

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from psr_nb.core import PSRError
from psr_nb.data import DataSource, load_data
from psr_nb.images import Holdout, ImageData
from psr_nb.seen import read_record, seen_words, write_record
from psr_nb.train_teacher import train_teacher

SMALL = dict(model_args=dict(layers=(1, 1, 1, 1), channels=(8, 8, 8, 8)), epochs=4, batch_size=4, device='cpu')


def drawn(seed=0, n=20, classes=('a', 'b'), name='data'):
    g = torch.Generator().manual_seed(seed)
    return ImageData(torch.randint(256, (n, 1, 32, 32), generator=g).byte(), torch.arange(n) % 2, list(classes), name)


def photos(folder, names=('a', 'b'), n=10, size=(40, 30), seed=0, kind='png'):
    g = np.random.default_rng(seed)
    for i in range(n):
        for name in names:
            (folder / name).mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(g.integers(0, 256, (size[1], size[0], 3), np.uint8))
            picture.save(folder / name / f'{i}.{kind}')
    return folder


def as_table(folder, file):
    "The same images in a parquet file, in another order."
    import pandas as pd

    files = sorted(folder.rglob('*.png'))[::-1]
    pd.DataFrame(dict(image=[f.read_bytes() for f in files], label=[f.parent.name for f in files])).to_parquet(file)
    return file


def test_the_same_images_are_held_out_of_a_folder_a_table_and_another_format(tmp_path):
    folder = photos(tmp_path / 'set')
    held = lambda source, **more: set(load_data(source, 'test', holdout=0.2, **more).image_keys.tolist())
    first = held(folder)
    assert len(first) == 4
    assert held(as_table(folder, tmp_path / 'set.parquet')) == first
    for file in list(folder.rglob('*.png')):
        Image.open(file).save(file.with_suffix('.bmp'))
        file.unlink()
    assert held(folder) == first == held(folder, size=8) == held(folder, size=16, channels=1)
    assert held(folder, classes=['b', 'a']) == first
    assert held(DataSource(folder, holdout='0.2:0')) == first
    other = set(load_data(folder, 'test', holdout='0.2:7').image_keys.tolist())
    assert other != first and len(other) == 4


def test_a_photo_that_is_there_twice_stays_on_one_side(tmp_path):
    folder = photos(tmp_path / 'set')
    for i in range(10):
        Image.open(folder / 'a' / f'{i}.png').save(folder / 'a' / f'copy of {i}.tiff')
    rest, held = (load_data(folder, split, holdout=0.3) for split in ('train', 'test'))
    assert not set(rest.image_keys.tolist()) & set(held.image_keys.tolist())
    assert held.labels.bincount().tolist() == [6, 3] and len(rest) + len(held) == 30


@pytest.mark.parametrize('given', ['0', '1', '-0.1', '20 %', '0.2:x', 'nan'])
def test_shares_that_are_none(given):
    with pytest.raises(PSRError, match='--holdout'):
        Holdout.parse(given)


def test_a_class_of_one_image_cannot_be_held_out():
    data = drawn(n=3)
    with pytest.raises(PSRError, match='class b'):
        data.hold_out(0.2)


def test_fingerprints_tell_sets_apart_and_not_their_order():
    data = drawn()
    assert data.take(torch.randperm(20)).fingerprint == data.fingerprint == drawn(name='other').fingerprint
    assert data.restrict(['b', 'a']).fingerprint == data.fingerprint
    different = [drawn(1), drawn(classes=('a', 'c')), data.take(range(19)), replace(data, labels=1 - data.labels)]
    different += [replace(data, images=data.images.roll(1, -1)), replace(data, images=data.images[..., ::2, ::2])]
    assert len({d.fingerprint for d in (data, *different)}) == 7
    scaled = replace(data, keys=data.image_keys)
    assert replace(scaled, images=255 - data.images).fingerprint != scaled.fingerprint  # whatever the keys say


def after(steps, data, out, **more):
    "A training that is stopped after some steps."
    for s in train_teacher(data, out, 'resnet18', **SMALL, checkpoint_every=2, **more):
        if s.step == steps:
            return s


@pytest.mark.parametrize(
    'change',
    [
        lambda d: drawn(1),  # other images in a folder of the same name
        lambda d: replace(d, classes=['b', 'a']),  # the same classes the other way round
        lambda d: replace(d, labels=1 - d.labels),
        lambda d: drawn(classes=('x', 'y')),
    ],
)
def test_a_checkpoint_of_other_data_is_not_used(tmp_path, change):
    data = drawn()
    after(5, data, tmp_path / 't')
    with pytest.warns(UserWarning, match='first step'):
        assert next(train_teacher(change(data), tmp_path / 't', 'resnet18', **SMALL)).step == 1


def test_a_checkpoint_of_the_same_data_is_used_whatever_they_are_called(tmp_path):
    after(5, drawn(), tmp_path / 't')
    assert next(train_teacher(drawn(name='renamed'), tmp_path / 't', 'resnet18', **SMALL)).step == 5


@pytest.mark.parametrize('content', [b'', b'PK', 'half', 'other parts', 'a list'])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    after(5, drawn(), tmp_path / 't')
    file = tmp_path / '.t.checkpoint.pt'
    if content == 'half':
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif content == 'other parts':
        saved = torch.load(file, weights_only=True)
        torch.save({**saved, 'model': {'layer': torch.zeros(3)}}, file)
    elif content == 'a list':
        torch.save([1, 2], file)
    else:
        file.write_bytes(content)
    if content == 'other parts':
        with pytest.raises(PSRError, match='.t.checkpoint.pt'):
            next(train_teacher(drawn(), tmp_path / 't', 'resnet18', **SMALL))
    else:
        with pytest.warns(UserWarning, match='.t.checkpoint.pt cannot be read'):
            assert next(train_teacher(drawn(), tmp_path / 't', 'resnet18', **SMALL)).step == 1


def test_statistics_do_not_come_from_the_first_class_alone(tmp_path):
    dark, bright = torch.zeros(6000, 1, 4, 4, dtype=torch.uint8), torch.full((6000, 1, 4, 4), 250, dtype=torch.uint8)
    data = ImageData(torch.cat([dark, bright]), torch.arange(12000) // 6000, ['dark', 'bright'], 'sorted')
    from psr_nb.teacher import Teacher

    few = dict(model_args=SMALL['model_args'], device='cpu', epochs=1, batch_size=12000, input_size=8)
    list(train_teacher(data, tmp_path / 't', 'resnet18', **few))
    assert 0.45 < Teacher.from_pretrained(tmp_path / 't').mean.item() < 0.55


def test_a_namesake_gets_neither_licence_nor_teachers(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from psr_nb.core import assets
    from psr_nb.distill import licence

    monkeypatch.chdir(tmp_path)
    mine = load_data(photos(tmp_path / 'fashion', ('Coat', 'Bag')), size=32)
    assert mine.name == 'fashion' and not mine.published
    for prior in (SimpleNamespace(name='fashion', folder=tmp_path), SimpleNamespace(name='fashion')):
        assert licence(prior, mine) == dict(weights=None, data=None)
    with pytest.warns(UserWarning, match='./fashion'):
        bundled = load_data('fashion', 'test')
    assert bundled.published == 'fashion' and bundled.label == 'fashion' != mine.label
    assert (
        load_data('./fashion', size=32).classes == ['Bag', 'Coat'] == load_data(tmp_path / 'fashion', size=32).classes
    )
    there = SimpleNamespace(name='fashion', folder=assets() / 'fashion' / 'prior')
    assert licence(there, bundled) == dict(
        weights='Apache-2.0, trained by this project on Fashion-MNIST', data='Fashion-MNIST, MIT licence'
    )


def test_two_sets_of_one_name_do_not_share_a_row():
    from psr_nb.results import Report

    row = dict(
        method='psr', ipc=1, protocol='quick', student='s', labels='hard', seed=0, accuracy_best=0.5, accuracy_last=0.5
    )
    reports = [Report([dict(row, dataset=d.label, seconds=1.0)]) for d in (drawn(0), drawn(1), drawn(0))]
    assert len(sum(reports)) == 2


def test_a_set_is_called_by_the_folder_that_says_which(tmp_path):
    photos(tmp_path / 'flowers' / 'train', size=(16, 16))
    photos(tmp_path / 'x-rays' / 'train', size=(16, 16))
    names = {load_data(tmp_path / d / 'train').name for d in ('flowers', 'x-rays')}
    assert names == {'flowers', 'x-rays'}


def test_students_are_not_tested_on_what_they_learn():
    from psr_nb.evaluate import evaluate

    data = drawn()
    few = dict(students='convnet3', seeds=1, epochs=1, progress=False)
    with pytest.raises(PSRError, match='--allow-overlap'):
        evaluate(data.take(range(10)), data, **few)
    with pytest.warns(UserWarning, match='10 of 20'):
        assert len(evaluate(data.take(range(10)), data, allow_overlap=True, **few)) == 1
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        evaluate(data.take(range(10)), data.take(range(10, 20)), **few)


def test_a_teacher_is_not_tested_on_what_it_learned(tmp_path):
    from psr_nb.make_models import make_teacher

    photos(tmp_path / 'set' / 'train', size=(32, 32))
    photos(tmp_path / 'set' / 'test', size=(32, 32))  # the same seed: the same images
    with pytest.raises(PSRError, match='20 of 20 are among the 20 training images'):
        make_teacher(tmp_path / 'set', tmp_path / 't', progress=False)
    assert not (tmp_path / 't').exists()


def test_damaged_test_images_are_not_taken_for_none(tmp_path):
    from psr_nb.make_models import load_test

    photos(tmp_path / 'set' / 'train', size=(32, 32))
    assert load_test(tmp_path / 'set') is None
    photos(tmp_path / 'set' / 'test', size=(32, 32), seed=1)
    for name in ('a', 'b'):
        (tmp_path / 'set' / 'test' / name / '3.png').write_bytes(b'\x89PNG')
    with pytest.raises(PSRError, match='2 of 20 images'):
        load_test(tmp_path / 'set')


def test_classes_are_compared_by_name(tmp_path):
    import datasets

    from psr_nb.stages import open_set

    folder = photos(tmp_path / 'set' / 'test', size=(16, 16), seed=1)
    real = load_data(photos(tmp_path / 'other', size=(16, 16)))
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=['b', 'a']))
    rows = dict(
        image=[Image.fromarray(i.permute(1, 2, 0).numpy()) for i in real.images], label=(1 - real.labels).tolist()
    )
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / 'saved')
    photos(tmp_path / 'set' / 'train', size=(16, 16), seed=2)
    images, test = open_set(tmp_path / 'saved', str(folder.parent))
    assert images.classes == test.classes == ['a', 'b'] and torch.equal(images.labels, real.labels)


@pytest.mark.slow
def test_soft_labels_in_another_order_of_classes_are_compared_by_name(tmp_path):
    from psr_nb.distilled import DistilledSet
    from psr_nb.stages import evaluate_set, open_set

    names, decomposed = ['b', 'c', 'cafe\u0301'], ['caf\u00e9', 'c', 'b']
    folder = photos(tmp_path / 'set' / 'test', names, size=(16, 16), seed=1)
    real = load_data(photos(tmp_path / 'set' / 'train', names, size=(16, 16), seed=2))
    labels = torch.tensor([decomposed.index(c) for c in (real.classes[i] for i in real.labels.tolist())])
    soft = torch.full((len(real), 3), 0.1).scatter(1, labels[:, None], 0.8)
    DistilledSet(real.images, labels, decomposed, soft).save(tmp_path / 'distilled')
    images, test = open_set(tmp_path / 'distilled', str(folder.parent))
    assert list(images.classes) == test.classes == decomposed
    stored = load_data(folder.parent, 'test')
    assert [test.classes[i] for i in test.labels] == [stored.classes[i] for i in stored.labels]
    report = evaluate_set(tmp_path / 'distilled', str(folder.parent), seeds=1, labels='soft', progress=False)
    again = evaluate_set(tmp_path / 'distilled', str(folder.parent), seeds=1, baselines=['random_real'], progress=False)
    assert [r['method'] for r in again.rows] == ['unnamed', 'random_real'] and report.rows[0]['labels'] == 'soft'
    photos(tmp_path / 'more' / 'test', ['b', 'c', 'd'], size=(16, 16), seed=3)
    with pytest.raises(PSRError, match='classes of the set'):
        evaluate_set(tmp_path / 'distilled', str(tmp_path / 'more'), seeds=1, progress=False)


def test_photos_of_many_sizes_are_judged_at_one(tmp_path):
    from psr_nb.distilled import DistilledSet
    from psr_nb.pictures import SizesDiffer
    from psr_nb.stages import open_set

    photos(tmp_path / 'data' / 'train', n=3, size=(40, 30))
    photos(tmp_path / 'data' / 'test', n=3, size=(40, 30), seed=1)
    photos(tmp_path / 'data' / 'test' / 'a', ('wide',), n=1, size=(60, 30), seed=2)
    images, test = open_set(photos(tmp_path / 'set', n=2, size=(16, 16), seed=3), str(tmp_path / 'data'))
    assert images.images.shape[1:] == test.images.shape[1:] == (3, 16, 16) and len(test) == 7
    images, test = open_set(tmp_path / 'set', str(tmp_path / 'data'), 32)
    assert images.images.shape[1:] == test.images.shape[1:] == (3, 32, 32)
    with pytest.raises(SizesDiffer, match='--size'):
        open_set(tmp_path / 'data' / 'test', str(tmp_path / 'data'))
    DistilledSet(images.images, images.labels, images.classes).save(tmp_path / 'distilled')
    with pytest.raises(PSRError, match='--size.*32.*found 16'):
        open_set(tmp_path / 'distilled', str(tmp_path / 'data'), 16)


def test_a_record_joins_what_came_before(tmp_path):
    first, second = drawn(0), drawn(1, name='more')
    (tmp_path / 'a').mkdir()
    (tmp_path / 'b').mkdir()
    write_record(tmp_path / 'a', first)
    write_record(tmp_path / 'b', second, [read_record(tmp_path / 'a'), None])
    both = read_record(tmp_path / 'b')
    assert [d['name'] for d in both.data] == ['data', 'more'] and len(both.keys) == 40
    assert 'has seen 20 of the 20 test images' in seen_words(first, {'it': both.keys})[0]


@pytest.mark.parametrize('text', ['[]', '{}', '{"data": []}', '{"data": [{"name": 1}]}', '{"data": 3}', 'x'])
def test_a_record_that_is_none(tmp_path, text):
    write_record(tmp_path, drawn())
    (tmp_path / 'training.json').write_text(text)
    with pytest.raises(PSRError, match='training.json'):
        read_record(tmp_path)


def test_sizes_are_checked_before_anything_is_trained(tmp_path):
    from psr_nb.make_models import make_prior

    for name, size in (('wide', (48, 32)), ('odd', (30, 30))):
        photos(tmp_path / name, size=size)
        with pytest.raises(PSRError, match='--size'):
            make_prior(tmp_path / name, tmp_path / 'p', progress=False)
    assert not list(tmp_path.glob('p*'))


def test_a_small_class_is_named_before_anything_is_made():
    "ImageWoof's English foxhound has 580 training images, the other breeds have 940."
    classes = ['beagle', 'dingo', 'English foxhound']
    labels = torch.arange(3).repeat_interleave(torch.tensor([940, 940, 580]))
    pixels = torch.randint(0, 256, (len(labels), 3, 2, 2), generator=torch.Generator().manual_seed(0))
    data = ImageData(pixels.byte(), labels, classes, 'imagewoof')
    with pytest.raises(
        PSRError, match='English foxhound of imagewoof: expected 850 images.* found 580.* refine 136, judge'
    ):
        data.parts(dict(refine=200, judge=260, choose=390))
    with pytest.raises(PSRError, match='shares of each class: refine 0.23, judge 0.3, choose 0.45'):
        data.parts(dict(refine=200, judge=260, choose=390))
    with pytest.raises(PSRError, match='English foxhound'):
        data.split(580)
    parts = data.parts(dict(refine=200, judge=0.25, choose=0.4))
    assert parts['judge'].labels.bincount().tolist() == [235, 235, 145]
    turned = data.take(torch.randperm(len(data), generator=torch.Generator().manual_seed(1)))
    again = turned.parts(dict(refine=200, judge=0.25, choose=0.4))
    for name, part in parts.items():
        assert sorted(part.image_keys) == sorted(again[name].image_keys)
