"What careless and what hostile users give: read as it is meant, or refused in a sentence that names the cause."

import io
import json
import os
import pickle
import struct
import tarfile
import unicodedata
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from test_forms import counts, folders, pixels, png

from psr_nb.core import PSRError
from psr_nb.data import load_data
from psr_nb.describe import describe
from psr_nb.forms import recognise
from psr_nb.pictures import decode_image


def named(place, names=('0.png', '1.png', '2.png', '3.png')):
    place.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        (place / name).write_bytes(png(i))
    return place


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))


# ---- folders


def test_classes_that_hold_the_same_folders_are_doubted(tmp_path):
    for fold in ('fold1', 'fold2'):
        folders(tmp_path / fold)
    with pytest.warns(UserWarning, match='each holds the folders cat, dog'):
        assert load_data(tmp_path).classes == ['fold1', 'fold2']
    assert 'give one folder of them' in describe(tmp_path).problems[0]


def test_what_a_class_has_instead_of_images_is_said(tmp_path):
    folders(tmp_path)
    (tmp_path / 'bird').mkdir()
    (tmp_path / 'bird' / '0.HEIC').write_bytes(b'ftypheic')
    with pytest.raises(PSRError, match=r'bird.*none: 1 pictures of a kind that cannot be read.*HEIC'):
        recognise(tmp_path)


def test_loose_images_in_one_split_folder_are_no_class(tmp_path):
    named(tmp_path / 'train', ('cat.0.jpg', 'dog.0.jpg'))
    with pytest.raises(PSRError, match='a folder for each class inside train'):
        recognise(tmp_path)


def test_one_class_only_is_said(tmp_path):
    named(tmp_path / 'photos')
    with pytest.warns(UserWarning, match='one class only'):
        load_data(tmp_path)


def test_what_labels_and_splits_could_have_been_in_is_said(tmp_path):
    "Labels in a file beside images that are one class; a list of who is for training beside class folders."
    named(tmp_path / 'flowers' / 'jpg')
    (tmp_path / 'flowers' / 'labels.json').write_text('{}')
    with pytest.warns(UserWarning, match=r'one class only \(jpg\): the files beside it are not read'):
        load_data(tmp_path / 'flowers', size=8)
    folders(tmp_path / 'birds' / 'images')
    (tmp_path / 'birds' / 'train_test_split.txt').write_text('1 0\n')
    with pytest.warns(UserWarning, match='train_test_split.txt is not read: all images are taken for training'):
        load_data(tmp_path / 'birds', size=8)


def test_a_link_to_itself_is_passed_over(tmp_path):
    folders(tmp_path)
    os.symlink('self.png', tmp_path / 'cat' / 'self.png')
    assert counts(recognise(tmp_path)) == [3, 3]


@pytest.mark.parametrize('name, say', [('', 'an empty text'), (' ', 'an empty text'), ('x' * 5000, 'no such name')])
def test_names_that_are_none(name, say):
    with pytest.raises(PSRError, match=say):
        load_data(name)


@pytest.mark.parametrize('option', [dict(size=s) for s in (0, -1, 1.5, '32', True, 10**9)] + [dict(channels=2)])
def test_sizes_that_no_image_has(tmp_path, option):
    with pytest.raises(PSRError, match='argument (size|channels)'):
        load_data(folders(tmp_path), **option)


def test_folders_of_numbers_are_in_the_order_of_numbers(tmp_path):
    names = [f'{i}' for i in range(11)]
    listing = recognise(folders(tmp_path, names, 1))
    assert listing.classes == names and listing.split('train').labels.tolist() == [0, 1, 10, *range(2, 10)]


def test_folders_that_become_one_class_are_doubted(tmp_path):
    assert 'one class, cat' in describe(folders(tmp_path, ('cat', 'cat ', 'dog'))).problems[0]


@pytest.mark.parametrize(
    'images, other', [('images', 'annotations'), ('JPEGImages', 'Annotations'), ('images/train', 'labels/train')]
)
def test_sets_for_detection_are_named(tmp_path, images, other):
    named(tmp_path / images)
    (tmp_path / other).mkdir(parents=True)
    (tmp_path / other / '0.xml').write_text('<annotation/>')
    with pytest.raises(PSRError, match='object detection'):
        recognise(tmp_path)


# ---- tables


def test_what_a_table_does_not_say_is_counted(tmp_path):
    named(tmp_path)
    (tmp_path / 'labels.csv').write_text('file,class,label\n0.png,a,x\n1.png,b,y\n')
    listing = recognise(tmp_path)
    assert listing.classes == ['x', 'y'] and listing.left_out['images without a row in a table'] == 2
    assert any('column class: the labels are those of label' in what for what in listing.left_out)


@pytest.mark.parametrize(
    'text, say',
    [
        ('file,label\n0.png,big, brown dog\n', 'line 2: expected 2 cells, as in the first line, found 3'),
        ('file,label,label\n0.png,a,b\n', 'label twice'),
        ('0.png,a\n1.png,b\n', 'The first line has to name the columns'),
        ('file,label\nC:\\me\\0.png,a\n', r'file names C:\\me\\0.png, which is not there'),
        ('file,label\nno.png,a\n1.png,b\n', '1 rows without one: no.png'),
        ('label,' + ','.join(f'pixel{i}' for i in range(784)) + '\n0' + ',0' * 784, r'pixel10 … \(785\)'),
        (
            'file,a,b\n0.png,1,0\n1.png,1,1\n2.png,0,0\n',
            'one class for each image, found 2 of 3 with none or several of a, b',
        ),
        ('file,a,b\n0.png,1,0\n1.png,0.5,0.5\n', 'a column of labels, found the columns file, a, b'),
        ('file,label\n0.png,B\xe4r\n'.encode('latin-1'), 'Save it again as "CSV UTF-8"'),
    ],
)
def test_tables_that_are_refused(tmp_path, text, say):
    named(tmp_path)
    (tmp_path / 'labels.csv').write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PSRError, match=say):
        recognise(tmp_path)


def test_tables_that_are_read(tmp_path):
    names = [unicodedata.normalize('NFD', f'é{i}.png') for i in range(4)]
    for place, text in (
        ('composed', 'file,label\n' + ''.join(f'é{i}.png,{"ab"[i % 2]}\n' for i in range(4))),
        ('empty end', 'file,label\n' + ''.join(f'é{i}.png,{"ab"[i % 2]},\n' for i in range(4))),
    ):
        named(tmp_path / place, names)
        (tmp_path / place / 'labels.csv').write_text(text, encoding='utf-8')
        assert counts(recognise(tmp_path / place)) == [2, 2]
    rows = [dict(file_name=f'{i}.png', label='ab'[i % 2], note='a\u2028b\x85c') for i in range(4)]
    lines = '\n'.join(json.dumps(r, ensure_ascii=False) for r in rows)
    (named(tmp_path / 'lines') / 'metadata.jsonl').write_text(lines, encoding='utf-8')
    assert counts(recognise(tmp_path / 'lines')) == [2, 2]
    (tmp_path / 'lines' / 'metadata.jsonl').write_text(lines + '\n{"file_name":', encoding='utf-8')
    with pytest.raises(PSRError, match='metadata.jsonl line 5: expected JSON'):
        recognise(tmp_path / 'lines')


@pytest.mark.parametrize('home', ['', 'data', 'default'])
def test_parquet_in_split_folders(tmp_path, home):
    for start, split in ((0, 'train'), (9, 'Validation')):
        (tmp_path / home / split).mkdir(parents=True)
        cells = [dict(bytes=png(start + i), path=None) for i in range(4)]
        pq.write_table(pa.table(dict(image=cells, label=[0, 1] * 2)), tmp_path / home / split / '0000.PARQUET')
    listing = recognise(tmp_path)
    assert counts(listing) == [2, 2] and list(listing.splits) == ['train', 'validation']


def test_pixels_in_a_table(tmp_path):
    pq.write_table(
        pa.table(dict(image=[pixels(i).tolist() for i in range(4)], label=[0, 1] * 2)), tmp_path / 'a.parquet'
    )
    assert np.array_equal(load_data(tmp_path).images[1], pixels(1).transpose(2, 0, 1))
    halves = [(pixels(i) / 255).tolist() for i in range(4)]
    pq.write_table(pa.table(dict(image=halves, label=[0, 1] * 2)), tmp_path / 'a.parquet')
    with pytest.raises(PSRError, match='row 0: expected an encoded image, or whole numbers'):
        load_data(tmp_path)


def test_saved_sets_of_several_kinds(tmp_path):
    import datasets

    datasets.disable_progress_bars()

    def made(start, label=None, labels=(0, 1)):
        label = label or datasets.ClassLabel(names=['b', 'a'])
        features = datasets.Features(image=datasets.Image(), label=label)
        rows = [dict(image=Image.fromarray(pixels(start + i)), label=v) for i, v in enumerate(labels)]
        return datasets.Dataset.from_list(rows, features=features)

    made(0).with_format('torch').save_to_disk(tmp_path / 'torch')
    assert load_data(tmp_path / 'torch').labels.tolist() == [0, 1]
    texts = made(9, datasets.Value('string'), ('a', 'b'))
    datasets.DatasetDict(train=made(0), test=texts).save_to_disk(tmp_path / 'mixed')
    assert load_data(tmp_path / 'mixed', 'test').labels.tolist() == [1, 0]
    datasets.DatasetDict(train=made(0), val=made(3), dev=made(6)).save_to_disk(tmp_path / 'twice')
    with pytest.raises(PSRError, match='one part for the split validation'):
        load_data(tmp_path / 'twice')


# ---- arrays


@pytest.mark.parametrize(
    'images, say',
    [
        (np.random.rand(4, 8, 8) * 1.3, 'or up to 255, found 0'),
        (np.random.rand(4, 8, 8) * 2 - 1, 'Undo the normalisation'),
        (np.ones((4, 8, 8), complex), 'found complex128'),
        (np.zeros((4, 8, 8), [('r', 'u1'), ('g', 'u1')]), "'r'"),
        (np.zeros((4, 0, 8), np.uint8), 'shape 4×1×0×8'),
    ],
)
def test_arrays_that_are_refused(tmp_path, images, say):
    np.savez(tmp_path / 'a.npz', images=images, labels=np.arange(4) % 2)
    with pytest.raises(PSRError, match=say):
        load_data(tmp_path / 'a.npz')


@pytest.mark.parametrize('low, high', [(0, 1.0000004), (-1e-7, 1), (-0.03, 1.03), (-0.01, 255)])
def test_floats_a_little_outside_are_not_flattened(tmp_path, low, high):
    images = np.linspace(low, high, 256, dtype=np.float32).reshape(4, 8, 8)
    np.savez(tmp_path / 'a.npz', images=images, labels=np.arange(4) % 2)
    got = load_data(tmp_path / 'a.npz').images
    assert got.min() == 0 and got.max() == 255 and len(got.unique()) > 230
    if high < 2:
        Image.fromarray(images.reshape(16, 16)).save(tmp_path / 'heat.tif')
        assert len(np.unique(decode_image(tmp_path / 'heat.tif'))) > 230


def idx(file, array):
    head = b'\0\0\x08' + bytes([array.ndim]) + struct.pack('>' + 'I' * array.ndim, *array.shape)
    file.write_bytes(head + array.astype(np.uint8).tobytes())


def test_two_sets_of_idx_files_are_told_apart(tmp_path):
    for name in ('balanced', 'letters'):
        idx(tmp_path / f'emnist-{name}-train-images-idx3-ubyte', np.zeros((2, 4, 4)))
        idx(tmp_path / f'emnist-{name}-train-labels-idx1-ubyte', np.arange(2))
    with pytest.raises(PSRError, match='emnist-balanced, emnist-letters'):
        recognise(tmp_path)


def test_cifars_two_kinds_of_labels_and_its_parts(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 3072), np.uint8)
    hundred, ten = tmp_path / 'cifar-100-python', tmp_path / 'cifar-10-batches-py'
    hundred.mkdir()
    ten.mkdir()
    both = {b'data': images, b'fine_labels': [0, 1, 2, 0], b'coarse_labels': [0, 0, 1, 0]}
    for name, content in (
        (hundred / 'train', both),
        (hundred / 'meta', {b'fine_label_names': [b'a', b'b', b'c'], b'coarse_label_names': [b'X', b'Y']}),
        *((ten / f'data_batch_{n}', {b'data': images, b'labels': [0, 1, 0, 1]}) for n in (1, 2, 4, 5)),
    ):
        name.write_bytes(pickle.dumps(content))
    assert load_data(hundred).classes == ['a', 'b', 'c']
    assert load_data(hundred, label_column='coarse_labels').classes == ['X', 'Y']
    with pytest.raises(PSRError, match='one of fine_labels, coarse_labels'):
        load_data(hundred, label_column='colour')
    with pytest.warns(UserWarning, match='no data_batch_3'):
        assert len(load_data(ten)) == 16


def test_options_that_a_form_cannot_hear_are_said(tmp_path):
    with pytest.warns(UserWarning, match='--label-column kind not used: class folders have no columns'):
        load_data(folders(tmp_path), label_column='kind')


@pytest.mark.parametrize(
    'images, labels, say',
    [
        (torch.rand(4, 3, 8, 8), torch.tensor([[1, 1], [0, 1], [1, 0], [0, 0]]), 'one class for each image'),
        (torch.rand(4, 3, 8, 8), torch.tensor([float('nan'), 0, 1, 0]), 'NaN or infinity'),
        (torch.rand(4, 3, 8, 8) + 1j, torch.arange(4) % 2, 'complex64'),
        (torch.rand(4, 3, 8, 8).to_sparse(), torch.arange(4) % 2, 'sparse'),
        (torch.rand(4, 3, 0, 8), torch.arange(4) % 2, r'\(4, 3, 0, 8\)'),
    ],
)
def test_tensors_that_are_refused(tmp_path, images, labels, say):
    torch.save((images, labels), tmp_path / 'data.pt')
    with pytest.raises(PSRError, match=say):
        load_data(tmp_path / 'data.pt')


# ---- archives


def test_zips_of_windows_and_of_macs(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as z:
        for c in ('Bär', 'dog'):
            for i in range(2):
                info = zipfile.ZipInfo()
                info.filename = f'data\\{c}\\{i}.png'
                z.writestr(info, png(i))
    data = bytearray((tmp_path / 'a.zip').read_bytes())
    for mark, at in ((b'PK\3\4', 7), (b'PK\1\2', 9)):
        for start in [i for i in range(len(data)) if data[i : i + 4] == mark]:
            data[start + at] &= ~8  # as macOS writes it: UTF-8 that is not said to be so
    (tmp_path / 'a.zip').write_bytes(bytes(data))
    assert recognise(tmp_path / 'a.zip').classes == ['Bär', 'dog']


@pytest.mark.parametrize('order', [1, -1])
def test_a_file_and_a_folder_of_one_name(tmp_path, order):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as z:
        for name in ('cat', 'cat/0.png')[::order]:
            z.writestr(name, png(0))
    with pytest.raises(PSRError, match='a.zip: expected one thing under each name, found cat as a file'):
        recognise(tmp_path / 'a.zip')


def test_dots_in_the_names_of_a_shard(tmp_path):
    entries = {
        'd.v1/x.left.png': png(0),
        'd.v1/x.right.png': png(1),
        'd.v1/x.cls': b'0',
        'y.png': png(2),
        'y.cls': b'1',
    }
    listing = recognise(tar_of(tmp_path / 'train-0.tar', entries))
    assert counts(listing) == [1, 1] and listing.left_out['pictures beside the first of their sample'] == 1
    assert np.array_equal(load_data(tmp_path / 'train-0.tar').images[0], pixels(0).transpose(2, 0, 1))


def tar_of(file, entries, mode='w'):
    "entries: name -> content, or the name that a link leads to"
    with tarfile.open(file, mode) as t:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = (
                    (tarfile.LNKTYPE if content[0] == '=' else tarfile.SYMTYPE),
                    content.strip('='),
                )
                t.addfile(info)
            else:
                info.size = len(content)
                t.addfile(info, io.BytesIO(content))
    return file


def test_links_in_a_tar_become_files_or_are_refused(tmp_path):
    whole = {'d/cat/0.png': png(0), 'd/cat/1.png': png(1)}
    linked = whole | {'d/dog/0.png': '../cat/0.png', 'd/dog/1.png': '=d/cat/1.png', 'd/dog/2.png': '0.png'}
    listing = recognise(tar_of(tmp_path / 'a.tar.gz', linked, 'w:gz'))
    assert counts(listing) == [2, 3]
    data = load_data(tmp_path / 'a.tar.gz')
    assert torch.equal(data.images[0], data.images[2]) and torch.equal(data.images[1], data.images[3])
    for bad in ('/etc/passwd', '../../../../etc/passwd', '../cat', '1.png'):
        with pytest.raises(PSRError, match='links to files in the archive'):
            recognise(tar_of(tmp_path / 'b.tar.gz', whole | {'d/dog/0.png': bad, 'd/dog/1.png': '0.png'}, 'w:gz'))


def shard(file, ending, labels, mode='w'):
    entries = {}
    for i, label in enumerate(labels):
        entries |= {f'{i}.png': png(i), f'{i}.{ending}': label}
    return tar_of(file, entries, mode)


@pytest.mark.parametrize(
    'ending, labels, classes',
    [
        ('cls', [b'0.0', b'1.0'] * 2, ['0', '1']),
        ('cls', [b'0001\n', b'0002\n'] * 2, ['1', '2']),
        ('txt', [b'cat\n', b'dog\n'] * 2, ['cat', 'dog']),
        ('cls', [b'-1'] * 4, 'a label of 0 or more, found -1'),
        ('txt', [b'a cat', b'a dog', b'one more', b'a bird'], 'Give each image a .cls file'),
        ('json', [b'[1]'] * 4, 'JSON with a label.*a list'),
        ('json', [b'[' * 100_000] * 4, 'JSON with a label.*RecursionError'),
    ],
)
def test_labels_of_shards(tmp_path, ending, labels, classes):
    file = shard(tmp_path / 'train-0.tar', ending, labels)
    if isinstance(classes, list):
        assert recognise(file).classes == classes
        return
    with pytest.raises(PSRError, match=classes):
        recognise(file)


def test_names_beside_shards(tmp_path):
    shard(tmp_path / 'train-0.tar', 'cls', [b'0', b'1'])
    (tmp_path / 'classes.txt').write_text('cat\ndog\n\n')
    assert recognise(tmp_path).classes == ['cat', 'dog']
    (tmp_path / 'classes.txt').write_bytes('Bär\nHund'.encode('latin-1'))
    with pytest.raises(PSRError, match='class names in UTF-8'):
        recognise(tmp_path)
    with pytest.raises(PSRError, match='plain .tar files'):
        recognise(shard(tmp_path / 'train.tar.gz', 'cls', [b'0', b'1'], 'w:gz'))


@pytest.mark.parametrize(
    'names, say',
    [
        (('train.zip', 'test.zip'), '2 files .zip.*Unpack them into one folder'),
        (('photos.7z',), '1 file .7z.*Unpack it first'),
        (('train.npz', 'test.npz'), 'Give one of the files'),
    ],
)
def test_what_is_there_instead_is_said(tmp_path, names, say):
    for name in names:
        (tmp_path / name).write_bytes(b'PK')
    with pytest.raises(PSRError, match=say):
        recognise(tmp_path)


# ---- pictures


def test_heic_under_another_name(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'\0\0\0\x18ftypheic' + bytes(99))
    for data in (tmp_path / 'a.jpg', (tmp_path / 'a.jpg').read_bytes()):
        with pytest.raises(PSRError, match='found HEIC. Save it as JPEG'):
            decode_image(data, where='a.jpg')


def test_colour_profiles_are_said(tmp_path):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    for other in (profile, profile.replace(b's\0R\0G\0B', b'A\0R\0G\0B').replace(b'sRGB', b'ARGB')):
        folders(tmp_path, ('cat',))
        Image.fromarray(pixels(99)).save(tmp_path / 'cat' / '0.png', icc_profile=other)
        said = [what for what in describe(tmp_path).treated if 'colour profile' in what]
        assert bool(said) == (other != profile)


def test_a_row_of_pixels_is_no_trap():
    assert decode_image(Image.new('RGB', (60_000, 1)), size=512).shape == (3, 512, 512)


def test_one_transparent_value(tmp_path):
    for mode, value in (('1', 0), ('L', 7), ('I;16', 30000)):
        Image.new(mode, (4, 4), value).save(tmp_path / 'a.png', transparency=value)
        assert decode_image(tmp_path / 'a.png')[0, 0, 0] == 255
        assert decode_image(tmp_path / 'a.png', background=(9, 8, 7))[:, 0, 0].tolist() == [9, 8, 7]


def test_the_report_says_what_was_done_to_pictures(tmp_path):
    folders(tmp_path)
    Image.fromarray(np.dstack([pixels(7), pixels(8)[..., 0]])).save(tmp_path / 'cat' / 'hole.png')
    Image.fromarray(np.dstack([pixels(6), np.full((8, 8), 255, np.uint8)])).save(tmp_path / 'cat' / 'whole.png')
    Image.fromarray(np.full((8, 8), 999, np.uint16)).save(tmp_path / 'cat' / 'deep.png')
    frames = [Image.fromarray(pixels(i)) for i in (20, 21)]
    frames[0].save(tmp_path / 'dog' / 'film.gif', save_all=True, append_images=frames[1:])
    turned = frames[0].getexif()
    turned[0x0112] = 6
    Image.fromarray(pixels(9)).save(tmp_path / 'dog' / 'turned.png', exif=turned)
    done = dict(describe(tmp_path).treated)
    assert done == {
        'transparent, laid on white': 1,
        'deeper than 8 bits, scaled': 1,
        'of several frames, the first taken': 1,
        'turned upright': 1,
    }
    assert '1 turned upright' in repr(describe(tmp_path))


def test_pixels_that_are_no_image():
    for shape in ((8, 8), (2, 8, 8), (8, 8, 3), (3, 0, 8)):
        with pytest.raises(PSRError, match='here: expected pixels'):
            decode_image(np.zeros(shape, np.uint8), where='here')


# ---- names and pictures that may not be what was meant


@pytest.mark.parametrize('names', [('Cat', 'cat'), ('01', '1'), ('big dog', 'Big  dog')])
def test_classes_that_may_be_one_are_doubted(tmp_path, names):
    text = 'file,label\n' + ''.join(f'{i}.png,{names[i % 2]}\n' for i in range(4))
    (named(tmp_path) / 'labels.csv').write_text(text)
    with pytest.warns(UserWarning, match=f'may be one: .*{names[1]}'):
        assert len(load_data(tmp_path).classes) == 2


def test_names_that_no_page_could_show_are_refused(tmp_path):
    (named(tmp_path / 'nul') / 'labels.csv').write_text('file,label\n0.png,a\0\n1.png,b\n')
    for name in (b'b\xe4r', b'dog'):
        folder = os.path.join(os.fsencode(tmp_path / 'bytes'), name)
        os.makedirs(folder)
        with open(os.path.join(folder, b'0.png'), 'wb') as f:
            f.write(png(0))
    for place in ('nul', 'bytes'):
        with pytest.raises(PSRError, match='class .*: expected a name in UTF-8'):
            recognise(tmp_path / place)


def test_greys_of_twelve_bits_in_sixteen_are_said_to_be_dark(tmp_path):
    for name in ('cat', 'dog'):
        (tmp_path / name).mkdir()
        for i in range(2):
            scan = np.linspace(0, 4095, 64).reshape(8, 8) - i
            Image.fromarray(scan.clip(0).astype(np.uint16)).save(tmp_path / name / f'{i}.png')
    with pytest.warns(UserWarning, match='nearly black: no value above 16 of 255. Greys of 12 bits'):
        load_data(tmp_path)
    assert any('nearly black' in p for p in describe(tmp_path).problems)


def test_pictures_that_share_a_name_in_a_shard_are_said(tmp_path):
    entries = {f'{i}.{end}': png(i) for i in range(4) for end in ('png', 'jpg')} | {
        f'{i}.cls': b'%d' % (i % 2) for i in range(4)
    }
    with pytest.warns(UserWarning, match='left out 4 pictures beside the first of their sample'):
        assert len(load_data(tar_of(tmp_path / 'two.tar', entries))) == 4
    with tarfile.open(shard(tmp_path / 'again.tar', 'cls', [b'0', b'1'] * 2), 'a') as t:
        info = tarfile.TarInfo('0.png')
        info.size = len(png(9))
        t.addfile(info, io.BytesIO(png(9)))
    with pytest.warns(UserWarning, match='left out 1 pictures of a name that a later one has too'):
        assert len(load_data(tmp_path / 'again.tar')) == 4


@pytest.mark.parametrize(
    'names',
    ['seg_train seg_test', 'train2017 val2017', 'cifar_train cifar_test', '1_train 2_test', 'train_32x32 val_32x32'],
)
def test_splits_whose_names_have_more_in_common(tmp_path, names):
    for start, name in enumerate(names.split()):
        for c, kind in enumerate(('cat', 'dog')):
            (tmp_path / name / kind).mkdir(parents=True)
            for i in range(2):
                pixels = np.random.default_rng([start, c, i]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / kind / f'{i}.png')
    train = load_data(tmp_path)
    assert (train.classes, len(train)) == (['cat', 'dog'], 4)
    if 'test' in names:
        test = load_data(tmp_path, 'test')
        assert len(test) == 4 and not set(test.image_keys) & set(train.image_keys)


def test_columns_of_splits_and_labels_that_say_something_else(tmp_path):
    "A column of splits in numbers, which nobody can know; several classes of one image in one text."
    named(tmp_path)
    (tmp_path / 'l.csv').write_text('file,label,partition\n0.png,a,0\n1.png,b,1\n2.png,a,2\n3.png,b,0\n')
    with pytest.warns(
        UserWarning, match='column of splits says 0, 1, 2, not train, validation or test: all of its images'
    ):
        listing = recognise(tmp_path)
    assert counts(listing) == [2, 2]
    (tmp_path / 'l.csv').write_text('file,label\n0.png,a\n1.png,b\n2.png,a|b\n3.png,c|d\n')
    assert recognise(tmp_path).doubts == ['classes that may be several of one image: a|b']


def test_a_part_of_a_table_that_is_missing(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    png = io.BytesIO()
    Image.new('L', (8, 8)).save(png, 'PNG')
    rows = pa.table(dict(image=[png.getvalue()] * 2, label=[0, 1]))
    for i in (0, 2):
        pq.write_table(rows, tmp_path / f'train-{i:05d}-of-00003.parquet')
    with pytest.raises(PSRError, match='expected 3 parts, found 2, without number 1'):
        load_data(tmp_path)
    pq.write_table(rows, tmp_path / 'train-00001-of-00003.parquet')
    assert len(load_data(tmp_path)) == 6


def test_a_notebook_that_was_worked_in_is_kept(tiny_copy, tmp_path):
    "`psr explore` again: what somebody wrote into the notebook of the pool stays; another notebook is not replaced."
    from psr_nb.stages import explorer_notebook

    page = explorer_notebook(tiny_copy, out=tmp_path / 'page.ipynb')
    first = json.loads(page.read_text())
    assert explorer_notebook(tiny_copy, 'fashion-mini', page) == page  # nobody has worked in it: with images now
    assert 'fashion-mini' in page.read_text()
    explorer_notebook(tiny_copy, out=page)
    mine = dict(first['cells'][1], source=['explorer.pin([(0, 3)])'])
    for cells in ([*first['cells'], mine], [mine, first['cells'][0]]):
        page.write_text(json.dumps(first | dict(cells=cells)))
        before = page.read_text()
        assert explorer_notebook(tiny_copy, out=page) == page and page.read_text() == before
        with pytest.raises(PSRError, match='found one with other cells. Open it, or give another --out'):
            explorer_notebook(tiny_copy, 'fashion-mini', page)
    started = first['cells'][0]['source'].replace('PoolExplorer(pool)', 'PoolExplorer(pool, start=code)')
    for other in (first | dict(cells=[dict(mine, source=started), first['cells'][1]]), dict(a=1)):
        page.write_text(json.dumps(other))
        with pytest.raises(PSRError, match='page.ipynb: expected nothing, or a notebook'):
            explorer_notebook(tiny_copy, out=page)
        assert json.loads(page.read_text()) == other


# ---- splits that lists and columns of yes and no say


@pytest.mark.parametrize('kind', ['food', 'cub'])
def test_lists_of_splits_beside_class_folders(tmp_path, kind):
    "Food-101 and CUB as unpacked: the official test images are never for training."
    files = [f'{c}/{i}' for c in ('cat', 'dog') for i in range(3)]
    for c in ('cat', 'dog'):
        named(tmp_path / 'images' / c, ('0.png', '1.png', '2.png'))
    if kind == 'food':
        (tmp_path / 'meta').mkdir()
        (tmp_path / 'meta' / 'train.txt').write_text('\n'.join(f for f in files if f[-1] != '2'))
        (tmp_path / 'meta' / 'test.txt').write_text('\n'.join(f for f in files if f[-1] == '2'))
    else:
        for other in ('attributes', 'parts', 'segmentations/cat'):
            (tmp_path / other).mkdir(parents=True)
        named(tmp_path / 'segmentations' / 'cat', ('0.png',))
        (tmp_path / 'images.txt').write_text('\n'.join(f'{i} {f}.png' for i, f in enumerate(files)))
        (tmp_path / 'train_test_split.txt').write_text('\n'.join(f'{i} {int(i % 3 < 2)}' for i in range(6)))
    for place in (tmp_path, tmp_path / 'images'):
        assert load_data(place, size=8).labels.tolist() == [0, 0, 1, 1]
        assert load_data(place, 'test', size=8).labels.tolist() == [0, 1]
    named(tmp_path / 'images' / 'cat', ('new.png',))
    with pytest.raises(PSRError, match='1 of 7 images in none'):
        recognise(tmp_path)


@pytest.mark.parametrize('column, train, test', [('is_train', '1', '0'), ('is_test', 'False', 'True')])
@pytest.mark.parametrize('form', ['csv', 'parquet'])
def test_a_column_of_yes_and_no_is_the_split(tmp_path, column, train, test, form):
    rows = [(f'{i}.png', 'cat' if i % 2 else 'dog', train if i < 4 else test) for i in range(6)]
    if form == 'csv':
        named(tmp_path, [r[0] for r in rows])
        lines = [f'file_name,label,{column}', *(','.join(r) for r in rows)]
        (tmp_path / 'labels.csv').write_text('\n'.join(lines))
    else:
        flags = [r[2] in ('1', 'True') for r in rows]
        columns = {'image': [png(i) for i in range(6)], 'label': [r[1] for r in rows], column: flags}
        pq.write_table(pa.table(columns), tmp_path / 'all.parquet')
    assert len(load_data(tmp_path, size=8)) == 4 and len(load_data(tmp_path, 'test', size=8)) == 2


@pytest.mark.parametrize('columns', ['is_train', 'is_train,is_test'])
def test_columns_of_yes_and_no_that_leave_something_open(tmp_path, columns):
    "An empty cell, and two such columns."
    named(tmp_path, ('0.png', '1.png'))
    cells = ('1', '') if columns == 'is_train' else ('1,0', '0,1')
    rows = [f'{i}.png,{c},{cell}' for i, (c, cell) in enumerate(zip(('cat', 'dog'), cells))]
    (tmp_path / 'labels.csv').write_text('\n'.join([f'file_name,label,{columns}', *rows]))
    said = 'yes or no in every row' if columns == 'is_train' else 'one column of splits, found is_train and is_test'
    with pytest.raises(PSRError, match=said):
        load_data(tmp_path, size=8)
