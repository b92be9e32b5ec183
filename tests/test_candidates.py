"The same candidate, whatever happens around it; and what is asked of a folder that holds something else."

import random
import warnings

import pytest
import torch
from conftest import CLASSES
from pools import again, files

from psr_nb.candidates import stored_latents
from psr_nb.core import PSRError, candidate_generators, read_json, to_json, to_uint8
from psr_nb.distill import writable
from psr_nb.pool import Pool
from psr_nb.prior import Prior
from psr_nb.teacher import Teacher


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


@pytest.mark.parametrize('name', ['fashion', 'imagenette'])
def test_a_candidate_alone_is_the_one_among_many(name):
    "Bit by bit, in batches of 1, 3 and 18."
    prior, batches = Prior.from_pretrained(name, device='cpu'), [range(18), range(5, 6), range(5, 8)]
    many, one, three = (
        stored_latents(
            prior,
            torch.ones(len(ids), dtype=torch.int64),
            candidate_generators(0, [1] * len(ids), ids),
            dict(num_inference_steps=1),
            len(ids),
        )
        for ids in batches
    )
    assert torch.equal(one, many[5:6]) and torch.equal(three, many[5:8])


def test_small_pools_are_the_first_candidates_of_larger_ones(tmp_path):
    "Blocks of three are sampled together with those of other classes; grown, the pool has the same candidates."
    prior, names = Prior.from_pretrained('fashion', device='cpu'), ['Bag', 'Coat', 'Sandal']
    teacher = Teacher.from_pretrained('fashion/a', device='cpu', classes=names)
    options = dict(classes=names, progress=False, num_inference_steps=2)
    large = Pool.sample(prior, [teacher], 20, path=tmp_path / 'large', **options)
    small = Pool.sample(prior, [teacher], 3, path=tmp_path / 'small', **options)
    assert (large.config['shard_size'], small.config['shard_size']) == (20, 3)
    first = torch.arange(60).view(3, 20)[:, :3].flatten()
    assert torch.equal(small.images[:], large.images[first]) and torch.equal(small.latents[:], large.latents[first])
    assert torch.equal(small.logits(), large.logits()[first])
    grown = Pool.sample(prior, [teacher], 20, path=tmp_path / 'small', **options)
    assert grown.fingerprint == large.fingerprint and torch.equal(grown.logits(), large.logits())


def test_a_teacher_says_the_same_of_an_image_alone(tiny_models):
    images = torch.randint(0, 256, (5, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for teacher in (tiny_models[1][0], Teacher.from_pretrained('fashion/a', device='cpu')):
        for many, one in zip(teacher.predict(images), teacher.predict(images[2:3])):
            assert torch.equal(many[2:3], one)


def test_a_run_that_was_killed_before_it_wrote_anything_is_no_foreign_folder(tiny_models, tmp_path, monkeypatch):
    "Whatever is in the folder before pool.json is there, commands take it for a new one."

    def killed(path, content):
        (tmp_path / 'p' / f'.{path.name}.0.tmp').touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr('psr_nb.candidates.write_atomic', killed)
        again(tiny_models, tmp_path / 'p')
    assert sorted(p.name for p in (tmp_path / 'p').iterdir()) == ['.lock', '.pool.json.0.tmp']
    assert writable(tmp_path / 'p', 'pool.json') == tmp_path / 'p'


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


@pytest.mark.parametrize(
    'options',
    [
        dict(guidance_interval=(0.9, 0.1)),
        dict(guidance_interval=(-1, 2)),
        dict(guidance_interval=(float('nan'), 1)),
        dict(guidance_scale=float('inf')),
        dict(guidance_channels=5),
        dict(num_inference_steps=1001),
        dict(scheduler='magic'),
        dict(n_per_class=10**11),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused_before_anything_is_written(tiny_models, tmp_path, options):
    prior, teachers = tiny_models
    with pytest.raises(PSRError, match=next(iter(options))):
        Pool.sample(prior, teachers, path=tmp_path / 'pool', progress=False, **options)
    assert not (tmp_path / 'pool').exists()


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


def test_other_software_only_warns(tiny_models, tiny_copy):
    info = read_json(tiny_copy / 'pool.json')
    (tiny_copy / 'pool.json').write_text(to_json({**info, 'environment': {**info['environment'], 'torch': '1.0'}}))
    _, said = again(tiny_models, tiny_copy)
    assert len(said) == 1 and 'torch 1.0 →' in said[0]


def test_stopping_early_keeps_what_is_complete(tiny_models, tiny_pool, tmp_path):
    prior, teachers = tiny_models
    for step in Pool.sample_steps(prior, teachers, n_per_class=50, path=tmp_path / 'p', shard_size=10):
        with pytest.raises(PSRError, match='not finished.*psr pool') if step.step <= 3 else warnings.catch_warnings():
            Pool.open(tmp_path / 'p')
        if step.step == 8:
            break
    assert Pool.open(tmp_path / 'p').fingerprint == Pool.open(tiny_pool.path, n_per_class=20).fingerprint
    assert '--n-per-class 50' in Pool.open(tmp_path / 'p').command


def test_shards_side_by_side_are_the_same(tiny_models, tiny_pool, tmp_path):
    "Two threads make two shards at once: the same files, in the same order, and leaving the loop keeps what was given."
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        prior, teachers = tiny_models
        order = []
        for step in Pool.sample_steps(prior, teachers, 20, path=tmp_path / 'p', shard_size=10):
            order.append((step.block, step.label))
            if step.step == 4:
                break
        assert order == [(0, 0), (0, 1), (0, 2), (1, 0)] and torch.get_num_threads() == 2
        assert len(list((tmp_path / 'p' / 'shards').glob('*.safetensors'))) == 4
        pool, said = again(tiny_models, tmp_path / 'p', n=50)
        assert not said and pool.fingerprint == tiny_pool.fingerprint and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_shard_is_raised_once_and_the_others_wait(tiny_models, tmp_path, monkeypatch):
    from psr_nb import candidates

    made, make = [], candidates._make_shards

    def fails(prior, teachers, config, guide, keys):
        if (1, 0) in keys:
            raise PSRError('shard', 'luck', 'none')
        made.extend(keys)
        return make(prior, teachers, config, guide, keys)

    monkeypatch.setattr(candidates, '_make_shards', fails)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(PSRError, match='luck'):
            again(tiny_models, tmp_path / 'p', n=40, shard_size=10)
    finally:
        torch.set_num_threads(before)
    assert len(list((tmp_path / 'p' / 'shards').glob('*.safetensors'))) == 1 and len(made) < 5
