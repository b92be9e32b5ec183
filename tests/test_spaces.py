"Where similarity is measured: seeded, and computed once."

import torch
from choices import pool_of

from psr_nb.select import (
    embed,
)


def test_embeddings_are_seeded_and_kept():
    pool, data = pool_of()
    a = embed(pool, 'student:8x2+pixels')
    assert torch.equal(a, embed(pool, 'student:8x2+pixels')) and torch.allclose(
        a.norm(dim=1), torch.ones(len(a)), atol=1e-5
    )
    assert torch.allclose(a, embed(pool.images, 'student:8x2+pixels'), atol=1e-6)
    built = []
    pool.cache = lambda name, build: built.append(name) or build()
    embed(pool, 'student+pixels+teacher')
    embed(data, 'student', pool=pool)
    kept = [name for name in built if name.startswith('space')]  # not the teacher's: the pool has those already
    assert len(kept) == 2 and kept[0] != kept[1]
