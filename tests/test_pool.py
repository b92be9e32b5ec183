"A pool against what happens to long computations: killed, damaged, extended, written twice, out of room, read elsewhere."

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import tempfile
import time
import warnings
from pathlib import Path

import pytest
import torch
from conftest import CLASSES, load_tiny

from psr_nb.core import PSRError, candidate_generators, content_hash, read_json, to_json, to_uint8
from psr_nb.pool import POOL_FORMAT, Pool, shard_damage
from psr_nb.prior import Prior
from psr_nb.score import SCORES, score
from psr_nb.teacher import Teacher

PATIENCE = 300  # seconds, for a machine that is busy with other things
server = multiprocessing.get_context('forkserver')  # imports torch and diffusers once; every child is a fork of that
server.set_forkserver_preload(
    [
        'pytest',
        'psr_nb.score',
        'psr_nb.prior',
        'psr_nb.teacher',
        'diffusers.models.transformers.dit_transformer_2d',
        'diffusers.models.autoencoders.autoencoder_tiny',
        'diffusers.schedulers.scheduling_dpmsolver_multistep',
        'pyarrow.parquet',
    ]
)


def again(tiny_models, path, n=50, **options):
    "Samples into an existing pool, returning it and what was warned about."
    prior, teachers = tiny_models
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        pool = Pool.sample(prior, teachers, n_per_class=n, path=path, progress=False, **options)
    return pool, [str(w.message) for w in said if w.category is UserWarning]


def files(path):
    return {
        p.relative_to(path).as_posix(): p.read_bytes()
        for p in sorted(Path(path).rglob('*'))
        if p.is_file() and p.name != '.lock'
    }


# ---- the same candidate, whatever happens around it


def test_extending_leaves_the_first_candidates_and_equals_sampling_at_once(tiny_models, tiny_pool, tmp_path):
    small, _ = again(tiny_models, tmp_path / 'p', n=20, shard_size=10)
    before, fingerprint = files(small.path), small.fingerprint
    assert torch.equal(small.images[:20], tiny_pool.images[:20]) and torch.equal(
        small.latents[20:40], tiny_pool.latents[50:70]
    )
    large, said = again(tiny_models, tmp_path / 'p', n=50)
    after = files(large.path)
    assert not said and large.fingerprint == tiny_pool.fingerprint != fingerprint
    assert {k: after[k] for k in before if k.startswith('shards/')} == {
        k: v for k, v in before.items() if k.startswith('shards/')
    }
    assert Pool.open(tmp_path / 'p', n_per_class=20).fingerprint == fingerprint
    assert again(tiny_models, tmp_path / 'p', n=20)[0].n_per_class == 20 and Pool.open(tmp_path / 'p').n_per_class == 50


def test_extending_from_within_a_block(tiny_models, tiny_pool, tmp_path):
    assert (
        again(tiny_models, tmp_path / 'p', n=13, shard_size=10)[0].fingerprint
        == Pool.open(tiny_pool.path, n_per_class=13).fingerprint
    )
    assert (
        again(tiny_models, tmp_path / 'p', n=17)[0].fingerprint == Pool.open(tiny_pool.path, n_per_class=17).fingerprint
    )
    assert len(files(tmp_path / 'p')) == 3 * 2 + 2


def test_order_of_shards_does_not_matter(tiny_models, tiny_pool, tmp_path):
    "Shards made in another order, in several runs, are the same files."
    again(tiny_models, tmp_path / 'p', n=50, shard_size=10)
    shards, rng = sorted((tmp_path / 'p' / 'shards').iterdir()), random.Random(0)
    for _ in range(3):
        for p in rng.sample(shards, 6):
            p.unlink()
        assert again(tiny_models, tmp_path / 'p')[0].fingerprint == tiny_pool.fingerprint
        assert sorted((tmp_path / 'p' / 'shards').iterdir()) == shards


def test_class_order_and_subset_do_not_matter(tiny_models, tiny_prior, tiny_pool, tmp_path):
    prior, _ = tiny_models
    two = Pool.sample(
        prior, n_per_class=20, path=tmp_path / 'p', classes=[CLASSES[2], CLASSES[0]], shard_size=10, progress=False
    )
    assert torch.equal(two.images[:20], tiny_pool.images[100:120]) and torch.equal(
        two.latents[20:], tiny_pool.latents[:20]
    )
    restricted = Pool.sample(
        Prior.from_pretrained(tiny_prior, classes=[CLASSES[2], CLASSES[0]], device='cpu', dtype=torch.float32),
        n_per_class=20,
        path=tmp_path / 'q',
        shard_size=10,
        progress=False,
    )
    assert restricted.fingerprint == two.fingerprint


def test_ancestral_sampler(tiny_models, tmp_path):
    "A sampler that draws noise on the way draws it from the candidate's own generator."
    whole = again(tiny_models, tmp_path / 'p', n=20, shard_size=10, scheduler='ddpm')[0]
    next((tmp_path / 'p' / 'shards').glob('c0001-b0001-*')).unlink()
    assert again(tiny_models, tmp_path / 'p', n=20)[0].fingerprint == whole.fingerprint


def test_arrays_follow_from_each_other_as_stored(tiny_models, tiny_pool):
    prior, (a, b) = tiny_models
    for block in range(0, 150, 10):
        ids = torch.arange(block, block + 10)
        assert torch.equal(to_uint8(prior.decode(tiny_pool.latents[ids])), tiny_pool.images[ids])
        for t in (a, b):
            logits, features = t.predict(tiny_pool.images[ids])
            assert torch.equal(tiny_pool.logits(t.name, ids), logits) and torch.equal(
                tiny_pool.features(t.name, ids), features.half().float()
            )
    sampled = prior.sample([1] * 10, generators=candidate_generators(0, [1] * 10, range(20, 30)))
    assert torch.equal(sampled.half().float(), tiny_pool.latents[70:80])
    assert (
        tiny_pool.images[:].float().std(0).mean() > 1
        and len({im.numpy().tobytes() for im in tiny_pool.images[:]}) == 150
    )


def test_a_lost_table_or_pool_json_is_made_again(tiny_models, tiny_copy, tiny_pool):
    (tiny_copy / 'candidates.parquet').unlink()
    assert len(again(tiny_models, tiny_copy)[0].table) == 150
    (tiny_copy / 'pool.json').unlink()
    with pytest.raises(PSRError, match='pool.json'):
        Pool.open(tiny_copy)
    assert again(tiny_models, tiny_copy, shard_size=10)[0].fingerprint == tiny_pool.fingerprint


# ---- killed


def _child(folder, path, ready, moment):
    "Samples. With `moment`, kills itself at that write: with half of the bytes written, before the flush, or before the rename."
    prior, teachers = load_tiny(folder)
    if moment:
        countdown, kind = iter(range(moment[0], -1, -1)), moment[1]

        def deadly(original, last_deed=lambda *args: None):
            def call(*args):
                if next(countdown) == 0:
                    last_deed(*args)
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*args)

            return call

        write_bytes = Path.write_bytes
        if kind == 'half':
            Path.write_bytes = deadly(write_bytes, lambda p, data: write_bytes(p, data[: len(data) // 2]))
        else:
            setattr(os, kind, deadly(getattr(os, kind)))
    ready.set()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        Pool.sample(prior, teachers, n_per_class=200, path=path, shard_size=10, progress=False)


@pytest.mark.slow
def test_killed_twenty_times(tiny_prior, tiny_models, tmp_path):
    "kill -9 at random moments, writes among them, then one undisturbed run: the pool of a run never disturbed."
    rng, path = random.Random(0), tmp_path / 'p'
    undisturbed, _ = again(tiny_models, tmp_path / 'undisturbed', n=200, shard_size=10)
    shards = []
    for i in range(20):
        moment = (rng.randrange(4), rng.choice(['fsync', 'replace', 'half'])) if i % 2 else None
        ready = server.Event()
        child = server.Process(target=_child, args=(tiny_prior, path, ready, moment))
        child.start()
        assert ready.wait(PATIENCE)
        if moment is None:
            seen = len(list(path.glob('shards/*.safetensors')))
            time.sleep(rng.random() * 0.03)
            deadline = time.monotonic() + PATIENCE
            while (
                i % 4 == 0
                and child.is_alive()
                and len(list(path.glob('shards/*.safetensors'))) <= seen
                and time.monotonic() < deadline
            ):
                time.sleep(0.001)  # some runs must get somewhere, on a slow machine too
            time.sleep(rng.random() * 0.02)
            os.kill(child.pid, signal.SIGKILL)
        child.join(PATIENCE)
        assert child.exitcode == -signal.SIGKILL
        shards.append(len(list(path.glob('shards/*.safetensors'))))
        assert all(
            not shard_damage(p) for p in path.glob('shards/*.safetensors')
        )  # never half a shard under its final name
    assert 0 < shards[-1] < 60 and len(set(shards)) > 5, shards
    pool, said = again(tiny_models, path, n=200, shard_size=10)
    assert not said and pool.fingerprint == undisturbed.fingerprint
    assert not [p for p in path.rglob('.*.tmp')]
    assert set(files(path)) == set(files(undisturbed.path))


# ---- damaged


def _truncate(p):
    p.write_bytes(p.read_bytes()[:-7])


def _empty(p):
    p.write_bytes(b'')


def _flip(p):
    data = bytearray(p.read_bytes())
    data[len(data) // 2] ^= 4
    p.write_bytes(data)


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
        (_flip, 'altered'),
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


# ---- asked for something else


def test_another_configuration_is_refused_and_named(tiny_models, tiny_prior, tiny_copy):
    prior, teachers = tiny_models
    for options, field in (
        (dict(seed=1), 'seed'),
        (dict(guidance_scale=3.0), 'guidance_scale'),
        (dict(num_inference_steps=5), 'num_inference_steps'),
        (dict(scheduler='ddim'), 'scheduler'),
        (dict(shard_size=25), 'shard_size'),
        (dict(guidance_interval=(0.1, 0.9)), 'guidance_interval'),
    ):
        before = files(tiny_copy)
        with pytest.raises(PSRError, match=f'^{field} of pool'):
            again(tiny_models, tiny_copy, **options)
        assert files(tiny_copy) == before
    with pytest.raises(PSRError, match='^teachers of pool'):
        Pool.sample(prior, teachers[:1], path=tiny_copy)
    changed = Prior.from_pretrained(tiny_prior, device='cpu', dtype=torch.float32)
    changed.weights_hash = 'f' * 64
    with pytest.raises(PSRError, match='^prior of pool'):
        Pool.sample(changed, teachers, path=tiny_copy)
    with pytest.raises(PSRError, match='guidance_scale'):
        again(tiny_models, tiny_copy, guidance=3.0)
    assert not again(tiny_models, tiny_copy, guidance_scale=2.0, scheduler=None)[1]
    assert Pool.sample(prior, teachers[::-1], path=tiny_copy, progress=False).teachers == ['a', 'b']


def test_a_pool_older_than_an_option_goes_on(tiny_models, tiny_copy, monkeypatch):
    "As it began: with what the option is where nobody asks for it, not with what the prior has come to ask for."
    from psr_nb import prior

    monkeypatch.setitem(prior.SAMPLER, 'a_later_option', (0.0, 1))
    monkeypatch.setitem(tiny_models[0].defaults, 'a_later_option', (0.0, 1))
    sample = type(tiny_models[0]).sample
    monkeypatch.setattr(
        type(tiny_models[0]),
        'sample',
        lambda self, *args, a_later_option, **options: (
            seen.append(a_later_option),
            sample(self, *args, **options),
        )[1],
    )
    seen = []
    assert again(tiny_models, tiny_copy, 60)[0].n_per_class == 60 and seen and all(list(s) == [0.0, 1] for s in seen)
    monkeypatch.setitem(tiny_models[0].defaults, 'a_later_option', (0.0, 0.5))
    seen.clear()
    assert again(tiny_models, tiny_copy, 90)[0].n_per_class == 90 and all(list(s) == [0.0, 1] for s in seen)
    with pytest.raises(PSRError, match='^a_later_option of pool'):
        again(tiny_models, tiny_copy, a_later_option=2)


def test_classes_that_do_not_match(tiny_models, tmp_path):
    prior, teachers = tiny_models
    with pytest.raises(PSRError, match='hat, which it does not have'):
        Pool.sample(prior, path=tmp_path / 'p', classes=['boot', 'hat'])
    with pytest.raises(PSRError, match='classes of the pool in their order'):
        Pool.sample(prior, teachers, path=tmp_path / 'p', classes=CLASSES[::-1])
    with pytest.raises(PSRError, match='none twice'):
        Pool.sample(prior, path=tmp_path / 'p', classes=['boot', 'boot'])
    with pytest.raises(PSRError, match='n_per_class'):
        Pool.sample(prior, path=tmp_path / 'p', n_per_class=0)
    assert not (tmp_path / 'p' / 'pool.json').exists()


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


def test_other_software_only_warns(tiny_models, tiny_copy):
    info = read_json(tiny_copy / 'pool.json')
    (tiny_copy / 'pool.json').write_text(to_json({**info, 'environment': {**info['environment'], 'torch': '1.0'}}))
    _, said = again(tiny_models, tiny_copy)
    assert len(said) == 1 and 'torch 1.0 →' in said[0]


# ---- two at once, no room, no right


def _writer(folder, path, n, wait, out):
    prior, teachers = load_tiny(folder)
    try:
        out.put(
            Pool.sample(prior, teachers, n_per_class=n, path=path, shard_size=10, progress=False, wait=wait).fingerprint
        )
    except PSRError as e:
        out.put(e.args[0])


@pytest.mark.slow
def test_two_writers(tiny_prior, tiny_pool, tmp_path):
    out = server.Queue()
    both = [server.Process(target=_writer, args=(tiny_prior, tmp_path / 'p', 50, None, out)) for _ in range(2)]
    for p in both:
        p.start()
    assert {out.get(timeout=PATIENCE) for _ in both} == {tiny_pool.fingerprint}
    for p in both:
        p.join(PATIENCE)
    assert (
        Pool.open(tmp_path / 'p', verify=True).fingerprint == tiny_pool.fingerprint
        and len(list((tmp_path / 'p' / 'shards').iterdir())) == 15
    )


def test_second_writer_that_does_not_wait(tiny_models, tmp_path):
    prior, teachers = tiny_models
    steps = Pool.sample_steps(prior, teachers, n_per_class=20, path=tmp_path / 'p', shard_size=10)
    step = next(steps)
    assert (step.step, step.total, step.label, step.block) == (1, 6, 0, 0) and step.images.shape == (10, 1, 32, 32)
    with pytest.raises(PSRError, match='another|sampling into it'):
        Pool.sample(prior, teachers, n_per_class=20, path=tmp_path / 'p', wait=0, progress=False)
    steps.close()
    assert Pool.sample(prior, teachers, n_per_class=20, path=tmp_path / 'p', wait=0, progress=False).n_per_class == 20


def test_stopping_early_keeps_what_is_complete(tiny_models, tiny_pool, tmp_path):
    prior, teachers = tiny_models
    for step in Pool.sample_steps(prior, teachers, n_per_class=50, path=tmp_path / 'p', shard_size=10):
        with pytest.raises(PSRError, match='not finished.*psr pool') if step.step <= 3 else warnings.catch_warnings():
            Pool.open(tmp_path / 'p')
        if step.step == 8:
            break
    assert Pool.open(tmp_path / 'p').fingerprint == Pool.open(tiny_pool.path, n_per_class=20).fingerprint
    assert '--n-per-class 50' in Pool.open(tmp_path / 'p').command


def _full(folder, path, limit, out):
    prior, teachers = load_tiny(folder)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        out.put(Pool.sample(prior, teachers, n_per_class=20, path=path, shard_size=10, progress=False).fingerprint)
    except PSRError as e:
        out.put(e.args[0])


@pytest.mark.slow
def test_full_disk(tiny_prior, tiny_models, tiny_pool, tmp_path):
    out = server.Queue()
    child = server.Process(target=_full, args=(tiny_prior, tmp_path / 'p', 8192, out))
    child.start()
    assert 'room on the disk' in out.get(timeout=PATIENCE)
    child.join(PATIENCE)
    assert not list((tmp_path / 'p' / 'shards').iterdir()) and not list(tmp_path.rglob('.*.tmp'))
    assert again(tiny_models, tmp_path / 'p', n=50, shard_size=10)[0].fingerprint == tiny_pool.fingerprint


def _stranger(path, out):
    "As a user who may read the pool and not write it."
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        Pool.open(path).extend(60, *load_stub())
    except PSRError as e:
        out.put(e.args[0])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        pool = Pool.open(path)
        pool.add_scores({'mine': torch.arange(len(pool)) / len(pool)})
        cached = [pool.cache('x', lambda: torch.rand(3)) for _ in range(2)]
    out.put(
        (
            pool._read_table()[0].keys() | pool._unsaved_scores.keys(),
            torch.equal(*cached),
            [str(w.message) for w in said],
        )
    )


def load_stub():
    "The least that `extend` asks of a prior before it writes."

    class Stub:
        classes, name, weights_hash, defaults, device = CLASSES, 'stub', '0', {}, 'cpu'

    return Stub(), ()


@pytest.mark.slow
def test_read_only_pool(tiny_pool):
    with tempfile.TemporaryDirectory() as shared:  # pytest's own folders are closed to others
        os.chmod(shared, 0o755)
        path = Path(shutil.copytree(tiny_pool.path, Path(shared) / 'pool'))
        for p in (path, *path.rglob('*')):
            p.chmod(0o555 if p.is_dir() else 0o444)
        before, out = files(path), server.Queue()
        child = server.Process(target=_stranger, args=(path, out))
        child.start()
        assert 'a folder that can be written to' in out.get(timeout=PATIENCE)
        columns, same, said = out.get(timeout=PATIENCE)
        child.join(PATIENCE)
        for p in (path, *path.rglob('*')):
            p.chmod(0o755)
        assert (
            'mine' in columns
            and same
            and len(said) == 2
            and all('in memory only' in s for s in said)
            and files(path) == before
        )


def test_path_that_cannot_be_a_folder(tiny_models, tmp_path):
    (tmp_path / 'file').write_text('')
    for path in (tmp_path / 'file', tmp_path / 'file' / 'pool', Path('/proc/nowhere/pool')):
        with pytest.raises(PSRError, match=str(path)):
            again(tiny_models, path)
    assert (tmp_path / 'file').read_text() == ''


# ---- larger than memory


@pytest.mark.slow
def test_a_pool_larger_than_memory_opens_at_once(tiny_pool, tmp_path):
    "Sparse shards, together larger than this machine's memory: opening reads none, indexing keeps only the rows asked for."
    memory, candidate = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'), 10**7
    blocks = 2 * memory // (10 * candidate) // 3 + 1
    info = read_json(tiny_pool.path / 'pool.json')
    (tmp_path / 'p' / 'shards').mkdir(parents=True)
    (tmp_path / 'p' / 'pool.json').write_text(to_json({**info, 'n_per_class': 10 * blocks, 'shards': {}}))
    header = json.dumps(
        {'images': {'dtype': 'U8', 'shape': [10, 1, candidate, 1], 'data_offsets': [0, 10 * candidate]}}
    ).encode()
    head = len(header).to_bytes(8, 'little') + header
    digest = content_hash(head + bytes(10 * candidate))[:16]
    for label in range(3):
        for block in range(blocks):
            with open(tmp_path / 'p' / 'shards' / f'c{label:04d}-b{block:04d}-{digest}.safetensors', 'wb') as f:
                f.write(head)
                try:
                    f.truncate(8 + len(header) + 10 * candidate)
                except OSError:
                    pytest.skip('this file system has no sparse files of this size')
    rss = lambda: int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')
    before = rss()
    pool = Pool.open(tmp_path / 'p')
    assert sum(p.stat().st_size for p in pool.files.values()) > memory
    assert rss() - before < 2e7
    assert pool.images.shape == (30 * blocks, 1, candidate, 1) and rss() - before < 2e7
    assert pool.images[[0, len(pool) - 1]].sum() == 0 and rss() - before < 20 * candidate


# ---- scores and derived arrays


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


def test_scores_need_no_network(tiny_models, tiny_copy, monkeypatch):
    monkeypatch.setattr(Teacher, 'forward', lambda *_: pytest.fail('a network was used'))
    pool = Pool.open(tiny_copy)
    a, b = score(pool, teacher='a'), score(pool, teacher='b')
    assert not a['reliability'].equals(b['reliability']) and a['mutual_information'].equals(b['mutual_information'])
    assert pool.score_sources == dict.fromkeys(
        ('reliability', 'margin', 'entropy', 'typicality', 'difficulty'), 'b'
    ) | {'mutual_information': 'several: a, b'}
    with pytest.raises(PSRError, match='mutual_information'):
        score(pool, 'mutual_informatoin')
    with pytest.raises(PSRError, match='teacher of this pool'):
        score(pool, teacher='c')


def test_another_teacher_is_asked_once(tiny_models, tiny_copy, monkeypatch):
    import timm

    torch.manual_seed(2)
    pool, third = (
        Pool.open(tiny_copy),
        Teacher(timm.create_model('convnet3', width=4, in_chans=1, num_classes=3), 'c', (0.5,), (0.5,), 32, CLASSES).to(
            'cpu'
        ),
    )
    first = score(pool, ['reliability', 'mutual_information'], third, ensemble=['a'])
    monkeypatch.setattr(Teacher, 'forward', lambda *_: pytest.fail('asked again'))
    assert score(Pool.open(tiny_copy), ['reliability', 'mutual_information'], third, ensemble=['a']).equals(first)
    assert pool.score_sources['reliability'] == 'c' and 0 < first['mutual_information'].max() <= 1


def test_typicality_to_real_images(tiny_models, tiny_copy):
    from psr_nb.data import ImageData

    pool, (_, (a, _)) = Pool.open(tiny_copy), tiny_models
    own = score(pool, 'typicality')['typicality']
    same = ImageData(pool.images[:], pool.labels, CLASSES, 'same')
    assert abs(score(pool, 'typicality', a, same)['typicality'] - own).max() < 1e-3  # stored features are fp16
    assert pool.score_sources['typicality'] == 'a, reference same'
    shuffled = ImageData(
        same.images.flip(0), 2 - same.labels.flip(0), CLASSES[::-1], 'shuffled'
    )  # classes are matched by name
    assert abs(score(pool, 'typicality', a, shuffled)['typicality'] - own).max() < 1e-3
    with pytest.raises(PSRError, match='boot'):
        score(pool, 'typicality', a, ImageData(same.images[:50], same.labels[:50], CLASSES, 'shirts'))
    with pytest.raises(PSRError, match='none of shirt'):
        score(pool, 'typicality', a, ImageData(same.images, same.labels, ['x', 'boot', CLASSES[2]], 'x'))


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
    _flip(next((tiny_copy / 'cache').glob('*umap*')))
    _flip(next((tiny_copy / 'cache').glob('another*')))
    with pytest.warns(UserWarning, match='altered'):
        Pool.open(tiny_copy).cache('another', build)
    assert len(calls) == 4


def test_what_a_pool_shows_is_escaped(tiny_pool):
    page = tiny_pool._repr_html_()
    assert 'bag &amp; &lt;b&gt;more' in page and '<b>' not in page and 'data:image/png;base64' in page
    assert (
        repr(tiny_pool)
        == 'Pool pool: 3 classes × 50 candidates from ' + tiny_pool.config['prior']['name'] + ', seed 0, teachers a, b'
    )
