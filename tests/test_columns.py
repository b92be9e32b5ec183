"Score columns and derived arrays: kept, extended, computed once."

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pools import again, flip

from psr_nb.core import PSRError
from psr_nb.pool import Pool
from psr_nb.score import SCORES, score


def test_scores_persist_and_survive_extension(tiny_models, tmp_path):
    pool, _ = again(tiny_models, tmp_path / 'p', n=10, shard_size=10)
    fingerprint = pool.fingerprint
    table = score(pool)
    assert list(table.columns) == ['class', 'index', *SCORES] and len(table) == 30
    assert all(0 <= table[s].min() <= table[s].max() <= 1 for s in SCORES) and table['reliability'].nunique() == 30
    assert Pool.open(tmp_path / 'p').table.equals(table) and Pool.open(tmp_path / 'p').fingerprint == fingerprint
    larger, _ = again(tiny_models, tmp_path / 'p', n=20)
    assert larger.table['reliability'].isna().sum() == 30
    assert larger.table.query('index < 10')['reliability'].tolist() == table['reliability'].tolist()
    assert not score(larger, 'reliability')['reliability'].isna().any()


def test_a_column_is_of_one_source(tiny_copy):
    "The first candidates scored by another one: the others' numbers are not comparable, and are unknown from then on."
    n = 30
    whole, few = Pool.open(tiny_copy), Pool.open(tiny_copy, n_per_class=n)
    whole.add_scores({'mine': np.arange(len(whole))}, 'a')
    few.add_scores({'mine': np.zeros(len(few))}, 'a')  # the same source: the others stay
    rest = whole.table['index'] >= n
    assert whole.table['mine'][rest].tolist() == np.arange(len(whole))[rest].tolist()
    few.add_scores({'mine': np.zeros(len(few))}, 'b')
    assert whole.table['mine'][rest].isna().all() and not whole.table['mine'][~rest].any()
    score(whole, 'typicality')
    score(few, 'typicality')  # relative to the class means of the candidates shown
    assert whole.table['typicality'][rest].isna().all() and not few.table['typicality'].isna().any()


def test_tables_that_are_none_of_the_candidates(tiny_copy):
    pool = Pool.open(tiny_copy)
    pool.add_scores({'mine': np.linspace(0, 1, len(pool))})
    file = tiny_copy / 'candidates.parquet'
    table = pq.read_table(file)
    frame = table.to_pandas()

    def mine(other):
        metadata = dict(table.schema.metadata)
        del metadata[b'psr_nb_hash']  # as of a version that wrote none
        new = pa.Table.from_pandas(other, preserve_index=False)
        pq.write_table(new.replace_schema_metadata(metadata), file)
        return Pool.open(tiny_copy).table['mine'].tolist()

    assert mine(frame.sample(frac=1, random_state=0)) == frame['mine'].tolist()
    for other, say in (
        (frame.assign(index=frame['index'] + 0.5), 'no whole number'),
        (pd.concat([frame, frame[:1].assign(mine=9.0)]), 'there twice'),
        (frame.assign(mine=pd.Timestamp('2020')), 'times in the column mine'),
    ):
        with pytest.raises(PSRError, match=say):
            mine(other)


def test_cache(tiny_copy, tmp_path):
    pool, calls = Pool.open(tiny_copy), []
    build = lambda: calls.append(1) or {'x': torch.rand(150, 2), 'n': torch.arange(3)}
    first = pool.cache('../../umap: seed 0', build)
    second = Pool.open(tiny_copy).cache('../../umap: seed 0', build)
    assert len(calls) == 1 and all(torch.equal(first[k], second[k]) for k in first)
    assert {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob('*')} == {'pool'}
    Pool.open(tiny_copy, n_per_class=20).cache('../../umap: seed 0', build)
    pool.cache('another', build)
    assert len(calls) == 3
    flip(next((tiny_copy / 'cache').glob('*umap*')))
    flip(next((tiny_copy / 'cache').glob('another*')))
    with pytest.warns(UserWarning, match='altered'):
        Pool.open(tiny_copy).cache('another', build)
    assert len(calls) == 4


def test_own_scores_in_the_forms_that_they_have(tiny_copy):
    "A column of a sorted table goes by its rows; tensors of any kind are read; what is no column is refused."
    pool = Pool.open(tiny_copy)
    values = np.random.default_rng(0).permutation(len(pool)) / len(pool)
    pool.add_scores({'mine': values})
    ordered = pool.table.sort_values('mine')
    forms = dict(
        by_row=ordered['mine'],
        learned=torch.tensor(values, requires_grad=True),
        short=torch.tensor(values).bfloat16(),
        flags=torch.tensor(values > 0.5),
    )
    pool.add_scores(forms)
    table = Pool.open(tiny_copy).table
    assert table['by_row'].tolist() == table['learned'].tolist() == values.tolist()
    assert np.abs(table['short'] - values).max() < 0.01 and (table['flags'] == (values > 0.5)).all()
    for bad, say in (
        (ordered['mine'].reset_index(drop=True).iloc[1:], 'rows numbered 0 to'),
        (ordered.set_index('class')['mine'], 'rows numbered 0 to'),
        (ordered['mine'].rename(index=str), 'rows numbered 0 to'),
        ([[1.0], [1.0, 2.0]], 'lists of several lengths'),
        (torch.zeros(len(pool), dtype=torch.complex64), 'complex64'),
        (['a'] * len(pool), 'real numbers'),
        (torch.zeros(len(pool), 1), 'shape'),
    ):
        with pytest.raises(PSRError, match=say):
            pool.add_scores({'other': bad})
    assert 'other' not in Pool.open(tiny_copy).table
