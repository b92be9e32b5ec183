"Guides of the sampler, and pools that have one: which they are, how they grow, and what is refused."

import os
import pickle
import signal
import warnings
from dataclasses import replace

import pytest
import torch
from commands import here, server, worked_here
from conftest import CLASSES, load_tiny
from pools import files

from psr_nb.core import PSRError, candidate_generators, candidate_noise, read_json
from psr_nb.data import ImageData
from psr_nb.guides import GUIDES, Deviation, make_guide
from psr_nb.pool import Pool
from psr_nb.sampling import denoise

OPTIONS = {  # of each guide, so that little work shows it
    'mode_guided': dict(modes=3, strength=0.3),
    'deviating': dict(strength=0.3, between=(0, 1)),
    'influenced': dict(strength=0.2, between=(0, 1), epochs=1),
    'entropy_guided': dict(strength=0.2, between=(0, 1)),
}


def real_images(seed=0, each=12):
    "Grey pictures of three classes that a network can tell apart."
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(3).repeat_interleave(each)
    noise = torch.randint(0, 80, (len(labels), 1, 32, 32), generator=generator)
    return ImageData((noise + 80 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels, list(CLASSES), 'squares')


@pytest.fixture(scope='module')
def real():
    return real_images()


def guided(models, real, name='mode_guided', **more):
    return make_guide(name, models[0], real, **{**OPTIONS[name], **more})


def sampled(models, path, guide, n=20, **more):
    prior, teachers = models
    return Pool.sample(prior, teachers, n, path=path, guide=guide, progress=False, **dict(shard_size=10) | more)


# ---- the sampler


def test_without_a_guide_the_samples_are_those_of_the_bare_loop(tiny_models):
    prior, _ = tiny_models
    generators = candidate_generators(5, [0, 2, 2], [0, 0, 1])
    ids, noise = prior._label_ids([0, 2, 2]), candidate_noise(prior.latent_shape, generators)
    predict = lambda z, t, scale: prior._predict(z, t, ids, scale)
    *_, last = denoise(predict, noise, prior.make_scheduler('dpm'), 4, 2.0)
    assert torch.equal(prior.sample([0, 2, 2], seed=5), last.latents)
    assert torch.equal(prior.sample([0, 2, 2], seed=5, guide=lambda *told: None), last.latents)


def test_a_guide_is_told_each_row_in_every_batch(tiny_models):
    prior, _ = tiny_models
    told = []

    def listens(estimate, done, labels, indices):
        told.append((done, labels.tolist(), indices.tolist(), tuple(estimate.shape)))

    prior.sample([2, 0, 2], seed=5, guide=listens, batch_size=2)
    shares = [0.25, 0.5, 0.75]  # of four steps; nothing follows the last
    assert [t[0] for t in told] == shares * 2
    assert [t[1:] for t in told[::3]] == [([2, 0], [0, 0], (2, 4, 8, 8)), ([2], [1], (1, 4, 8, 8))]
    told.clear()
    prior.sample([2, 0], indices=[7, 9], guide=listens)
    assert told[0][2] == [7, 9]
    assert torch.equal(prior.sample([2], indices=[1], seed=5), prior.sample([2, 2], seed=5, batch_size=1)[1:])


@pytest.mark.parametrize('bad', [[0], [0, -1], [0.5, 1], ['a', 'b'], None])
def test_indices_that_are_none_are_refused(tiny_models, bad):
    prior, _ = tiny_models
    with pytest.raises(PSRError, match='argument indices'):
        prior.sample([0, 1], indices=bad if bad is not None else [[0, 1], [2, 3]])


@pytest.mark.parametrize(
    ('guide', 'said'),
    [
        (Deviation, 'argument guide: expected a function'),
        (lambda estimate, done: None, r'a function of \(estimate, done, labels, indices\), found .*\(estimate, done\)'),
        (lambda estimate, done, labels, indices: estimate * float('nan'), 'finite latents.*Lower its strength'),
        (Deviation(1e30, (0, 1)), 'sampling with a guide: expected finite latents'),
    ],
)
def test_guides_that_cannot_push_are_refused(tiny_models, guide, said):
    prior, _ = tiny_models
    with pytest.raises(PSRError, match=said):
        prior.sample([1, 1], guide=guide)


def test_a_guide_is_made_of_a_prior_and_of_images(tiny_models):
    with pytest.raises(PSRError, match='argument prior: expected a Prior, found None'):
        make_guide('mode_guided', None, real_images())
    with pytest.raises(PSRError, match='argument real: expected an ImageData, found an object of type Prior'):
        make_guide('mode_guided', tiny_models[0], tiny_models[0])


def test_companions_are_never_parted(tiny_models, monkeypatch):
    "Where memory runs out, a batch is halved; not one whose candidates push one another."
    prior, _ = tiny_models
    forward = prior.transformer.forward

    def limited(x, *args, **kwargs):
        if len(x) > 8:
            raise torch.OutOfMemoryError('out of memory')
        return forward(x, *args, **kwargs)

    monkeypatch.setattr(prior.transformer, 'forward', limited)
    monkeypatch.setattr(prior, 'largest_batch', {})
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with pytest.raises(PSRError, match='memory for 6 images at once, which push one another'):
            prior.sample([0] * 6, guide=Deviation())
        assert len(prior.sample([0] * 6, guide=lambda *told: None)) == 6
        assert len(prior.sample([0] * 6, guide=Deviation(), batch_size=3)) == 6


def test_a_guide_leaves_the_real_images_behind_when_it_travels(tiny_models, real):
    guide = guided(tiny_models, real, 'influenced')
    there = pickle.loads(pickle.dumps(guide))
    assert guide.guides[0].young.real is not None and there.guides[0].young.real is None
    prior, _ = tiny_models
    assert torch.equal(prior.sample([0, 1, 1], guide=there), prior.sample([0, 1, 1], guide=guide))


# ---- pools


@pytest.mark.parametrize('name', list(GUIDES))
def test_a_guided_pool_grows_and_is_what_it_would_have_been(tiny_models, tiny_pool, real, tmp_path, name):
    guide = guided(tiny_models, real, name)
    small = sampled(tiny_models, tmp_path / 'p', guide, 10)
    grown = small.extend(30, *tiny_models, guide=guided(tiny_models, real, name), progress=False)
    assert grown.fingerprint == sampled(tiny_models, tmp_path / 'at once', guide, 30).fingerprint
    assert Pool.open(tmp_path / 'p', n_per_class=10).fingerprint == small.fingerprint
    assert small.fingerprint != Pool.open(tiny_pool.path, n_per_class=10).fingerprint
    assert f'guide {name}' in repr(grown)
    rows = torch.arange(10)  # a shard is what the prior makes of that block
    block = tiny_models[0].sample([1] * 10, indices=rows + 10, guide=guide, batch_size=10)
    assert torch.allclose(grown.latents[1 * 30 + 10 + rows], block, rtol=1e-2, atol=0.1)


def test_a_guided_pool_that_was_stopped_goes_on(tiny_models, real, tmp_path):
    guide, (prior, teachers) = guided(tiny_models, real), tiny_models
    for step in Pool.sample_steps(prior, teachers, 20, path=tmp_path / 'p', shard_size=10, guide=guide):
        if step.step == 4:
            break
    assert Pool.open(tmp_path / 'p').n_per_class == 10  # no guide is needed to look
    with pytest.raises(PSRError, match='mode_guided .* made from real images squares .* found none'):
        sampled(tiny_models, tmp_path / 'p', None)
    pool = sampled(tiny_models, tmp_path / 'p', guided(tiny_models, real))
    assert pool.fingerprint == sampled(tiny_models, tmp_path / 'q', guide).fingerprint


def _child(folder, path, ready):
    "Samples a guided pool, and kills itself as it puts the fourth file in its place."
    models, replaced, count = load_tiny(folder), os.replace, iter(range(100))

    def deadly(*args):
        if next(count) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return replaced(*args)

    os.replace = deadly
    ready.set()
    sampled(models, path, guided(models, real_images(), 'entropy_guided'))


def test_a_guided_pool_that_was_killed_goes_on(tiny_prior, tiny_models, real, tmp_path):
    "Its network is trained anew by who goes on, and is the same."
    ready = server.Event()
    child = server.Process(target=_child, args=(tiny_prior, tmp_path / 'p', ready))
    child.start()
    child.join(300)
    assert child.exitcode == -signal.SIGKILL
    made = len(list((tmp_path / 'p' / 'shards').glob('*.safetensors')))
    assert 0 < made < 6
    guide = guided(tiny_models, real, 'entropy_guided')
    pool = sampled(tiny_models, tmp_path / 'p', guide)
    assert pool.fingerprint == sampled(tiny_models, tmp_path / 'q', guide).fingerprint


def test_another_guide_is_another_pool(tiny_models, real, tmp_path):
    pool = sampled(tiny_models, tmp_path / 'p', guided(tiny_models, real))
    before, named = files(tmp_path / 'p'), replace(real.take(torch.arange(len(real)).flip(0)), name='the same')
    others = {
        'guide of pool .* expected mode_guided .* found deviating': guided(tiny_models, real, 'deviating'),
        'modes 3, .* found mode_guided .modes 2': guided(tiny_models, real, modes=2),
        'squares of content 6b523b82 .* found .* of content 72e29710': guided(tiny_models, real_images(1)),
        'found none. Give guide=': None,
    }
    for words, guide in others.items():
        with pytest.raises(PSRError, match=words):
            sampled(tiny_models, tmp_path / 'p', guide, 30)
    assert files(tmp_path / 'p') == before
    again = sampled(tiny_models, tmp_path / 'p', guided(tiny_models, named))  # the same images by another name
    assert again.fingerprint == pool.fingerprint
    found = {pool.info['identity']}
    for number, guide in enumerate(others.values()):
        found.add(sampled(tiny_models, tmp_path / str(number), guide, 10).info['identity'])
    assert len(found) == 5


def test_a_pool_without_a_guide_takes_none(tiny_models, real, tiny_copy):
    with pytest.raises(PSRError, match='guide of pool .*: expected none as in its pool.json, found mode_guided'):
        sampled(tiny_models, tiny_copy, guided(tiny_models, real), 60)
    assert 'guide' not in read_json(tiny_copy / 'pool.json')['config']


def test_what_is_no_guide_is_refused_before_a_folder_is_made(tiny_models, tmp_path):
    prior, teachers = tiny_models
    for guide, words in (
        ('mode_guided', 'make_guide.*mode_guided'),
        (lambda *told: None, 'a guide with an attribute about'),
        (5, 'a guide with an attribute about'),
    ):
        with pytest.raises(PSRError, match=words):
            Pool.sample(prior, teachers, 3, path=tmp_path / 'p', guide=guide)
    assert not (tmp_path / 'p').exists()


def test_a_guide_of_ones_own_is_remembered_by_what_it_says(tiny_models, tmp_path):
    class Shift:
        about = dict(name='shift', options=dict(by=0.5))

        def __call__(self, estimate, done, labels, indices):
            return torch.full_like(estimate, 0.5)

    pool = sampled(tiny_models, tmp_path / 'p', Shift(), 10)
    assert pool.config['guide'] == Shift.about
    other = Shift()
    other.about = dict(name='shift', options=dict(by=0.6))
    with pytest.raises(PSRError, match='shift .by 0.5. as in its pool.json, found shift .by 0.6'):
        sampled(tiny_models, tmp_path / 'p', other, 20)


def test_companions_are_those_of_the_same_shard(tiny_models, tmp_path):
    "The same in whatever company of other classes, whatever was made before; not in a shard of another size."
    guide, prior = guided(tiny_models, None, 'deviating'), tiny_models[0]
    pool = sampled((prior, ()), tmp_path / 'p', guide, 8, shard_size=4)
    alone = sampled((prior, ()), tmp_path / 'alone', guide, 8, shard_size=4, classes=[CLASSES[1]])
    assert torch.equal(pool.latents[8:16], alone.latents[:])
    larger = sampled((prior, ()), tmp_path / 'larger', guide, 8, shard_size=8)
    assert not torch.allclose(larger.latents[:4], pool.latents[:4], rtol=1e-2, atol=0.1)
    own = prior.sample([0] * 4, guide=guide, batch_size=4)  # a shard is not filled up with copies
    assert torch.allclose(pool.latents[:4], own, rtol=1e-2, atol=0.1)


# ---- from the shell, and in a grid


@pytest.mark.slow
def test_psr_pool_takes_a_guide(tmp_path):
    out, few = tmp_path / 'pool', ['--num-inference-steps', 2, '--n-per-class', 2, '-q', '--teacher', 'none']
    told = ['--guide', 'mode_guided', '--guide-option', 'modes=2', '--guide-option', 'stop=1']
    refused = here('pool', '--out', out, *few, *told)
    assert refused.returncode == 1 and 'the real images that guide mode_guided is made from' in refused.stderr
    assert not out.exists()
    worked_here('pool', '--out', out, *few, *told, '--data', 'fashion-mini')
    pool = Pool.open(out, verify=True)
    assert (pool.config['guide']['options']['modes'], pool.config['guide']['options']['stop']) == (2, 1)
    assert '--guide mode_guided --data fashion-mini' in pool.command
    refused = here('pool', '--out', out, '--n-per-class', 3, '-q')
    assert refused.returncode == 1 and 'made from real images fashion-mini' in refused.stderr
    worked_here('pool', '--out', out, '--n-per-class', 3, '-q', '--data', 'fashion-mini')
    assert Pool.open(out, n_per_class=2).fingerprint == pool.fingerprint
    assert worked_here('pool', '--out', out, '--verify').stdout.count('guide mode_guided') == 1
    for word, said in {'modes': 'KEY=VALUE', 'modes=two': 'KEY=VALUE', 'mode=2': "Did you mean 'modes'"}.items():
        asked = ['--guide', 'mode_guided', '--data', 'fashion-mini', '--guide-option', word]
        wrong = here('pool', '--out', tmp_path / 'new', *asked)
        assert wrong.returncode == 1 and said in wrong.stderr and not (tmp_path / 'new').exists()


@pytest.mark.slow
def test_a_set_of_a_guided_pool_is_verified_with_the_real_images(few_images, tmp_path):
    from psr_nb.data import load_data
    from psr_nb.distill import distill
    from psr_nb.prior import Prior
    from psr_nb.verify import verify

    prior, real = Prior.from_pretrained('fashion', device='cpu'), load_data(few_images)
    for name in ('mode_guided', 'deviating'):
        sampling = dict(num_inference_steps=4, guide=make_guide(name, prior, real), shard_size=4)
        made = dict(n_per_class=4, refine=False, sampling=sampling, progress=False)
        made = distill(prior, real, 2, out=tmp_path / name, **made).distilled
        assert made.provenance['guide']['name'] == name
        again = distill(prior, real, 1, pool=tmp_path / f'{name}-pool', n_per_class=4, refine=False, progress=False)
        assert again.distilled.provenance['pool'] == made.provenance['pool']  # its guide is made again
        assert f'| guide | {name}' in (tmp_path / name / 'README.md').read_text()
        with pytest.raises(PSRError, match=f'real images, to make its candidates again with guide {name}'):
            verify(tmp_path / name, prior)
        found = verify(tmp_path / name, prior, real=real)
        assert found and len(found.checks) == (5 if name == 'mode_guided' else 4), found
        assert not any('guide' in who for who in made.provenance['trained_on'])
    with pytest.raises(PSRError, match='those of its guide, mode_guided'):
        verify(tmp_path / 'mode_guided', prior, real=real.per_class(12))


@pytest.mark.slow
def test_a_grid_samples_one_pool_for_each_guide(few_images, tmp_path):
    from psr_nb.bench import Bench, parse_grid, run_bench

    modes = dict(name='mode_guided', modes=2)
    grid = parse_grid(
        dict(
            data=str(few_images),
            prior='fashion',
            n_per_class=4,
            seeds=1,
            epochs=1,
            ipc=1,
            methods={
                'psr': dict(selector='psr'),
                'on_modes': dict(
                    selector='psr', guide=modes, refine=dict(steps=2, warm_up=2, unroll=2, student_real=32)
                ),
                'first_of_modes': dict(selector='first', guide=modes),
                'apart': dict(selector='psr', guide='deviating'),
            },
        )
    )
    report = list(run_bench(Bench.begin(grid, tmp_path / 'grid')))
    assert len(report) and not [s for s in report if getattr(s, 'error', '')]
    pools = {p.name.rsplit('-', 1)[0]: Pool.open(p) for p in (tmp_path / 'grid' / 'pools').iterdir() if p.is_dir()}
    assert {name: pool.config.get('guide', {}).get('name') for name, pool in pools.items()} == {
        '0': None,
        '0-mode_guided': 'mode_guided',
        '0-deviating': 'deviating',
    }
    assert {pool.n_per_class for pool in pools.values()} == {4}
