"Files that are cut, flipped, swapped or gone: each is found, named and made again."

import shutil
import warnings
from pathlib import Path

import pytest
from pools import again, flip

from psr_nb.core import PSRError, read_json, to_json
from psr_nb.pool import POOL_FORMAT, Pool


def _truncate(p):
    p.write_bytes(p.read_bytes()[:-7])


def _empty(p):
    p.write_bytes(b'')


def _flip_header(p):
    data = bytearray(p.read_bytes())
    data[20] ^= 1
    p.write_bytes(data)


def _garbage(p):
    p.write_bytes(b'\xff' * 1000)


@pytest.mark.parametrize(
    'damage,word',
    [
        (_truncate, 'cut short'),
        (_empty, 'cut short'),
        (flip, 'altered'),
        (_flip_header, 'altered'),
        (_garbage, 'altered'),
        (Path.unlink, 'missing'),
    ],
)
def test_damaged_shard_is_found_named_and_made_again(tiny_models, tiny_pool, tiny_copy, damage, word):
    shard = sorted((tiny_copy / 'shards').glob('c0001-b0002-*'))[0]
    whole = shard.read_bytes()
    damage(shard)
    with pytest.raises(PSRError, match=shard.name) as e:
        Pool.open(tiny_copy, verify=True)
    assert word in str(e.value) and f'--n-per-class 50 --seed 0 --out {tiny_copy}' in str(e.value)
    if damage is Path.unlink:
        with pytest.raises(PSRError, match=shard.name):
            Pool.open(tiny_copy)
    pool, said = again(tiny_models, tiny_copy)
    assert len(said) == 1 and str(shard) in said[0] and word in said[0]
    assert shard.read_bytes() == whole and pool.fingerprint == tiny_pool.fingerprint


def test_reading_a_damaged_shard_names_it(tiny_copy):
    shard = sorted((tiny_copy / 'shards').glob('c0001-b0002-*'))[0]
    pool = Pool.open(tiny_copy)
    _truncate(shard)
    with pytest.raises(PSRError, match=shard.name):
        pool.images[75]
    assert pool.images[0].shape == (1, 32, 32)


def test_strays_and_doubles(tiny_models, tiny_pool, tiny_copy):
    shard = sorted((tiny_copy / 'shards').glob('c0000-b0000-*'))[0]
    double = shard.with_name('c0000-b0000-ffffffffffffffff.safetensors')
    shutil.copy(shard, double)
    (tiny_copy / 'shards' / '.c0000-b0000-0123456789abcdef.safetensors.99.tmp').write_bytes(b'part')
    (tiny_copy / 'shards' / 'notes.txt').write_text('mine')
    pool, said = again(tiny_models, tiny_copy)
    assert len(said) == 1 and double.name in said[0] and pool.fingerprint == tiny_pool.fingerprint
    assert (tiny_copy / 'shards' / 'notes.txt').exists() and not list(tiny_copy.rglob('.*.tmp'))


def test_a_shard_of_another_pool_is_not_taken_for_ours(tiny_models, tiny_copy, tmp_path):
    other, _ = again(tiny_models, tmp_path / 'other', n=10, shard_size=10, seed=5)
    foreign = sorted((other.path / 'shards').glob('c0001-b0000-*'))[0]
    sorted((tiny_copy / 'shards').glob('c0001-b0000-*'))[0].unlink()
    shutil.copy(foreign, tiny_copy / 'shards')
    with pytest.raises(PSRError, match=f'{foreign.name}.*another'), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        again(tiny_models, tiny_copy)
    assert (tiny_copy / 'shards' / foreign.name).exists()


def test_shards_with_the_names_of_others_are_not_opened(tiny_models, tiny_pool, tiny_copy, tmp_path):
    "Intact, as their hashes say, but of another class or of another seed."
    shards = tiny_copy / 'shards'
    names = [tiny_pool.files[label, 0].name for label in (0, 1)]
    for name, other in (names, names[::-1]):
        (shards / f'{name[:11]}-{other[12:]}').write_bytes((tiny_pool.path / 'shards' / other).read_bytes())
        (shards / name).unlink()
    with pytest.raises(PSRError, match='c0000-b0000.*intact candidates of another one'):
        Pool.open(tiny_copy)
    other, _ = again(tiny_models, tmp_path / 'other', n=10, shard_size=10, seed=5)
    for file in shards.glob('c000[01]-b0000-*'):
        file.unlink()
    for label in (0, 1):
        shutil.copy(other.files[label, 0], shards)
    with pytest.raises(PSRError, match='c0000-b0000.*intact candidates of another one'):
        Pool.open(tiny_copy)


def test_of_two_files_the_recorded_one_is_read_and_kept(tiny_models, tiny_pool, tiny_copy):
    double = tiny_copy / 'shards' / f'c0000-b0000-{"0" * 16}.safetensors'  # comes first
    double.write_bytes(b'something else')
    assert Pool.open(tiny_copy, verify=True).fingerprint == tiny_pool.fingerprint
    pool, said = again(tiny_models, tiny_copy)
    assert len(said) == 1 and double.name in said[0] and pool.fingerprint == tiny_pool.fingerprint
    assert not double.exists()


def test_a_lost_table_or_pool_json_is_made_again(tiny_models, tiny_copy, tiny_pool):
    (tiny_copy / 'candidates.parquet').unlink()
    assert len(again(tiny_models, tiny_copy)[0].table) == 150
    (tiny_copy / 'pool.json').unlink()
    with pytest.raises(PSRError, match='pool.json'):
        Pool.open(tiny_copy)
    assert again(tiny_models, tiny_copy, shard_size=10)[0].fingerprint == tiny_pool.fingerprint


def test_newer_and_edited_and_foreign_pool_json(tiny_models, tiny_copy):
    info = read_json(tiny_copy / 'pool.json')
    for text, message in (
        (to_json({**info, 'format': POOL_FORMAT + 1, 'environment': {'psr_nb': '9.9'}}), 'psr_nb 9.9.*Upgrade'),
        (to_json({**info, 'config': {**info['config'], 'seed': 7}}), 'edited'),
        ('{"name": 1}', 'without a format'),
        ('[1', 'JSON'),
        (to_json({'format': 1}), 'no config'),
    ):
        (tiny_copy / 'pool.json').write_text(text)
        for call in (lambda: Pool.open(tiny_copy), lambda: again(tiny_models, tiny_copy)):
            with pytest.raises(PSRError, match=message):
                call()
        assert (tiny_copy / 'pool.json').read_text() == text


def test_a_folder_that_is_no_pool_is_left_alone(tiny_models, tmp_path):
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos' / 'holiday.png').write_bytes(b'mine')
    (tmp_path / 'photos' / '.draft.tmp').write_text('mine')
    with pytest.raises(PSRError, match='photos: expected a new folder.*holiday.png, and no pool.json'):
        again(tiny_models, tmp_path / 'photos')
    assert sorted(p.name for p in (tmp_path / 'photos').iterdir()) == ['.draft.tmp', 'holiday.png']
