"The report on a data set, and training images among the test images."

import numpy as np
import pytest
import torch
from PIL import Image

from psr_nb.core import PSRError
from psr_nb.data import ImageData, load_data
from psr_nb.describe import check_overlap, describe, look_alike, pixel_hash, sketch


def picture(i, size=40):
    cells = np.random.default_rng(i).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC)


def folders(root, names=('cat', 'dog'), n=3, start=0):
    for c, name in enumerate(names):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            picture(start + 10 * c + i).save(root / name / f'{i}.png')
    return root


def test_a_clean_set_has_no_problems(tmp_path):
    folders(tmp_path / 'train')
    folders(tmp_path / 'test', start=100)
    report = describe(tmp_path)
    assert not report.problems and report.counts == {'train': [3, 3], 'test': [3, 3]}
    assert report.sizes == {(40, 40): 12} and report.channels == {3: 12}
    assert '12 of 40×40 pixels' in repr(report) and '<img' in report._repr_html_()


def test_the_same_image_within_and_across_splits(tmp_path):
    folders(tmp_path / 'train')
    folders(tmp_path / 'test', start=100)
    picture(0).save(tmp_path / 'test' / 'cat' / 'another name.bmp')
    picture(1).save(tmp_path / 'train' / 'dog' / 'again.tif')
    picture(2).save(tmp_path / 'train' / 'dog' / 'photo.jpg', quality=70)
    report = describe(tmp_path)
    assert len(report.across) == 1 and 'another name.bmp' in report.across[0][1]
    assert report.twice == {'train': 1, 'test': 0} and len(report.alike) == 1
    assert report.problems[0].startswith('1 images are in two splits')


def test_damaged_missing_and_one_class(tmp_path):
    folders(tmp_path / 'train', ('a', 'b'))
    folders(tmp_path / 'test', ('b',), start=100)
    (tmp_path / 'train' / 'a' / 'torn.png').write_bytes(b'\x89PNG\r\n')
    said = ' '.join(describe(tmp_path).problems)
    assert 'torn.png' in said and 'test has no images of a' in said
    assert 'one class only' in ' '.join(describe(folders(tmp_path / 'one', ('a',))).problems)


def test_escaped_in_html(tmp_path):
    folders(tmp_path, ('<b>cat', 'dog'))
    assert '<b>cat' not in describe(tmp_path)._repr_html_()


def test_grey_and_grey_rgb_are_the_same_image():
    grey = np.random.default_rng(0).integers(0, 256, (1, 8, 8), dtype=np.uint8)
    assert pixel_hash(grey) == pixel_hash(grey.repeat(3, 0)) != pixel_hash(grey.transpose(0, 2, 1))


def test_sketches_find_copies_and_not_others():
    images = [np.asarray(picture(i)).transpose(2, 0, 1) for i in range(60)]
    small = [np.asarray(picture(i).resize((24, 24))).transpose(2, 0, 1) for i in range(3)]
    found = look_alike(np.stack([sketch(im) for im in images + small]))
    assert found.tolist() == [[0, 60], [1, 61], [2, 62]]
    equal = look_alike(np.stack([sketch(im) for im in [*images, images[4]]]), most_rows=10)
    assert equal.tolist() == [[4, 60]]


def test_test_images_among_the_training_images():
    g = torch.Generator().manual_seed(0)
    draw = lambda n: torch.randint(256, (n, 3, 8, 8), generator=g).byte()
    train = ImageData(draw(6), torch.arange(6) % 2, ['a', 'b'], 'mine')
    test = ImageData(torch.cat([draw(3), train.images[:2]]), torch.tensor([0, 1, 0, 1, 0]), ['a', 'b'], 'mine')
    with pytest.raises(PSRError, match='2 of 5'):
        check_overlap(train, test)
    assert check_overlap(train, test, allow=True) == 2 and check_overlap(train, test.take([0, 1])) == 0


def test_a_set_is_named_after_its_folder_not_after_its_split(tmp_path):
    folders(tmp_path / 'flowers' / 'train')
    assert load_data(tmp_path / 'flowers').name == load_data(tmp_path / 'flowers' / 'train').name == 'flowers'
    assert load_data(tmp_path / 'flowers', classes=['dog']).labels.tolist() == [0, 0, 0]
