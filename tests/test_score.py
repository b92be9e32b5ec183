"Scores are numbers, or there are none."

import shutil

import pytest
import torch

from psr_nb.core import PSRError
from psr_nb.pool import Pool
from psr_nb.score import SCORES, score


def test_a_score_that_is_no_number_is_refused_and_not_kept(tiny_pool, tmp_path, monkeypatch):
    shutil.copytree(tiny_pool.path, tmp_path / 'pool')
    pool = Pool.open(tmp_path / 'pool')
    before = list(pool.table)

    def broken(logits: torch.Tensor) -> torch.Tensor:
        values = logits.softmax(1)[:, 0]
        values[1] = float('nan')
        return values

    monkeypatch.setitem(SCORES, 'broken', broken)
    with pytest.raises(PSRError, match=r'score broken .* 1 of \d+, first for candidate 1 of shirt'):
        score(pool, ['reliability', 'broken'])
    assert list(Pool.open(tmp_path / 'pool').table) == before
