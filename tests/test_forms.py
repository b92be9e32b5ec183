"The forms in which people have images: each read rightly, or refused in a sentence that says what to do."

import io
import json
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from psr_nb import forms
from psr_nb.core import PSRError
from psr_nb.forms import recognise


def pixels(i, size=8):
    return np.random.default_rng(i).integers(0, 256, (size, size, 3), dtype=np.uint8)


def png(i):
    buffer = io.BytesIO()
    Image.fromarray(pixels(i)).save(buffer, 'png')
    return buffer.getvalue()


def folders(root, names=('cat', 'dog'), n=3, start=0):
    for c, name in enumerate(names):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            (root / name / f'{i}.png').write_bytes(png(start + 10 * c + i))
    return root


def counts(listing, split='train'):
    return np.bincount(listing.split(split).labels, minlength=len(listing.classes)).tolist()


def arrays(listing, split='train'):
    "Decoded rows, whatever they are stored as."
    found = listing.split(split)
    out = []
    for data, _ in found.rows(np.arange(len(found))):
        if not isinstance(data, np.ndarray):
            data = np.asarray(
                Image.open(io.BytesIO(data) if isinstance(data, bytes) else data).convert('RGB')
            ).transpose(2, 0, 1)
        out.append(data)
    return np.stack(out)


@pytest.mark.parametrize(
    'train, test',
    [
        ('Training', 'Testing'),
        ('train_set', 'Test'),
        ('TRAIN', 'val'),
        ('train', 'validation'),
        ('training_set', 'testing_set'),
    ],
)
def test_split_folders_under_usual_names(tmp_path, train, test):
    folders(tmp_path / train)
    folders(tmp_path / test, n=2, start=50)
    listing = recognise(tmp_path)
    assert listing.classes == ['cat', 'dog'] and counts(listing) == [3, 3] and counts(listing, 'test') == [2, 2]


def test_classes_called_train_and_test(tmp_path):
    listing = recognise(folders(tmp_path, ('bus', 'test', 'train')))
    assert listing.classes == ['bus', 'test', 'train'] and list(listing.splits) == ['train']
    with pytest.raises(PSRError, match='split test'):
        listing.split('test')


def test_flat_split_folders_are_refused(tmp_path):
    for split in ('train', 'test'):
        (tmp_path / split).mkdir()
        (tmp_path / split / '1.png').write_bytes(png(1))
    with pytest.raises(PSRError, match='a folder for each class inside'):
        recognise(tmp_path)


def test_one_and_two_levels_too_deep(tmp_path):
    folders(tmp_path / 'a' / 'data' / 'dataset')
    listing = recognise(tmp_path / 'a')
    assert listing.classes == ['cat', 'dog'] and len(listing.notes) == 2
    folders(tmp_path / 'b' / 'dataset' / 'train')
    assert counts(recognise(tmp_path / 'b')) == [3, 3]
    assert recognise(folders(tmp_path / 'c', ('only',))).classes == ['only']


def test_a_class_missing_in_a_split_does_not_shift_the_labels(tmp_path):
    folders(tmp_path / 'train', ('a', 'b', 'c'))
    folders(tmp_path / 'test', ('b', 'c'))
    listing = recognise(tmp_path)
    assert counts(listing, 'test') == [0, 3, 3] and any('test has no images of a' in n for n in listing.notes)


def test_system_files_are_passed_over_and_counted(tmp_path):
    folders(tmp_path)
    (tmp_path / 'cat' / '.ipynb_checkpoints').mkdir()
    (tmp_path / 'cat' / '.ipynb_checkpoints' / '0.png').write_bytes(png(0))
    (tmp_path / '__MACOSX').mkdir()
    for name in ('._0.png', 'Thumbs.db', 'desktop.ini', '.DS_Store', 'notes.txt'):
        (tmp_path / 'dog' / name).write_bytes(b'not a picture')
    listing = recognise(tmp_path)
    assert counts(listing) == [3, 3]
    assert listing.left_out['system and hidden files'] == 6 and listing.left_out['not images (.txt)'] == 1


@pytest.mark.parametrize(
    'ending, kind',
    [
        ('.tif', None),
        ('.TIFF', 'tiff'),
        ('.gif', None),
        ('.jfif', 'jpeg'),
        ('.jpe', 'jpeg'),
        ('.ppm', None),
        ('.JPG', 'jpeg'),
        ('', 'png'),
        ('.weird', 'png'),
    ],
)
def test_whatever_pillow_opens_is_an_image(tmp_path, ending, kind):
    folders(tmp_path)
    Image.fromarray(pixels(7)).save(tmp_path / 'cat' / f'7{ending}', format=kind)
    assert counts(recognise(tmp_path)) == [4, 3]


def test_linked_folders_are_followed_and_loops_are_not(tmp_path):
    folders(tmp_path / 'elsewhere', ('dog',))
    folders(tmp_path / 'data', ('cat',))
    os.symlink(tmp_path / 'elsewhere' / 'dog', tmp_path / 'data' / 'dog')
    os.symlink(tmp_path / 'data' / 'cat', tmp_path / 'data' / 'cat' / 'again')
    listing = recognise(tmp_path / 'data')
    assert listing.classes == ['cat', 'dog'] and counts(listing) == [3, 3] and listing.left_out['linked in a loop'] == 1


@pytest.mark.parametrize(
    'name, text',
    [
        ('labels.csv', 'file,label\n0.png,a\n1.png,b\n2.png,a\n'),
        ('labels.tsv', 'image\tclass\n0.png\ta\n1.png\tb\n2.png\ta\n'),
        ('x.csv', 'id;category\n0;a\n1;b\n2;a\n'),
        ('metadata.jsonl', ''.join(json.dumps(dict(file_name=f'{i}.png', label='aba'[i])) + '\n' for i in range(3))),
    ],
)
def test_tables_of_files(tmp_path, name, text):
    (tmp_path / 'images').mkdir()
    for i in range(3):
        (tmp_path / 'images' / f'{i}.png').write_bytes(png(i))
    (tmp_path / name).write_text(text, encoding='utf-8-sig')
    for path in (tmp_path, tmp_path / name):
        listing = recognise(path)
        assert listing.classes == ['a', 'b'] and listing.split('train').labels.tolist() == [0, 1, 0]
        assert (arrays(listing)[1] == pixels(1).transpose(2, 0, 1)).all()


def test_a_table_with_a_column_of_splits_and_one_that_names_no_file(tmp_path):
    for i in range(4):
        (tmp_path / f'{i}.png').write_bytes(png(i))
    rows = ''.join(f'{i}.png,{i % 2},{"train" if i < 2 else "val"}\n' for i in range(4))
    (tmp_path / 'labels.csv').write_text('file,label,split\n' + rows)
    listing = recognise(tmp_path)
    assert listing.classes == ['0', '1'] and counts(listing) == [1, 1] and counts(listing, 'test') == [1, 1]
    (tmp_path / 'labels.csv').write_text('file,label\n0.png,0\nnone.png,1\n')
    with pytest.raises(PSRError, match='none.png'):
        recognise(tmp_path)
    (tmp_path / 'labels.csv').write_text('file,label\n../../etc/passwd,0\n')
    with pytest.raises(PSRError, match='image-column'):
        recognise(tmp_path)


def table(path, labels, names=None, images=None, **columns):
    cells = images or [dict(bytes=png(i), path=None) for i in range(len(labels))]
    meta = names and {'huggingface': json.dumps({'info': {'features': {'label': {'names': names}}}})}
    pq.write_table(pa.table({'image': cells, 'label': labels, **columns}).replace_schema_metadata(meta), path)
    return path


@pytest.mark.parametrize(
    'labels, names, classes, positions',
    [
        ([0, 1, 1], None, ['0', '1'], [0, 1, 1]),
        ([1, 2, 2], None, ['1', '2'], [0, 1, 1]),
        ([0, 5, 5], None, ['0', '5'], [0, 1, 1]),
        ([0.0, 1.0, 1.0], ['a', 'b'], ['a', 'b'], [0, 1, 1]),
        ([True, False, True], None, ['false', 'true'], [1, 0, 1]),
        (['dog', 'cat', 'dog'], None, ['cat', 'dog'], [1, 0, 1]),
        ([0, 2, 2], ['a', 'b', 'c'], ['a', 'b', 'c'], [0, 2, 2]),
    ],
)
def test_labels_in_parquet(tmp_path, labels, names, classes, positions):
    listing = recognise(table(tmp_path / 'x.parquet', labels, names))
    assert listing.classes == classes and listing.split('train').labels.tolist() == positions
    assert listing.split('train').labels.dtype == np.int64
    assert (arrays(listing)[2] == pixels(2).transpose(2, 0, 1)).all()


@pytest.mark.parametrize('labels', [[0, None], [-1, 0], [0.5, 1.0], [[0], [1]], ['', 'a']])
def test_labels_that_are_none_are_refused(tmp_path, labels):
    with pytest.raises(PSRError, match='x.parquet|data '):
        recognise(table(tmp_path / 'x.parquet', labels))


def test_labels_beyond_the_names_are_refused(tmp_path):
    with pytest.raises(PSRError, match='labels from 0 to 1'):
        recognise(table(tmp_path / 'x.parquet', [0, 2], ['a', 'b']))


def test_a_parquet_file_is_never_its_own_test_set(tmp_path):
    with pytest.raises(PSRError, match='split test'):
        recognise(table(tmp_path / 'train.parquet', [0, 1])).split('test')


def test_parquet_with_paths_and_other_columns(tmp_path):
    (tmp_path / 'images').mkdir()
    for i in range(2):
        (tmp_path / 'images' / f'{i}.png').write_bytes(png(i))
    listing = recognise(table(tmp_path / 'train.parquet', [0, 1], images=['images/0.png', '1.png']))
    assert (arrays(listing)[1] == pixels(1).transpose(2, 0, 1)).all()
    pq.write_table(pa.table({'scan': [png(0)], 'finding': ['ill']}), tmp_path / 'y.parquet')
    with pytest.raises(PSRError, match='image-column'):
        recognise(tmp_path / 'y.parquet')
    assert recognise(tmp_path / 'y.parquet', 'scan', 'finding').classes == ['ill']
    with pytest.raises(PSRError, match="'scans'"):
        recognise(tmp_path / 'y.parquet', 'scans', 'finding')


@pytest.mark.parametrize(
    'keys', [('train_images', 'train_labels', 'test_images', 'test_labels'), ('x_train', 'y_train', 'x_test', 'y_test')]
)
def test_npz(tmp_path, keys):
    stack = np.stack([pixels(i) for i in range(4)])
    np.savez(tmp_path / 'm.npz', **dict(zip(keys, (stack, [[0], [1], [1], [0]], stack[:2] / 255, [0, 1]))))
    listing = recognise(tmp_path / 'm.npz')
    assert counts(listing) == [2, 2] and counts(listing, 'test') == [1, 1]
    assert (arrays(listing, 'test') == stack[:2].transpose(0, 3, 1, 2)).all()


def test_npz_that_is_refused(tmp_path):
    np.savez(tmp_path / 'pickled.npz', images=np.array([object()]), labels=[0])
    np.savez(tmp_path / 'scaled.npz', images=np.full((2, 4, 4), -1.0), labels=[0, 1])
    np.savez(tmp_path / 'short.npz', images=np.zeros((2, 4, 4)), labels=[0])
    np.savez(tmp_path / 'many.npz', images=np.zeros((2, 4, 4)), labels=[[1, 1], [0, 1]])
    (tmp_path / 'torn.npz').write_bytes((tmp_path / 'short.npz').read_bytes()[:200])
    for name in ('pickled', 'scaled', 'short', 'many', 'torn'):
        with pytest.raises(PSRError):
            recognise(tmp_path / f'{name}.npz')


def test_cifar_batches_and_a_pickle_that_would_run(tmp_path):
    folder = tmp_path / 'cifar-10-batches-py'
    folder.mkdir()
    data = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    for name in ('data_batch_1', 'test_batch'):
        (folder / name).write_bytes(pickle.dumps({b'data': data, b'labels': [0, 1, 1, 0]}, protocol=2))
    (folder / 'batches.meta').write_bytes(pickle.dumps({b'label_names': [b'aeroplane', b'car']}, protocol=2))
    for listing in (recognise(folder), recognise(folder)):
        assert listing.classes == ['aeroplane', 'car'] and counts(listing, 'test') == [2, 2]
        assert (arrays(listing) == data.reshape(4, 3, 32, 32)).all()

    class Runs:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'it ran'),)

    (folder / 'data_batch_1').write_bytes(pickle.dumps({b'data': Runs()}))
    with pytest.raises(PSRError, match='not an array'):
        recognise(folder)
    assert not (tmp_path / 'it ran').exists()


def test_saved_datasets(tmp_path):
    import datasets

    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=['a', 'b']))
    made = datasets.Dataset.from_dict(
        dict(image=[Image.fromarray(pixels(i)) for i in range(4)], label=[0, 1, 1, 0]), features
    )
    made.save_to_disk(tmp_path / 'one')
    datasets.DatasetDict(train=made, validation=made.select([0])).save_to_disk(tmp_path / 'two')
    listing = recognise(tmp_path / 'one')
    assert listing.classes == ['a', 'b'] and (arrays(listing)[3] == pixels(3).transpose(2, 0, 1)).all()
    assert counts(recognise(tmp_path / 'two'), 'test') == [1, 0]
    with pytest.raises(PSRError, match='two different ones'):
        recognise(tmp_path / 'one', 'label', 'label')
    (tmp_path / 'one' / 'state.json').write_text('{')
    with pytest.raises(PSRError, match='save_to_disk'):
        recognise(tmp_path / 'one')


def shard(path, labels, kind='cls', homes=()):
    with tarfile.open(path, 'w') as archive:
        for i, label in enumerate(labels):
            about = str(label).encode() if kind == 'cls' else json.dumps(dict(label=label)).encode()
            for ending, data in (('png', png(i)), (kind, about)):
                info = tarfile.TarInfo(f'{homes[i] if homes else ""}{i:05}.{ending}')
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize('kind', ['cls', 'json'])
def test_webdataset_shards(tmp_path, kind):
    shard(tmp_path / 'train-000.tar', [0, 1], kind)
    shard(tmp_path / 'train-001.tar', [1], kind)
    shard(tmp_path / 'test-000.tar', [0], kind)
    listing = recognise(tmp_path)
    assert counts(listing) == [1, 2] and counts(listing, 'test') == [1, 0]
    assert (arrays(listing)[1] == pixels(1).transpose(2, 0, 1)).all()


PLACES = ['train/a/', 'test/a/', 'train/b/', 'test/b/']


@pytest.mark.parametrize('kind', ['bytes', 'paths', 'parts', 'shard'])
def test_folders_in_a_table_or_shard_are_splits_where_nothing_else_is(tmp_path, kind):
    for i, place in enumerate(PLACES):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / f'{i:05}.png').write_bytes(png(i))
    names = [f'{place}{i:05}.png' for i, place in enumerate(PLACES)]
    inside = [dict(bytes=png(i), path=f'/home/test/{name}') for i, name in enumerate(names)]
    path = tmp_path / ('x.tar' if kind == 'shard' else 'x.parquet')
    if kind == 'shard':
        shard(path, [0, 0, 1, 1], homes=PLACES)
    elif kind == 'parts':
        for part in (0, 1):
            table(tmp_path / f'x-{part}.parquet', [0, 1], images=inside[part::2])
        path = tmp_path
    else:
        table(path, [0, 0, 1, 1], images=inside if kind == 'bytes' else names)
    listing = recognise(path)
    assert counts(listing) == [1, 1] and counts(listing, 'test') == [1, 1]
    assert (arrays(listing, 'test')[1] == pixels(3).transpose(2, 0, 1)).all()


def test_folders_in_a_table_are_no_splits_where_its_name_says_one_or_a_class_is_called_so(tmp_path):
    inside = [dict(bytes=png(i), path=f'{place}{i}.png') for i, place in enumerate(PLACES)]
    assert list(recognise(table(tmp_path / 'train.parquet', [0, 0, 1, 1], images=inside)).splits) == ['train']
    (tmp_path / 'train.parquet').unlink()
    words = ['train', 'test', 'train', 'test']
    assert list(recognise(table(tmp_path / 'x.parquet', words, images=inside)).splits) == ['train']


def test_warnings_about_an_archive_name_the_archive(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    table(tmp_path / 'x.parquet', [0, 1], split=['left', 'right'])
    with zipfile.ZipFile(tmp_path / 'x.zip', 'w') as z:
        z.write(tmp_path / 'x.parquet', 'x.parquet')
    with pytest.warns(UserWarning, match='x.zip: its column of splits says left, right'):
        recognise(tmp_path / 'x.zip')


def test_zip_of_folders_and_what_a_zip_must_not_do(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    folders(tmp_path / 'data')
    with zipfile.ZipFile(tmp_path / 'good.zip', 'w') as z:
        for p in sorted((tmp_path / 'data').rglob('*.png')):
            z.write(p, p.relative_to(tmp_path))
    listing = recognise(tmp_path / 'good.zip')
    assert listing.classes == ['cat', 'dog'] and counts(listing) == [3, 3] and listing.form.endswith('in a zip')
    with zipfile.ZipFile(tmp_path / 'out.zip', 'w') as z:
        z.writestr('../../escaped.png', png(0))
    with zipfile.ZipFile(tmp_path / 'bomb.zip', 'w', zipfile.ZIP_DEFLATED) as z:
        z.writestr('a/zeros.png', bytes(50_000_000))
    monkeypatch.setattr(forms, 'MOST_UNPACKED', 10_000_000)
    for name in ('out', 'bomb'):
        with pytest.raises(PSRError, match='archive|GiB'):
            recognise(tmp_path / f'{name}.zip')
    assert not list(tmp_path.rglob('escaped.png'))


def test_a_form_that_is_none_names_them_all(tmp_path):
    (tmp_path / 'empty').mkdir()
    for path in (tmp_path / 'empty', tmp_path / 'nowhere'):
        with pytest.raises(PSRError):
            recognise(path)
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(PSRError, match='regular file'):
        recognise(tmp_path / 'pipe')
    (tmp_path / 'l.csv').write_text('file,label\n')
    with pytest.raises(PSRError, match='file_name, label'):
        recognise(tmp_path / 'l.csv')


def test_idx_with_fewer_labels_than_images_is_refused(tmp_path):
    header = lambda *shape: bytes([0, 0, 8, len(shape)]) + b''.join(n.to_bytes(4, 'big') for n in shape)
    (tmp_path / 'train-images-idx3-ubyte').write_bytes(header(3, 4, 4) + bytes(48))
    (tmp_path / 'train-labels-idx1-ubyte').write_bytes(header(3) + bytes([0, 1, 1]))
    assert counts(recognise(tmp_path)) == [1, 2]
    (tmp_path / 'train-labels-idx1-ubyte').write_bytes(header(2) + bytes([0, 1]))
    with pytest.raises(PSRError, match='each of the 3 images'):
        recognise(tmp_path)


def test_numbers_of_two_splits_that_stand_for_other_names(tmp_path):
    "As in two parquet files, or two splits of `datasets`, of which each counts its classes in its own order."
    import datasets

    def part(start, names):
        features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=names))
        rows = dict(image=[dict(bytes=png(start + i), path=None) for i in range(4)], label=[0, 1, 0, 0])
        return datasets.Dataset.from_dict(rows, features=features)

    parts = dict(train=part(0, ['cat', 'dog']), test=part(10, ['dog', 'cat', 'eel']))
    datasets.DatasetDict(parts).save_to_disk(tmp_path / 'saved')
    (tmp_path / 'parquet').mkdir()
    for split, one in parts.items():
        one.to_parquet(str(tmp_path / 'parquet' / f'{split}.parquet'))
    for folder in ('saved', 'parquet'):
        listing = recognise(tmp_path / folder)
        named = {s: [listing.classes[i] for i in listing.split(s).labels] for s in ('train', 'test')}
        assert named == dict(train=['cat', 'dog', 'cat', 'cat'], test=['dog', 'cat', 'dog', 'dog'])


@pytest.mark.parametrize(
    'train, test, say',
    [
        (['0', '1'], ['cat', 'dog'], 'in common, found none: 0, 1 in train and cat, dog in test'),
        (
            ['Cat', 'dog'],
            ['cat', 'dog'],
            'one spelling of each class in all splits, found Cat in train and cat in test',
        ),
        (['1', '2', '3'], ['0', '1', '2'], 'counted from the same number'),
    ],
)
def test_splits_must_mean_the_same_by_a_label(tmp_path, train, test, say):
    rows = []
    for split, labels in (('train', train), ('test', test)):
        for i, label in enumerate(labels):
            (tmp_path / f'{split}{i}.png').write_bytes(png(len(rows)))
            rows.append(f'{split}{i}.png,{label},{split}')
    (tmp_path / 'labels.csv').write_text('\n'.join(['file,label,split', *rows]))
    with pytest.raises(PSRError, match=say):
        recognise(tmp_path)


@pytest.mark.parametrize(
    'labels, right',
    [
        (['10.0', '2.0', '1'], ['1', '2', '10']),
        (['002', '010', '1'], ['002', '010', '1']),
        (['1', '-1', '2'], 'a label of 0 or more, found -1'),
        (['0.5', '1', '2'], 'found float 0.5'),
        (['a', 'nan', 'b'], 'found nothing'),
        (['Cat', 'cat', 'dog'], ['Cat', 'cat', 'dog']),
    ],
)
def test_labels_in_text(tmp_path, labels, right):
    for i in range(3):
        (tmp_path / f'{i}.png').write_bytes(png(i))
    (tmp_path / 'labels.csv').write_text('file,label\n' + ''.join(f'{i}.png,{v}\n' for i, v in enumerate(labels)))
    if isinstance(right, str):
        with pytest.raises(PSRError, match=right):
            recognise(tmp_path)
        return
    listing = recognise(tmp_path)
    assert listing.classes == right
    assert any('differ in capitals' in note for note in listing.notes) == ('Cat' in labels)


def test_columns_of_splits(tmp_path):
    "In a table, in parquet and in `datasets`; a column that says so of some rows only is refused."
    import datasets

    rows = dict(image=[png(i) for i in range(4)], label=list('abab'), split=['train', 'train', 'test', 'test'])
    pq.write_table(pa.table(rows), tmp_path / 'x.parquet')
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / 'saved')
    for name in ('x.parquet', 'saved'):
        listing = recognise(tmp_path / name)
        assert counts(listing) == counts(listing, 'test') == [1, 1]
        assert (arrays(listing, 'test')[1] == pixels(3).transpose(2, 0, 1)).all()
    pq.write_table(pa.table({**rows, 'split': ['train', 'test', 'spare', 'test']}), tmp_path / 'x.parquet')
    with pytest.raises(PSRError, match="column of splits, found 'spare'"):
        recognise(tmp_path / 'x.parquet')


def test_tables_about_other_things(tmp_path):
    "Beside class folders they are counted; a table without labels beside one with them, too."
    folders(tmp_path / 'a')
    (tmp_path / 'a' / 'counts.csv').write_text('class,count\ncat,3\ndog,3\n')
    listing = recognise(tmp_path / 'a')
    assert listing.form == 'class folders' and any('counts.csv' in why for why in listing.left_out)
    folders(tmp_path / 'b' / 'train')
    folders(tmp_path / 'b' / 'val', start=50)
    (tmp_path / 'b' / 'noisy.csv').write_text('path,noise\ntrain/cat/0.png,0\n')
    assert set(recognise(tmp_path / 'b').splits) == {'train', 'validation'}
    for i in range(4):
        (tmp_path / 'c' / 'train').mkdir(parents=True, exist_ok=True)
        (tmp_path / 'c' / 'train' / f'{i}.png').write_bytes(png(i))
    (tmp_path / 'c' / 'train.csv').write_text('id,label\n0,x\n1,y\n')
    (tmp_path / 'c' / 'test.csv').write_text('id\n2\n3\n')
    listing = recognise(tmp_path / 'c')
    assert counts(listing) == [1, 1] and any('test.csv' in why for why in listing.left_out)
    (tmp_path / 'c' / 'train.csv').write_text('id,breed\n0,x\n1,y\n')
    with pytest.raises(PSRError, match='found the columns id, breed'):
        recognise(tmp_path / 'c')
    (tmp_path / 'c' / 'train.csv').write_text(f'id,label\n{tmp_path}/c/train/0.png,x\n1,y\n1,x\n')
    with pytest.raises(PSRError, match='one label for each file, found y and x'):
        recognise(tmp_path / 'c')


def test_whatever_lies_alone_in_a_folder_is_looked_into(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    inner = tmp_path / 'outer' / 'wrapper'
    (inner / 'img').mkdir(parents=True)
    for i in range(4):
        (inner / 'img' / f'{i}.png').write_bytes(png(i))
    (inner / 'labels.csv').write_text('file,label\n' + ''.join(f'img/{i}.png,{"xy"[i % 2]}\n' for i in range(4)))
    listing = recognise(tmp_path / 'outer')
    assert listing.classes == ['x', 'y'] and 'the folder wrapper is a wrapper: what is in it is read' in listing.notes
    (tmp_path / 'lone').mkdir()
    np.savez(tmp_path / 'lone' / 'a.npz', x_train=np.stack([pixels(i) for i in range(4)]), y_train=[0, 1, 0, 1])
    assert counts(recognise(tmp_path / 'lone')) == [2, 2]
    for kind, mode in (('tar', 'w'), ('tar.gz', 'w:gz'), ('tar.xz', 'w:xz')):
        with tarfile.open(tmp_path / f'a.{kind}', mode) as archive:
            archive.add(tmp_path / 'outer', 'outer')
        listing = recognise(tmp_path / f'a.{kind}')
        assert listing.classes == ['x', 'y'] and listing.form == 'a table of files and labels in a tar'
    with tarfile.open(tmp_path / 'bad.tar.gz', 'w:gz') as archive:
        archive.addfile(tarfile.TarInfo('../outside.png'))
    with pytest.raises(PSRError, match='bad.tar.gz: expected names inside'):
        recognise(tmp_path / 'bad.tar.gz')
    assert not (tmp_path / 'cache' / 'psr_nb' / 'outside.png').exists()


def test_a_link_upwards_brings_no_other_class(tmp_path):
    folders(tmp_path / 'set')
    os.symlink(tmp_path / 'set', tmp_path / 'set' / 'cat' / 'up')
    listing = recognise(tmp_path / 'set')
    assert counts(listing) == [3, 3] and listing.left_out['linked in a loop'] == 1


def test_arrays_that_are_black_and_white_or_lie_about_their_size(tmp_path):
    for kind in (bool, np.uint8, np.int64):
        np.savez(tmp_path / 'a.npz', x_train=np.eye(8).astype(kind)[None].repeat(4, 0), y_train=[0, 1, 0, 1])
        assert set(np.unique(arrays(recognise(tmp_path / 'a.npz')))) == {0, 255}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, dict(descr='|u1', fortran_order=False, shape=(10**6, 1000, 1000)))
    with zipfile.ZipFile(tmp_path / 'a.npz', 'w') as z:
        z.writestr('x_train.npy', header.getvalue())
    with pytest.raises(PSRError, match='x_train.npy: expected 1,000,000,000,000 bytes, found 128'):
        recognise(tmp_path / 'a.npz')


def test_pictures_that_cannot_be_read_are_said(tmp_path):
    from psr_nb.data import load_data

    folders(tmp_path)
    (tmp_path / 'cat' / 'phone.HEIC').write_bytes(b'\0\0\0\x18ftypheic')
    with pytest.warns(UserWarning, match=r'left out 1 pictures of a kind that cannot be read.*\(.HEIC\)'):
        assert len(load_data(tmp_path)) == 6


def test_stored_soft_labels_are_no_images(tmp_path):
    "FKD's files do not say which image a row is about: refused, whichever of the folders is given."
    for epoch in range(2):
        (tmp_path / 'fkd' / f'epoch_{epoch}').mkdir(parents=True)
        (tmp_path / 'fkd' / f'epoch_{epoch}' / 'batch_0.tar').write_bytes(b'PK')
    for where in (tmp_path / 'fkd', tmp_path / 'fkd' / 'epoch_1', tmp_path / 'fkd' / 'epoch_0' / 'batch_0.tar'):
        with pytest.raises(
            PSRError, match='soft labels as FKD stores them.*which image.*version of torch.*--protocol sre2l --teacher'
        ):
            recognise(where)


def test_tiny_imagenet_as_its_authors_pack_it(tmp_path):
    "Class folders with a folder of images each; a list of classes beside the validation images; test images without any."
    names = ['n01440764', 'n01443537']
    for c, name in enumerate(names):
        folders(tmp_path / 'train' / name, ['images'], start=10 * c)
        (tmp_path / 'train' / name / f'{name}_boxes.txt').write_text('0.png\t0\t0\t62\t62\n')
    folders(tmp_path / 'val', ['images'], start=50)
    folders(tmp_path / 'test', ['images'], start=70)
    said = tmp_path / 'val' / 'val_annotations.txt'
    said.write_text(''.join(f'{i}.png\t{names[i % 2]}\t0\t0\t62\t62\n' for i in range(3)))
    listing = recognise(tmp_path)
    assert listing.classes == names and counts(listing) == [3, 3] and counts(listing, 'test') == [2, 1]
    assert list(listing.splits) == ['train', 'validation']
    assert listing.left_out['pictures of test without labels'] == 3
    said.write_text('0.png\tn01440764\n')
    with pytest.raises(
        PSRError, match=r'val_annotations.txt: expected a line for each image.*2 of 3 images without one'
    ):
        recognise(tmp_path)


def test_a_column_for_each_class(tmp_path):
    "A 1 for the class of each image and 0 elsewhere: as ISIC's truth, without endings, and as Roboflow exports them."
    folders(tmp_path / 'isic', ['images'], n=4)
    (tmp_path / 'isic' / 'truth.csv').write_text('image,MEL,NV\n0,1.0,0.0\n1,0.0,1.0\n2,1.0,0.0\n3,1.0,0.0\n')
    listing = recognise(tmp_path / 'isic')
    assert listing.classes == ['MEL', 'NV'] and counts(listing) == [3, 1]
    for split in ('train', 'valid'):
        folders(tmp_path / 'robo', [split], n=2)
        (tmp_path / 'robo' / split / '_classes.csv').write_text('filename, cat, dog\n0.png, 0, 1\n1.png, 1, 0\n')
    listing = recognise(tmp_path / 'robo')
    assert listing.classes == ['cat', 'dog'] and listing.split('train').labels.tolist() == [1, 0]
    assert counts(listing, 'test') == [1, 1]
