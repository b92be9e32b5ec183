"Sets of other people that could be read without an error and wrongly: splits, folders, ranges and names."

import io
import json
import struct
import tarfile
import warnings
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from psr_nb.core import PSRError
from psr_nb.data import load_data
from psr_nb.describe import describe
from psr_nb.forms import recognise


def pixels(seed):
    return np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def png(seed):
    out = io.BytesIO()
    Image.fromarray(pixels(seed)).save(out, 'png')
    return out.getvalue()


def pictures(folder, seeds):
    folder.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(seeds):
        (folder / f'{i}.png').write_bytes(png(seed))


def shard(path, samples):
    with tarfile.open(path, 'w') as archive:
        for key, files in enumerate(samples):
            for ending, data in files.items():
                member = tarfile.TarInfo(f'{key:04d}.{ending}')
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def seeds_of(data):
    "Which `pixels` the images of a set are."
    known = {pixels(seed).tobytes(): seed for seed in range(100)}
    return [known[image.permute(1, 2, 0).numpy().tobytes()] for image in data.images]


def said(path, split='train'):
    "A set, and what was said about it."
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        data = load_data(path, split)
    return data, ' '.join(str(w.message) for w in told)


@pytest.mark.parametrize('train, test', [('mnist-train', 'mnist-test'), ('imagesTrain', 'imagesVal'), ('all', 'test')])
@pytest.mark.parametrize('form', ['parquet', 'table', 'shards'])
def test_the_split_may_stand_inside_the_name_of_a_file(tmp_path, form, train, test):
    if form == 'table':
        pictures(tmp_path, range(6))
    for name, seeds in ((train, range(4)), (test, (4, 5))):
        if form == 'parquet':
            table = pa.table({'image': [png(s) for s in seeds], 'label': [s % 2 for s in seeds]})
            pq.write_table(table, tmp_path / f'{name}.parquet')
        elif form == 'table':
            lines = [f'{s}.png,{s % 2}' for s in seeds]
            (tmp_path / f'{name}.csv').write_text('\n'.join(['file,label', *lines]))
        else:
            shard(tmp_path / f'{name}-000.tar', [{'png': png(s), 'cls': str(s % 2).encode()} for s in seeds])
    assert seeds_of(load_data(tmp_path)) == [0, 1, 2, 3] and seeds_of(load_data(tmp_path, 'test')) == [4, 5]


def test_files_that_say_no_split_beside_those_that_do_are_said(tmp_path):
    for name, seeds in (('train', (0, 1)), ('more', (2, 3))):
        table = pa.table({'image': [png(s) for s in seeds], 'label': [0, 1]})
        pq.write_table(table, tmp_path / f'{name}.parquet')
    data, told = said(tmp_path)
    assert len(data) == 2 and 'more.parquet, whose name says no split' in told


@pytest.mark.parametrize('column, cells', [('train', 'yes yes no no'), ('Test', '0 0 1 1'), ('val', 'no no yes yes')])
def test_a_column_called_by_a_split_alone(tmp_path, column, cells):
    pictures(tmp_path / 'a', range(4))
    rows = [f'{i}.png,{i % 2},{cell}' for i, cell in enumerate(cells.split())]
    (tmp_path / 'a' / 'labels.csv').write_text('\n'.join([f'file,label,{column}', *rows]))
    flags = pa.table({'image': [png(i) for i in range(4)], 'label': [0, 1, 0, 1], column: cells.split()})
    pq.write_table(flags, tmp_path / 'b.parquet')
    for path in (tmp_path / 'a', tmp_path / 'b.parquet'):
        assert seeds_of(load_data(path)) == [0, 1] and seeds_of(load_data(path, 'test')) == [2, 3]


def test_a_column_called_by_a_split_may_be_about_something_else(tmp_path):
    pictures(tmp_path, range(4))
    rows = [f'{i}.png,{i % 2},{n}' for i, n in enumerate((3, 9, 1, 0))]
    (tmp_path / 'labels.csv').write_text('\n'.join(['file,label,test', *rows]))
    assert len(load_data(tmp_path)) == 4
    rows = [f'{i}.png,{int(i % 3 == 0)},{int(i % 3 == 1)},{int(i % 3 == 2)}' for i in range(4)]
    (tmp_path / 'labels.csv').write_text('\n'.join(['file,bus,car,train', *rows]))
    data = load_data(tmp_path)
    assert [data.classes[i] for i in data.labels] == ['bus', 'car', 'train', 'bus']


def test_two_splits_may_number_their_images_alike(tmp_path):
    for split, seeds in (('train', (0, 1)), ('test', (2, 3))):
        pictures(tmp_path / split, seeds)
        (tmp_path / f'{split}.csv').write_text('file,label\n0.png,a\n1.png,b\n')
        pictures(tmp_path / 'parquet' / split, seeds)
        table = pa.table({'path': ['0.png', '1.png'], 'label': ['a', 'b']})
        pq.write_table(table, tmp_path / 'parquet' / f'{split}.parquet')
    for path in (tmp_path, tmp_path / 'parquet'):
        assert seeds_of(load_data(path)) == [0, 1] and seeds_of(load_data(path, 'test')) == [2, 3]
    (tmp_path / 'test' / '1.png').unlink()  # that of the training images is not taken in its place
    with pytest.raises(PSRError, match=r'test.csv.*1 rows without one: 1.png'):
        load_data(tmp_path, 'test')


def test_a_table_of_all_images_divides_them_by_their_folders(tmp_path):
    pictures(tmp_path / 'train', (0, 1))
    pictures(tmp_path / 'test', (2, 3))
    rows = [f'{split}/{i}.png,{i}' for split in ('train', 'test') for i in range(2)]
    (tmp_path / 'labels.csv').write_text('\n'.join(['file,label', *rows]))
    assert seeds_of(load_data(tmp_path)) == [0, 1] and seeds_of(load_data(tmp_path, 'test')) == [2, 3]


def test_the_form_for_the_answers_to_a_contest_has_no_labels(tmp_path):
    pictures(tmp_path / 'train', (0, 1))
    pictures(tmp_path / 'test', (2, 3))
    for i, name in ((0, '2.png'), (1, '3.png')):
        (tmp_path / 'test' / f'{i}.png').rename(tmp_path / 'test' / name)
    (tmp_path / 'train.csv').write_text('id,label\n0,1\n1,0\n')
    (tmp_path / 'sample_submission.csv').write_text('id,label\n2,0\n3,0\n')
    data, told = said(tmp_path)
    assert seeds_of(data) == [0, 1] and data.labels.tolist() == [1, 0] and 'sample_submission.csv' in told
    (tmp_path / 'train.csv').rename(tmp_path / 'labels.csv')
    assert seeds_of(load_data(tmp_path)) == [0, 1]


def test_rows_that_name_an_image_again(tmp_path):
    pictures(tmp_path, range(3))
    (tmp_path / 'all.csv').write_text('file,label\n0.png,a\n1.png,b\n0.png,a\n')
    (tmp_path / 'few.csv').write_text('file,label\n1.png,b\n')
    data, told = said(tmp_path)
    assert seeds_of(data) == [0, 1]
    assert '2 rows that name an image again' in told and '1 images without a row' in told
    (tmp_path / 'few.csv').write_text('file,label\n1.png,a\n')
    with pytest.raises(PSRError, match='one label for each file.*b and a for 1.png'):
        load_data(tmp_path)
    (tmp_path / 'few.csv').unlink()
    (tmp_path / 'all.csv').write_text('file,label,split\n0.png,a,train\n1.png,b,train\n1.png,b,test\n')
    assert '1 images are in several of train, test' in said(tmp_path)[1]


def test_splits_inside_the_class_folders(tmp_path):
    for c, name in enumerate(('cat', 'dog')):
        pictures(tmp_path / name / 'Train', (10 * c, 10 * c + 1))
        pictures(tmp_path / name / 'test', (10 * c + 2,))
    train, test = load_data(tmp_path), load_data(tmp_path, 'test')
    assert train.classes == test.classes == ['cat', 'dog']
    assert seeds_of(train) == [0, 1, 10, 11] and seeds_of(test) == [2, 12] and test.labels.tolist() == [0, 1]


def test_what_lies_among_the_images_of_a_class(tmp_path):
    for c, name in enumerate(('cat', 'dog')):
        pictures(tmp_path / name, (2 * c, 2 * c + 1))
    for name in ('cat/0_mask.png', 'cat/0_mask_1.png', 'dog/1-segmentation.png', 'loose.png'):
        Image.new('1', (8, 8)).save(tmp_path / name)
    pictures(tmp_path / 'cat' / 'other', (50,))
    (tmp_path / 'cat' / 'other' / '0.png').rename(tmp_path / 'cat' / 'a_mask.png')  # of no image: one itself
    for ending in ('npy', 'dcm', 'exr', 'raf'):
        (tmp_path / 'dog' / f'x.{ending}').write_bytes(b'x')
    data, told = said(tmp_path)
    assert seeds_of(data) == [0, 1, 50, 2, 3] and data.labels.tolist() == [0, 0, 0, 1, 1]
    assert '2 pictures called like others with an end such as _mask' in told
    assert '1 pictures beside the class folders' in told
    assert all(f'.{ending})' in told for ending in ('npy', 'dcm', 'exr', 'raf'))


def test_what_a_shard_says_of_its_samples(tmp_path):
    about = lambda i, **more: json.dumps(dict(label=i % 2, **more)).encode()
    shard(tmp_path / 'a.tar', [{'seg.png': png(90), 'png': png(i), 'cls': str(i % 2).encode()} for i in range(4)])
    assert seeds_of(load_data(tmp_path / 'a.tar')) == [0, 1, 2, 3]
    names = ['owl', 'ant']
    shard(tmp_path / 'b.tar', [{'png': png(i), 'json': about(i, label_name=names[i % 2])} for i in range(4)])
    assert load_data(tmp_path / 'b.tar').classes == names
    shard(tmp_path / 'c.tar', [{'png': png(i), 'json': about(i, split=['train', 'val'][i // 2])} for i in range(4)])
    assert seeds_of(load_data(tmp_path / 'c.tar', 'test')) == [2, 3] and len(load_data(tmp_path / 'c.tar')) == 2
    (tmp_path / 'd').mkdir()
    shard(tmp_path / 'd' / '0.tar', [{'png': png(i), 'cls': str(i % 2).encode()} for i in range(4)])
    (tmp_path / 'd' / 'classes.txt').write_text('1 ant\n0 owl\n')
    assert load_data(tmp_path / 'd').classes == names


def test_archives_are_known_by_their_content(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.tar', 'w') as archive:
        for i, name in enumerate(('cat', 'dog')):
            archive.writestr(f'{name}/0.png', png(i))
    with tarfile.open(tmp_path / 'b.zip', 'w') as archive:
        for i, name in enumerate(('cat', 'dog')):
            member = tarfile.TarInfo(f'{name}/0.png')
            member.size = len(png(i))
            archive.addfile(member, io.BytesIO(png(i)))
    for name in ('a.tar', 'b.zip'):
        assert seeds_of(load_data(tmp_path / name)) == [0, 1]
    (tmp_path / 'c.tar').write_bytes(b'nothing' * 200)
    with pytest.raises(PSRError, match='a tar file') as error:
        load_data(tmp_path / 'c.tar')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('name, target', [('cat/1.png', '0.png'), ('emu', 'cat')])
def test_links_in_a_zip_are_refused(tmp_path, name, target):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        for i, folder in enumerate(('cat', 'dog')):
            archive.writestr(f'{folder}/0.png', png(i))
        link = zipfile.ZipInfo(name)
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, target)
    with pytest.raises(PSRError, match=f'a.zip: expected files and no links, found {name}'):
        load_data(tmp_path / 'a.zip')


def with_tag(path, tag, value):
    "Sets a short of a TIFF of one row of tags."
    data = bytearray(path.read_bytes())
    at = next(i for i in range(8, len(data)) if data[i : i + 8] == struct.pack('<HHI', tag, 3, 1))
    data[at + 8 : at + 10] = struct.pack('<H', value)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize('compression', [None, 'tiff_adobe_deflate'])
def test_the_largest_value_may_be_black(tmp_path, compression):
    (tmp_path / 'a').mkdir()
    deep = np.full((8, 8), 65535, np.uint16)
    deep[4:] = 100 * 257
    Image.fromarray(deep).save(tmp_path / 'a' / 'x.tif', compression=compression)
    with_tag(tmp_path / 'a' / 'x.tif', 262, 0)  # PhotometricInterpretation: WhiteIsZero
    image = load_data(tmp_path).images[0, 0]
    assert image[0, 0] == 0 and image[7, 7] == 155


@pytest.mark.parametrize(
    'tops, kind, say',
    [
        ((1.0, 1.3), np.float32, 'floats from 0 to 1.3'),
        ((1.0, 255.0), np.float32, '1 from 0 to 1, 1 from 0 to 255'),
        ((255, 300), np.int32, '1 from 0 to 255, 1 from 0 to 65535'),
        ((1.0, 4000.0), np.float32, '1 from 0 to 1, 1 each from its own darkest'),
    ],
)
def test_deep_greys_of_one_set_have_one_range(tmp_path, tops, kind, say):
    (tmp_path / 'a').mkdir()
    for i, top in enumerate(tops):
        Image.fromarray(np.linspace(0, top, 64).reshape(8, 8).astype(kind)).save(tmp_path / 'a' / f'{i}.tif')
    with pytest.raises(PSRError, match=say):
        load_data(tmp_path)
    assert say in ' '.join(describe(tmp_path).problems)


def test_deep_greys_that_are_black_fit_any_range(tmp_path):
    (tmp_path / 'a').mkdir()
    for i, top in enumerate((255, 0)):
        Image.fromarray(np.linspace(0, top, 64).reshape(8, 8).astype(np.float32)).save(tmp_path / 'a' / f'{i}.tif')
    assert load_data(tmp_path).images.amax((1, 2, 3)).tolist() == [255, 0]
    Image.fromarray(np.linspace(-5, 900, 64).reshape(8, 8).astype(np.float32)).save(tmp_path / 'a' / '0.tif')
    assert 'its own darkest' in said(tmp_path)[1]


def test_pages_after_the_first_are_said(tmp_path):
    (tmp_path / 'a').mkdir()
    first, *more = (Image.fromarray(pixels(i)) for i in range(3))
    first.save(tmp_path / 'a' / 'x.tif', save_all=True, append_images=more)
    first.save(tmp_path / 'a' / 'y.tif')
    data, told = said(tmp_path)
    assert seeds_of(data) == [0, 0] and '1 of 2: of several frames, the first taken' in told


def test_names_of_arrays_in_any_case(tmp_path):
    images, labels = np.stack([pixels(i) for i in range(4)]), np.array([0, 1, 0, 1])
    np.savez(tmp_path / 'a.npz', X_train=images, Y_train=labels, X_test=images[2:], Y_test=labels[2:])
    assert seeds_of(load_data(tmp_path / 'a.npz', 'test')) == [2, 3]
    np.savez(tmp_path / 'b.npz', images=images, labels=labels, x_test=images[2:])
    assert 'x_test not read' in said(tmp_path / 'b.npz')[1]


@pytest.mark.parametrize('names', [dict(class_to_idx=dict(owl=0, ant=1)), dict(classes={1: 'ant', 0: 'owl'})])
def test_names_of_tensors_that_are_a_dictionary(tmp_path, names):
    images = torch.from_numpy(np.stack([pixels(i) for i in range(4)])).permute(0, 3, 1, 2)
    torch.save(dict(images=images, labels=torch.tensor([0, 1, 1, 1]), **names), tmp_path / 'a.pt')
    listing = recognise(tmp_path / 'a.pt')
    assert listing.classes == ['owl', 'ant'] and listing.splits['train'].labels.tolist() == [0, 1, 1, 1]


def test_class_folders_further_in_than_the_split(tmp_path):
    for split, start in (('train', 0), ('test', 50)):
        for c, name in enumerate(('cat', 'dog')):
            pictures(tmp_path / split / 'images' / name, (start + c,))
    train, test = load_data(tmp_path), load_data(tmp_path, 'test')
    assert train.classes == test.classes == ['cat', 'dog'] and seeds_of(train) == [0, 1] and seeds_of(test) == [50, 51]


def test_floats_of_one_torch_set_have_one_range():
    images = torch.stack([torch.from_numpy(pixels(i)) for i in range(3)]).permute(0, 3, 1, 2).float()
    assert seeds_of(load_data(torch.utils.data.TensorDataset(images / 255, torch.tensor([0, 1, 0])))) == [0, 1, 2]
    images[1] = 0
    labels = torch.tensor([0, 1, 0])
    assert load_data(torch.utils.data.TensorDataset(images, labels)).images.amax((1, 2, 3))[1] == 0
    images[1, 0, 0, 0] = 1  # of 255, or white?
    with pytest.raises(PSRError, match='row 1: expected floats of one range in all images'):
        load_data(torch.utils.data.TensorDataset(images, labels))


def test_twelve_bits_are_scaled_to_white(tmp_path):
    "A TIFF of 12 bits by hand: two pixels in three bytes."
    entries = [(256, 8), (257, 8), (258, 12), (259, 1), (262, 1), (273, 200), (277, 1), (278, 8), (279, 96)]
    head = struct.pack('<2sHIH', b'II', 42, 8, len(entries))
    tags = b''.join(struct.pack('<HHII', tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in entries)
    white_and_half = bytes([0xFF, 0xF8, 0x00])  # 4095 and 2048
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'x.tif').write_bytes((head + tags + bytes(4)).ljust(200, b'\0') + white_and_half * 32)
    assert load_data(tmp_path).images[0, 0, 0, :2].tolist() == [255, 128]
