"Data sets that are objects in Python: their images before any transform, their names, and what is refused."

import copy

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import FakeData, ImageFolder

from psr_nb.core import PSRError
from psr_nb.data import load_data
from psr_nb.describe import data_line, describe


@pytest.fixture
def folder(tmp_path):
    for c, name in enumerate(('cat', 'dog')):
        (tmp_path / name).mkdir()
        for i in range(3):
            pixels = np.random.default_rng(10 * c + i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f'{i}.png')
    return tmp_path


def as_table(folder):
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=['cat', 'dog']))
    rows = [dict(image=Image.open(f), label=c) for f, c in ImageFolder(folder).samples]
    return datasets.Dataset.from_list(rows, features=features)


def test_every_object_gives_the_images_of_the_folder(folder):
    want = load_data(folder)
    whole = ImageFolder(folder)
    changed = ImageFolder(
        folder, transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])
    )
    floats = torch.stack([transforms.functional.to_tensor(image) for image, _ in whole])
    table = as_table(folder)
    for data in (
        whole,
        changed,
        Subset(Subset(changed, range(6)), [0, 1, 2, 3, 4, 5]),
        ConcatDataset([Subset(whole, [0, 1, 2]), Subset(whole, [3, 4, 5])]),
        table,
        table.with_format('torch'),
        table.to_iterable_dataset(),
        datasets.DatasetDict(training=table, validation=table),
        dict(train=changed, test=whole),
        TensorDataset(floats, torch.tensor(whole.targets)),
    ):
        got = load_data(data)
        assert torch.equal(got.images, want.images) and torch.equal(got.labels, want.labels)
        assert got.classes == (['0', '1'] if isinstance(data, TensorDataset) else want.classes)
    assert [t for t in changed.transform.transforms] == changed.transform.transforms  # it is as it was
    assert len(load_data(dict(train=changed, valid=whole), 'test')) == 6
    assert 'an object of torch' in data_line(whole) and describe(whole).counts == {'train': [3, 3]}


def test_files_are_decoded_here_and_not_by_torchvision(folder):
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(deep).save(folder / 'cat' / '0.png')  # torchvision's decoder clips it
    assert len(load_data(ImageFolder(folder)).images[0].unique()) > 60


def test_a_target_transform_is_heard(folder):
    swapped = ImageFolder(folder, target_transform=lambda c: 1 - c)
    assert load_data(swapped).labels.tolist() == [1, 1, 1, 0, 0, 0]


def test_labels_without_a_list_of_them():
    fake = FakeData(6, (3, 8, 8), 2, transform=transforms.RandomCrop(4))
    got = load_data(copy.copy(fake))
    assert got.images.shape == (6, 3, 8, 8) and set(got.labels.tolist()) <= {0, 1}


class Broken(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, i):
        raise KeyError('no such file')


@pytest.mark.parametrize(
    'data, say',
    [
        (3, 'a path, or a data set'),
        (None, 'a path, or a data set'),
        ({}, 'an empty dictionary'),
        (dict(train=[1]), 'found list'),
        (DataLoader(TensorDataset(torch.rand(2, 3, 4, 4), torch.arange(2))), 'Give the data set inside it'),
        (TensorDataset(torch.randn(4, 3, 8, 8), torch.arange(4) % 2), 'Undo the normalisation'),
        (TensorDataset(torch.rand(4, 5), torch.arange(4) % 2), 'an array of 1 dim'),
        (TensorDataset(torch.rand(4, 3, 8, 8)), 'an image and a label'),
        (TensorDataset(torch.rand(4, 3, 8, 8), torch.rand(4)), 'a whole number or a name'),
        (Broken(), 'row 0: expected an image and a label, found KeyError'),
        (dict(val=Broken(), dev=Broken()), 'one part for the split validation'),
    ],
)
def test_objects_that_are_refused(data, say):
    with pytest.raises(PSRError, match=say):
        load_data(data)


def test_one_object_is_never_its_own_test_set(folder):
    with pytest.raises(PSRError, match='split test'):
        load_data(ImageFolder(folder), 'test')
    with pytest.raises(PSRError, match='same classes'):
        load_data(ConcatDataset([ImageFolder(folder), FakeData(2, (3, 8, 8), 2)]))
