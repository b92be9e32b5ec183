"""Priors of every kind beside DiT and Stable Diffusion, against diffusers' own parts; what is refused is named.

Largest differences, tiny random networks, float32 on a CPU: flow matching below 1e-5 of an Euler integration by
diffusers' scheduler, UNets on pixels below 1e-5 of diffusers' DDIM and DDPM loops (a learned variance too), SiT's
checkpoint below 1e-4 of an integration in its authors' time, guidance of three channels below 1e-5 of their formula.
"""

import argparse
import json
import warnings

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_prior import small_dit, small_vae
from test_weights import D, authors_dit

from psr_nb.core import PSRError
from psr_nb.data import ImageData
from psr_nb.kinds import check_class_unet, check_scheduler, check_unet
from psr_nb.pool import Pool
from psr_nb.prior import Prior
from psr_nb.refine import RefineSettings, refine
from psr_nb.sampling import SCHEDULERS
from psr_nb.select import select


def noise_of(n, shape, seed=0):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope='module')
def flow(tmp_path_factory):
    "A DiT folder with the scheduler of flow matching."
    folder = tmp_path_factory.mktemp('flow')
    torch.manual_seed(0)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    diffusers.DiTPipeline(small_dit(10), small_vae(), diffusers.DDIMScheduler()).save_pretrained(folder)
    scheduler.save_pretrained(folder / 'scheduler')
    return folder


def unet(classes=4, channels=1, out=None, **more):
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=16,
        in_channels=channels,
        out_channels=out or channels,
        block_out_channels=(16, 16),
        down_block_types=('DownBlock2D', 'AttnDownBlock2D'),
        up_block_types=('AttnUpBlock2D', 'UpBlock2D'),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=8,
        num_class_embeds=classes,
        **more,
    ).eval()


def pixel_folder(folder, network, scheduler=None, names=None):
    "As `DDPMPipeline` saves it; names of the classes as DiTPipeline has them."
    diffusers.DDPMPipeline(network, scheduler or diffusers.DDPMScheduler()).save_pretrained(folder)
    if names:
        index = json.loads((folder / 'model_index.json').read_text())
        index['id2label'] = {str(i): n for i, n in enumerate(names)}
        (folder / 'model_index.json').write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize('scale', [1.0, 3.0])
def test_flow_matching_is_sampled_along_its_own_path(flow, scale):
    prior = Prior.from_pretrained(flow, device='cpu')
    assert prior.flow and prior.defaults['scheduler'] == 'euler' and prior.defaults['num_inference_steps'] == 50
    noise, labels = noise_of(2, prior.latent_shape), torch.tensor([3, 7])
    solver = diffusers.FlowMatchEulerDiscreteScheduler.from_pretrained(flow / 'scheduler')
    solver.set_timesteps(6)
    z = noise
    with torch.no_grad():
        for t in solver.timesteps:
            ask = lambda y, z=z, t=t: prior.transformer(z, timestep=t.expand(2), class_labels=y).sample[:, :4]
            free, told = ask(torch.full((2,), 10)), ask(labels)
            z = solver.step(free + scale * (told - free), t, z).prev_sample
    ours = prior.sample(labels, noise, num_inference_steps=6, guidance_scale=scale)
    assert (ours - z).abs().max() < 1e-5
    with pytest.raises(PSRError, match='scheduler of a flow'):
        prior.sample(labels, noise, scheduler='dpm')


def test_a_flow_goes_the_whole_way(flow):
    prior = Prior.from_pretrained(flow, device='cpu')
    z = prior.sample([0, 1], num_inference_steps=3).requires_grad_(True)
    prior.denoising_error(z, [0, 1]).sum().backward()
    assert z.grad.abs().sum() > 0
    for t in (0.0, 0.5, 1.0):
        assert prior.denoising_error(z.detach(), [0, 1], t).isfinite().all()
    near = prior.roundtrip(z.detach(), [0, 1], 0.1, num_inference_steps=20)
    assert near.isfinite().all() and prior.roundtrip(z.detach(), [0, 1], 1.0, num_inference_steps=4).isfinite().all()


def test_the_denoising_error_of_an_exact_flow_is_none():
    "Where the network knows noise and image, nothing is left over: the time and the direction are the right ones."
    image = noise_of(2, (1, 16, 16), 1)

    class Exact(torch.nn.Module):
        config = diffusers.configuration_utils.FrozenDict(in_channels=1, sample_size=16, num_embeds_ada_norm=4)

        def forward(self, z, timestep, class_labels):
            sigma = timestep.view(-1, 1, 1, 1) / 1000
            return diffusers.models.modeling_outputs.Transformer2DModelOutput(sample=(z - image) / sigma)

    from psr_nb.autoencoders import PixelSpace

    config = dict(_class_name='FlowMatchEulerDiscreteScheduler', num_train_timesteps=1000, shift=1.0)
    prior = Prior(
        Exact(), PixelSpace(1), config, list('abcd'), defaults=dict(scheduler='euler', guidance_scale=1.0), device='cpu'
    )
    assert prior.denoising_error(image, [0, 1], 0.3).max() < 1e-8
    assert torch.allclose(prior.sample([0, 1], noise_of(2, (1, 16, 16)), num_inference_steps=7), image, atol=1e-4)
    assert torch.allclose(prior.roundtrip(image, [0, 1], 0.5, num_inference_steps=8), image, atol=1e-4)


@pytest.mark.parametrize('solver', ['ddim', 'ddpm'])
@pytest.mark.parametrize('learned', [False, True])
def test_unets_on_pixels_give_diffusers_images(tmp_path, solver, learned):
    "DDPM's form, and ADM's: scale and shift by time, twice the channels."
    adm = dict(out=6, resnet_time_scale_shift='scale_shift') if learned else {}
    variance = 'learned_range' if learned else 'fixed_small'
    network = unet(4, 3, **adm)
    folder = pixel_folder(tmp_path / 'p', network, diffusers.DDPMScheduler(variance_type=variance))
    prior = Prior.from_pretrained(folder, device='cpu')
    assert prior.latent_shape == prior.image_shape == (3, 16, 16) and len(prior.classes) == 4
    assert prior.defaults['guidance_scale'] == 1.0
    draw = lambda: [torch.Generator().manual_seed(i) for i in range(2)]
    scheduler = getattr(diffusers, solver.upper() + 'Scheduler').from_pretrained(folder / 'scheduler')
    scheduler.set_timesteps(5)
    z = noise = noise_of(2, (3, 16, 16))
    generators = draw()
    with torch.no_grad():
        for t in scheduler.timesteps:
            answer = network(z, t, class_labels=torch.tensor([1, 3])).sample
            answer = answer if learned and solver == 'ddpm' else answer[:, :3]
            z = scheduler.step(answer, t, z, generator=generators).prev_sample
    ours = prior.sample([1, 3], noise, generators=draw(), num_inference_steps=5, scheduler=solver)
    assert (ours - z).abs().max() < 1e-5
    assert torch.allclose(prior.decode(ours), (z / 2 + 0.5).clamp(0, 1), atol=1e-5)
    for other in ('dpm', 'unipc', 'euler'):
        assert prior.sample([1, 3], noise, num_inference_steps=5, scheduler=other).isfinite().all()


@pytest.mark.parametrize('solver', list(SCHEDULERS))
@pytest.mark.parametrize('kind', ['epsilon', 'v_prediction'])
def test_a_roundtrip_asks_about_what_it_made_noisy(tmp_path, solver, kind):
    "A network is shown image and noise in the shares of its schedule, whatever scale a solver works at."
    prior = Prior.from_pretrained(
        pixel_folder(tmp_path / 'p', unet(4), diffusers.DDPMScheduler(prediction_type=kind)), device='cpu'
    )
    prior.defaults['scheduler'] = solver
    asked = []
    prior.transformer.register_forward_pre_hook(
        lambda net, args, named: asked.append((args[0], named['timestep'])), with_kwargs=True
    )
    x = torch.rand(1, 1, 16, 16) * 2 - 1
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    prior.roundtrip(x, [1], 0.5, seed=3, num_inference_steps=4)
    (z, t), share = asked[0], prior.make_scheduler('ddim').alphas_cumprod[asked[0][1].long()]
    assert 200 < float(t) < 800 and torch.allclose(z, share.sqrt() * x + (1 - share).sqrt() * noise, atol=1e-4)


@pytest.mark.parametrize('kind', ['ddpm', 'learned', 'sde'])
def test_a_roundtrip_with_noise_at_each_step_is_the_same_again(tmp_path, kind):
    schedule = {
        'ddpm': diffusers.DDPMScheduler(),
        'learned': diffusers.DDPMScheduler(variance_type='learned_range'),
        'sde': diffusers.DPMSolverMultistepScheduler(algorithm_type='sde-dpmsolver++'),
    }[kind]
    folder = pixel_folder(tmp_path / 'p', unet(4, 3, out=6 if kind == 'learned' else 3), schedule)
    prior = Prior.from_pretrained(folder, device='cpu')
    prior.defaults['scheduler'] = 'dpm' if kind == 'sde' else 'ddpm'
    x = noise_of(2, (3, 16, 16))
    one, again, other = (prior.roundtrip(x, [1, 2], 0.5, seed, num_inference_steps=4) for seed in (0, 0, 1))
    assert torch.equal(one, again) and not torch.allclose(one, other)


def test_a_variance_that_is_not_learned(tmp_path):
    "Its schedule says that the network answers with the variance, too; the network does not."
    folder = pixel_folder(tmp_path / 'p', unet(4, 3), diffusers.DDPMScheduler(variance_type='learned_range'))
    prior = Prior.from_pretrained(folder, device='cpu')
    assert prior.sample([1], num_inference_steps=2).isfinite().all()
    with pytest.raises(PSRError, match='scheduler ddpm .* expected 6 channels .*learned_range.*, found 3'):
        prior.sample([1], num_inference_steps=2, scheduler='ddpm')


def test_guidance_of_a_unet_needs_a_row_for_no_class(tmp_path):
    names = ['truck', 'cat', 'dog']
    with_row = Prior.from_pretrained(pixel_folder(tmp_path / 'a', unet(4), names=names), device='cpu')
    without = Prior.from_pretrained(pixel_folder(tmp_path / 'b', unet(3), names=names), device='cpu')
    assert with_row.classes == without.classes == names and (with_row.null_id, without.null_id) == (3, None)
    noise = noise_of(1, (1, 16, 16))
    network, t = with_row.transformer, torch.tensor([500])
    with torch.no_grad():
        told, free = (network(noise, t, class_labels=torch.tensor([y])).sample for y in (1, 3))
        guided = with_row._predict(noise, t, torch.tensor([1]), 2.5)
    assert torch.allclose(guided, free + 2.5 * (told - free), atol=1e-5)
    with pytest.raises(PSRError, match='no row for no class'):
        without.sample([1], noise, num_inference_steps=2, guidance_scale=2.0)
    assert torch.equal(*(without.sample([1], noise, num_inference_steps=2, guidance_scale=g) for g in (0.0, 1.0)))
    assert Prior.from_pretrained(tmp_path / 'a', ['dog', 'truck'], 'cpu').class_ids.tolist() == [2, 0]
    with pytest.raises(PSRError, match='names for the 3 classes of its unet'):
        Prior.from_pretrained(pixel_folder(tmp_path / 'c', unet(3), names=['one']))


def test_a_unet_alone_is_asked_for_its_scheduler(tmp_path):
    unet().save_pretrained(tmp_path / 'alone')
    with pytest.raises(PSRError, match='DDPMPipeline'):
        Prior.from_pretrained(tmp_path / 'alone')
    with pytest.raises(PSRError, match='all images at once'):
        Prior.from_pretrained(pixel_folder(tmp_path / 'b', unet(None)))


def test_a_pickled_unet_and_a_variant(tmp_path):
    folder = pixel_folder(tmp_path / 'p', unet())
    file = folder / 'unet' / 'diffusion_pytorch_model.safetensors'
    state, noise = load_file(file), noise_of(1, (1, 16, 16))
    want = Prior.from_pretrained(folder, device='cpu').sample([1], noise, num_inference_steps=2)
    save_file({k: v.half() for k, v in state.items()}, file.with_name('diffusion_pytorch_model.fp16.safetensors'))
    half = Prior.from_pretrained(folder, device='cpu', variant='fp16')
    assert half.name.endswith('?variant=fp16') and half.dtype == torch.float32
    assert 0 < (half.sample([1], noise, num_inference_steps=2) - want).abs().max() < 0.05
    again = Prior.from_pretrained(half.name, device='cpu')
    assert torch.equal(*(p.sample([1], noise, num_inference_steps=2) for p in (half, again)))
    with pytest.raises(PSRError, match='variant bf16'):
        Prior.from_pretrained(folder, variant='bf16')
    for f in folder.glob('unet/*.safetensors'):
        f.unlink()
    torch.save({'model': state, 'epoch': 1}, file.with_suffix('.bin'))
    assert torch.equal(Prior.from_pretrained(folder, device='cpu').sample([1], noise, num_inference_steps=2), want)


@pytest.mark.parametrize('kind', ['pixels', 'flow'])
def test_pool_selection_and_refinement_of_the_new_kinds(tmp_path, flow, kind):
    "From noise to a refined image, and on pixels the gradient goes straight through."
    folder = flow if kind == 'flow' else pixel_folder(tmp_path / 'p', unet(3))
    prior = Prior.from_pretrained(folder, classes=['0', '2'], device='cpu')
    pool = Pool.sample(prior, [], 3, path=tmp_path / 'pool', progress=False, num_inference_steps=2)
    assert tuple(pool.images.shape[1:]) == prior.image_shape
    chosen = select(pool, 2, 'first')
    c, h, _ = prior.image_shape
    real = ImageData(
        torch.randint(0, 256, (20, c, h, h), dtype=torch.uint8), torch.arange(20) % 2, ['0', '2'], name='real'
    )
    settings = RefineSettings(
        steps=2, student=0.0, soft_label=0.0, distribution_matching=1.0, denoising=0.1, roundtrip=0.1, width=8
    )
    *_, last = refine(chosen, prior, real=real, settings=settings)
    assert last.images.isfinite().all() and last.step == 2 and len(last.latents) == 4
    assert set(last.losses) == {'distribution_matching', 'proximal', 'denoising', 'roundtrip'}


def authors_file(path, gammas=False, **company):
    "A checkpoint under the authors' names: bare, or in the company of a training script."
    state = authors_dit()
    if gammas:
        for i in range(2):
            for name, n in (('gamma1', D), ('gamma2', D), ('attn.gamma1', 3 * D), ('attn.gamma2', D)):
                state[f'blocks.{i}.{name}'] = torch.full((n,), 1.5)
    torch.save({**company, 'ema': state} if company else state, path)
    small_vae().save_pretrained(path.parent / 'vae')
    return path


def test_a_checkpoint_of_a_fine_tuning(tmp_path):
    "MinimaxDiffusion's: model, ema, opt and args around the weights, scales beside them. The averaged weights count."
    plain = Prior.from_pretrained(authors_file(tmp_path / 'a.pt'), device='cpu')
    company = dict(model={'x': torch.zeros(1)}, opt={'state': {}}, args=argparse.Namespace(model='DiT-XL/2', lr=1e-3))
    tuned = Prior.from_pretrained(authors_file(tmp_path / 'b.pt', **company), device='cpu')
    scaled = Prior.from_pretrained(authors_file(tmp_path / 'c.pt', True, **company), device='cpu')
    x = noise_of(1, plain.latent_shape)
    one, two, three = (p.sample([3], x, num_inference_steps=2) for p in (plain, tuned, scaled))
    assert torch.equal(one, two) and not torch.allclose(one, three) and not plain.flow


def test_sits_checkpoint_is_integrated_in_its_authors_time(tmp_path):
    "From noise at time 0 to the image at time 1, along what the network answers; the name says that it is one."
    prior = Prior.from_pretrained(authors_file(tmp_path / 'SiT-XL-2-256x256.pt'), device='cpu')
    assert prior.flow and prior.defaults['scheduler'] == 'euler'
    z = noise = noise_of(2, prior.latent_shape)
    inner, labels, steps = prior.transformer.inner, torch.tensor([3, 7]), 5
    sigmas = torch.cat([prior_timesteps(prior, steps) / 1000, torch.zeros(1)])
    with torch.no_grad():
        for now, then in zip(1 - sigmas[:-1], 1 - sigmas[1:]):
            z = z + (then - now) * inner(z, timestep=now.expand(2), class_labels=labels).sample[:, :4]
    ours = prior.sample(labels, noise, num_inference_steps=steps, guidance_scale=1.0)
    assert (ours - z).abs().max() < 1e-4
    assert not Prior.from_pretrained(tmp_path / 'SiT-XL-2-256x256.pt', device='cpu', prediction='epsilon').flow
    company = dict(opt={'state': {}}, args=argparse.Namespace(model='SiT-XL/2'))
    by_args = Prior.from_pretrained(authors_file(tmp_path / '0400000.pt', **company), device='cpu')
    by_word = Prior.from_pretrained(authors_file(tmp_path / 'x.pt'), device='cpu', prediction='flow')
    assert by_args.flow and by_word.flow and by_word.name.endswith('?prediction=flow')
    assert not Prior.from_pretrained(authors_file(tmp_path / 'transit.pt'), device='cpu').flow
    with pytest.raises(PSRError, match='prediction'):
        Prior.from_pretrained(tmp_path / 'x.pt', prediction='velocity')


def test_the_first_block_cache_of_a_sit(tmp_path):
    "Every block is run where nothing changes little enough, and some of them are not where all does."
    prior = Prior.from_pretrained(authors_file(tmp_path / 'SiT.pt'), device='cpu')
    noise, calls = noise_of(1, prior.latent_shape), []
    prior.transformer.inner.transformer_blocks[-1].attn1.register_forward_hook(lambda *_: calls.append(1))
    made = {t: prior.sample([1], noise, num_inference_steps=6, cache_threshold=t) for t in (0.0, 1e-9)}
    assert torch.equal(*made.values()) and len(calls) == 2 * 6
    other = prior.sample([1], noise, num_inference_steps=6, cache_threshold=10.0)
    assert len(calls) == 2 * 6 + 1 and not torch.equal(other, made[0.0])


@pytest.mark.parametrize(
    'wrap',
    [
        lambda s: {'ema': {'n_averaged': torch.tensor(3), **{f'module.{k}': v for k, v in s.items()}}},
        lambda s: {'state_dict': {'vae.scale': torch.ones(2), **{f'model.{k}': v for k, v in s.items()}}},
        lambda s: {
            'state_dict': {f'model.{k}': v * 0 for k, v in s.items()} | {f'ema_model.{k}': v for k, v in s.items()}
        },
    ],
    ids=['averaged by torch', 'Lightning', 'Lightning averaged'],
)
def test_a_dit_in_company(tmp_path, wrap):
    "As a training script leaves it, and as a teacher's checkpoint may be."
    plain = Prior.from_pretrained(authors_file(tmp_path / 'a.pt'), device='cpu')
    torch.save(wrap(torch.load(tmp_path / 'a.pt')), tmp_path / 'b.pt')
    x = noise_of(1, plain.latent_shape)
    one, two = (
        p.sample([3], x, num_inference_steps=2) for p in (plain, Prior.from_pretrained(tmp_path / 'b.pt', device='cpu'))
    )
    assert torch.equal(one, two)


def prior_timesteps(prior, steps):
    solver = prior.make_scheduler()
    solver.set_timesteps(steps)
    return solver.timesteps


def test_guidance_on_three_channels_as_the_authors_do(tmp_path):
    prior = Prior.from_pretrained(authors_file(tmp_path / 'DiT.pt'), device='cpu')
    x, t, y = noise_of(2, prior.latent_shape), torch.tensor([500]), torch.tensor([3, 7])
    with torch.no_grad():
        out = prior.transformer(
            torch.cat([x, x]), timestep=t.expand(4), class_labels=torch.cat([y, torch.full((2,), 10)])
        )
        eps, rest = out.sample[:, :3], out.sample[:, 3:4]
        told, free = eps.chunk(2)
        want = torch.cat([free + 4.0 * (told - free), rest[:2]], 1)
        assert torch.allclose(prior._predict(x, t, y, 4.0, channels=3), want, atol=1e-5)
    three, four = (prior.sample(y, x, num_inference_steps=2, guidance_channels=k) for k in (3, 4))
    assert torch.equal(four, prior.sample(y, x, num_inference_steps=2)) and not torch.equal(three, four)


def test_another_autoencoder(flow, tmp_path):
    "Its place is a part of the prior's name, by which later stages open it again; its weights are a part of the hash."
    torch.manual_seed(5)
    small_vae().save_pretrained(tmp_path / 'vae')
    own, other = (Prior.from_pretrained(flow, device='cpu', vae=v) for v in (None, tmp_path / 'vae'))
    z = noise_of(1, own.latent_shape)
    assert other.name == f'{flow}?vae={tmp_path / "vae"}' and other.weights_hash != own.weights_hash
    again = Prior.from_pretrained(other.name, device='cpu')
    assert torch.equal(again.decode(z), other.decode(z)) and not torch.equal(own.decode(z), other.decode(z))
    assert again.name == other.name and again.weights_hash == other.weights_hash


@pytest.mark.parametrize(
    'name, shown',
    [
        ('/home/me/DiT.pt?vae=/home/me/sd-vae', 'DiT.pt?vae=sd-vae'),
        ('DiT.pt?prediction=flow&vae=/home/me/sd-vae', 'DiT.pt?prediction=flow&vae=sd-vae'),
        ('/home/me/prior?variant=fp16', 'prior?variant=fp16'),
        ('owner/name?revision=main', 'owner/name?revision=main'),
    ],
)
def test_names_are_shown_without_paths(name, shown):
    from psr_nb.seen import shown_name

    assert shown_name(name) == shown


def test_an_autoencoder_alone_is_taken_from_its_own_folder(flow, tmp_path):
    'As "hf download stabilityai/sd-vae-ft-ema" leaves it: whatever the folder is called.'
    from psr_nb.pipelines import autoencoder_files

    small_vae().save_pretrained(tmp_path / 'vae')
    small_vae().save_pretrained(tmp_path / 'sd-vae-ft-ema')
    torch.save(authors_dit(), tmp_path / 'DiT.pt')
    one, two = (Prior.from_pretrained(flow, device='cpu', vae=tmp_path / name) for name in ('vae', 'sd-vae-ft-ema'))
    assert one.latent_shape == two.latent_shape and two.name.endswith('sd-vae-ft-ema')
    assert Prior.from_pretrained(tmp_path / 'DiT.pt', device='cpu', vae=tmp_path / 'sd-vae-ft-ema').image_shape
    alone = ['README.md', 'config.json', 'diffusion_pytorch_model.bin', 'diffusion_pytorch_model.safetensors']
    assert autoencoder_files(alone, 'a/b') == ['config.json', 'diffusion_pytorch_model.safetensors']
    whole = ['model_index.json', 'unet/config.json', *(f'vae/{name}' for name in alone)]
    assert autoencoder_files(whole, 'a/b') == ['vae/config.json', 'vae/diffusion_pytorch_model.safetensors']
    with pytest.raises(PSRError, match='autoencoder a/b: expected a repository with config.json or vae/config.json'):
        autoencoder_files(['README.md'], 'a/b')


def test_a_codebook_narrower_than_its_latents(tmp_path):
    blocks = dict(down_block_types=('DownEncoderBlock2D',) * 2, up_block_types=('UpDecoderBlock2D',) * 2)
    vae = diffusers.VQModel(
        block_out_channels=(16, 32), norm_num_groups=8, latent_channels=4, vq_embed_dim=3, num_vq_embeddings=8, **blocks
    )
    folder = pixel_folder(tmp_path / 'p', unet(4, 3))
    vae.save_pretrained(folder / 'vae')
    prior = Prior.from_pretrained(folder, device='cpu')
    assert prior.image_shape == (3, 32, 32) and prior.encode(torch.rand(1, 3, 32, 32)).shape == (1, 3, 16, 16)


def test_the_hash_knows_a_pickled_part(tmp_path):
    "A folder with a pickled network beside a safe autoencoder: two networks are two priors."
    hashes = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        pipe = diffusers.DiTPipeline(small_dit(10), small_vae(), diffusers.DDIMScheduler())
        pipe.save_pretrained(tmp_path / str(seed))
        file = tmp_path / str(seed) / 'transformer' / 'diffusion_pytorch_model.safetensors'
        torch.save(load_file(file), file.with_suffix('.bin'))
        file.unlink()
        (tmp_path / str(seed) / 'vae' / 'diffusion_pytorch_model.safetensors').write_bytes(
            (tmp_path / '0' / 'vae' / 'diffusion_pytorch_model.safetensors').read_bytes()
        )
        hashes.add(Prior.from_pretrained(tmp_path / str(seed), device='cpu').weights_hash)
    assert len(hashes) == 2


@pytest.mark.parametrize(
    'config, say',
    [
        (dict(_class_name='EDMEulerScheduler'), 'EDM'),
        (dict(_class_name='EDMDPMSolverMultistepScheduler'), 'EDM'),
        (dict(_class_name='EulerDiscreteScheduler', timestep_type='continuous'), 'EDM'),
        (dict(_class_name='CMStochasticIterativeScheduler'), 'consistency'),
        (dict(_class_name='LCMScheduler'), 'latent consistency'),
        (dict(_class_name='TCDScheduler'), 'consistency'),
        (dict(_class_name='ScoreSdeVeScheduler'), 'another kind'),
        (dict(_class_name='KarrasVeScheduler'), 'another kind'),
        (dict(_class_name='AmusedScheduler'), 'another kind'),
        (dict(_class_name='DPMSolverMultistepScheduler', prediction_type='flow_prediction'), 'flow_prediction'),
        (dict(_class_name='FlowMatchEulerDiscreteScheduler', use_dynamic_shifting=True), 'use_dynamic_shifting'),
        (dict(_class_name='FlowMatchEulerDiscreteScheduler', stochastic_sampling=True), 'stochastic_sampling'),
        (dict(_class_name='FlowMatchLCMScheduler'), 'a latent consistency model'),
        (dict(_class_name='IPNDMScheduler'), 'another kind'),
        ({}, 'another kind'),
    ],
)
def test_schedules_that_are_refused_by_name(config, say):
    with pytest.raises(PSRError, match=say):
        check_scheduler(config, 'scheduler')


@pytest.mark.parametrize(
    'change, say',
    [
        (dict(time_cond_proj_dim=256), 'LCM'),
        (dict(in_channels=9), 'inpainting'),
        (dict(addition_embed_type='text_time'), 'text_time'),
        (dict(class_embed_type='projection'), 'class embeddings'),
        (dict(encoder_hid_dim_type='image_proj'), 'projected'),
        (dict(sample_size=[8, 16]), 'sample_size'),
    ],
)
def test_text_unets_that_are_refused_by_name(change, say):
    with pytest.raises(PSRError, match=say):
        check_unet({**dict(_class_name='UNet2DConditionModel', in_channels=4, sample_size=8), **change}, 4, 'unet')


@pytest.mark.parametrize(
    'change, say',
    [
        (dict(num_class_embeds=None), 'all images at once'),
        (dict(class_embed_type='timestep'), 'timestep'),
        (dict(in_channels=4), 'no pixels'),
        (dict(out_channels=9), '9 output channels'),
        (dict(sample_size=None), 'sample_size None'),
    ],
)
def test_class_unets_that_are_refused_by_name(change, say):
    home = dict(_class_name='UNet2DModel', in_channels=3, out_channels=3, sample_size=8, num_class_embeds=4)
    with pytest.raises(PSRError, match=say):
        check_class_unet({**home, **change}, None, 'unet')


def test_training_goes_on_from_a_dit_that_predicts_noise_alone(flow, tmp_path):
    from psr_nb.train_prior import train_prior

    real = ImageData(torch.zeros(8, 1, 16, 16, dtype=torch.uint8), torch.arange(8) % 2, ['0', '1'], name='real')
    for start, kind in ((flow, 'a flow'), (pixel_folder(tmp_path / 'p', unet(2)), 'UNet2DModel')):
        with pytest.raises(PSRError, match=kind):
            next(iter(train_prior(real, tmp_path / 'out', start=start, steps=1)))


def trained_further(start, classes, out, **options):
    "Two steps on noise, and the prior that they leave."
    from psr_nb.train_prior import train_prior

    images = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    real = ImageData(images, torch.arange(8) % len(classes), classes, name='real')
    list(train_prior(real, out, start=start, steps=2, batch_size=4, lr=1e-9, device='cpu', **options))
    return Prior.from_pretrained(out, device='cpu')


def test_training_goes_on_with_the_positions_of_a_folder(tmp_path):
    torch.manual_seed(0)
    pipe = diffusers.DiTPipeline(small_dit(10), small_vae(), diffusers.DDIMScheduler())
    pipe.save_pretrained(tmp_path / 'p')
    file = tmp_path / 'p' / 'transformer' / 'diffusion_pytorch_model.safetensors'
    positions = pipe.transformer.pos_embed.pos_embed + 0.5
    save_file({**load_file(file), 'pos_embed.pos_embed': positions}, file, metadata={'format': 'pt'})
    tuned = trained_further(tmp_path / 'p', ['3', '7'], tmp_path / 'out')
    assert torch.allclose(tuned.transformer.pos_embed.pos_embed, positions, atol=1e-3)


@pytest.mark.parametrize('total', [100, 4000])
def test_training_goes_on_at_all_noise_levels_of_a_schedule(tmp_path, total):
    from psr_nb.train_prior import _Denoiser

    scheduler = diffusers.DDPMScheduler(num_train_timesteps=total, beta_schedule='squaredcos_cap_v2')
    diffusers.DiTPipeline(small_dit(10), small_vae(), scheduler).save_pretrained(tmp_path / 'p')
    noise = trained_further(tmp_path / 'p', ['3', '7'], tmp_path / 'out').make_scheduler('ddim')
    run = _Denoiser(None, noise, 2, 1e-3, 2, 0.5, None)
    drawn = run.timesteps(2000, torch.Generator().manual_seed(0)) / total
    assert 0 <= drawn.min() < 0.1 and 0.9 < drawn.max() < 1 and abs(drawn.median() - 0.5) < 0.03


def test_training_goes_on_with_the_autoencoder_that_a_prior_is_named_with(tmp_path):
    torch.manual_seed(0)
    diffusers.DiTPipeline(small_dit(10), small_vae(), diffusers.DDIMScheduler()).save_pretrained(tmp_path / 'p')
    other = small_vae()
    other.register_to_config(scaling_factor=0.5)
    other.save_pretrained(tmp_path / 'other')
    tuned = trained_further(f'{tmp_path / "p"}?vae={tmp_path / "other"}', ['3', '7'], tmp_path / 'out')
    assert tuned.vae.config.scaling_factor == 0.5
    assert torch.allclose(tuned.vae.decoder.conv_in.weight, other.decoder.conv_in.weight, atol=1e-3)


def test_training_goes_on_with_the_rows_of_a_subset(tmp_path):
    from psr_nb.tuning import further_transformer

    torch.manual_seed(0)
    pipe = diffusers.DiTPipeline(small_dit(10), small_vae(), diffusers.DDIMScheduler())
    pipe.save_pretrained(tmp_path / 'p')
    old = Prior.from_pretrained(tmp_path / 'p', ['8', '3'], device='cpu')
    table = 'transformer_blocks.0.norm1.emb.class_embedder.embedding_table.weight'
    before = pipe.transformer.state_dict()[table]
    after = further_transformer(old, ['3', '8', 'new'], old.latent_shape).state_dict()[table]
    assert torch.equal(after[[0, 1, 3]], before[[3, 8, 10]])


def changed(folder, file, **entries):
    "A configuration with some entries changed."
    about = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**about, **entries}))
    return folder


@pytest.mark.parametrize(
    'file, entries, say',
    [
        ('vae/config.json', dict(scaling_factor=0), 'a positive number under scaling_factor, found 0'),
        ('vae/config.json', dict(scaling_factor=float('nan')), 'a positive number under scaling_factor, found nan'),
        ('vae/config.json', dict(latents_mean=[0.0] * 2, latents_std=[1.0] * 2), '4 numbers under latents_mean'),
        (
            'vae/config.json',
            dict(latents_mean=[0.0] * 4, latents_std=[0.0] * 4),
            '4 positive numbers under latents_std',
        ),
        ('scheduler/scheduler_config.json', dict(beta_end=float('nan')), 'shares of the image from 0 to 1'),
        ('scheduler/scheduler_config.json', dict(trained_betas=[0.1] * 3), 'at 1000 steps, found 3 steps'),
        ('scheduler/scheduler_config.json', dict(num_train_timesteps=10**11), 'num_train_timesteps, found 100,000'),
        ('transformer/config.json', dict(num_layers=10**7), 'at most 1,000 under num_layers, found 10,000,000'),
        ('model_index.json', dict(id2label={'0': 'a', '1': 'b', '7': 'c'}), 'the 10 classes'),
        ('model_index.json', dict(id2label={str(i + 1): f'n{i}' for i in range(10)}), 'numbers 0 to 9.*found 10'),
        ('model_index.json', dict(id2label={str(i): 'ab'[i % 2] for i in range(10)}), 'different names.*found a twice'),
    ],
)
def test_numbers_and_names_that_no_prior_has(flow, tmp_path, file, entries, say):
    torch.manual_seed(0)
    diffusers.DiTPipeline(small_dit(10), small_vae(), diffusers.DDIMScheduler()).save_pretrained(tmp_path / 'p')
    changed(tmp_path / 'p', file, **entries)
    with pytest.raises(PSRError, match=say):
        Prior.from_pretrained(tmp_path / 'p', device='cpu')


def test_configurations_of_another_kind_and_packed_weights(tmp_path):
    diffusers.DiTPipeline(small_dit(10), small_vae(), diffusers.DDIMScheduler()).save_pretrained(tmp_path / 'p')
    for file in ('model_index.json', 'transformer/config.json', 'vae/config.json', 'scheduler/scheduler_config.json'):
        before = (tmp_path / 'p' / file).read_text()
        (tmp_path / 'p' / file).write_text('[]')
        with pytest.raises(PSRError, match=f'{file}: expected an object'):
            Prior.from_pretrained(tmp_path / 'p', device='cpu')
        (tmp_path / 'p' / file).write_text(before)
    file = tmp_path / 'p' / 'transformer' / 'diffusion_pytorch_model.safetensors'
    state = load_file(file)
    save_file({k: v.half() for k, v in state.items()}, file.with_name('diffusion_pytorch_model.fp16.safetensors'))
    half = Prior.from_pretrained(tmp_path / 'p', device='cpu', variant='fp16')  # its autoencoder is there in full only
    assert half.decode(half.sample([0], num_inference_steps=2)).isfinite().all()
    save_file({k: (v * 10).to(torch.int8) for k, v in state.items()}, file, metadata={'format': 'pt'})
    with pytest.raises(PSRError, match='quantised'):
        Prior.from_pretrained(tmp_path / 'p', device='cpu')


def authors_prior(path, state=None, **company):
    "A checkpoint of these weights in the company of a training script, read again."
    torch.manual_seed(0)
    small_vae().save_pretrained(path.parent / 'vae')
    torch.save({'ema': authors_dit() if state is None else state, **company}, path)
    return Prior.from_pretrained(path, device='cpu')


TABLE = 'y_embedder.embedding_table.weight'


def test_a_table_without_a_row_for_no_class(tmp_path):
    "A DiT trained without dropped labels: every row is a class, and guidance is impossible."
    whole = {**authors_dit(), TABLE: torch.randn(1000, D)}
    said = argparse.Namespace(class_dropout_prob=0.0)
    ten = {**authors_dit(), TABLE: torch.randn(10, D)}
    for i, (state, company) in enumerate(
        [(whole, {}), (whole, dict(args=said)), (ten, dict(args=said)), (ten, dict(args={'num_classes': 10}))]
    ):
        prior = authors_prior(tmp_path / f'{i}.pt', state, **company)
        n = len(state[TABLE])
        assert len(prior.classes) == n and prior.null_id is None and prior.defaults['guidance_scale'] == 1.0
        last = prior.sample([n - 1], noise_of(1, prior.latent_shape), num_inference_steps=1)
        table = prior.transformer.transformer_blocks[0].norm1.emb.class_embedder.embedding_table.weight
        assert last.isfinite().all() and torch.equal(table[:n], state[TABLE])
        with pytest.raises(PSRError, match='no row for no class'):
            prior.sample([0], num_inference_steps=1, guidance_scale=2.0)
    with_row = authors_prior(tmp_path / 'row.pt', {**ten, TABLE: torch.randn(11, D)}, args={'num_classes': 10})
    assert len(with_row.classes) == with_row.null_id == 10
    for args, say in (({}, 'stands for no class.*args'), ({'num_classes': 7}, '7 or 8 rows.*found 10')):
        with pytest.raises(PSRError, match=say):
            authors_prior(tmp_path / 'x.pt', ten, args=args)


@pytest.mark.parametrize(
    'name, args',
    [
        ('SiT.pt', dict(model='SiT-XL/2', path_type='GVP')),
        ('SiT.pt', dict(model='SiT-XL/2', path_type='VP', prediction='noise')),
        ('last.pt', dict(path_type='Linear', prediction='score')),
        ('last.pt', dict(path_type='cosine', prediction='v')),
        ('DiT.pt', dict(model='DiT-XL/2', prediction='velocity')),
        ('DiT.pt', dict(model='DiT-XL/2', predict_xstart=True)),
    ],
)
def test_paths_and_predictions_that_are_not_followed(tmp_path, name, args):
    with pytest.raises(PSRError, match='args.* it would give wrong images'):
        authors_prior(tmp_path / name, args=argparse.Namespace(**args))
    if name == 'SiT.pt':
        with pytest.raises(PSRError, match='straight lines'):
            Prior.from_pretrained(tmp_path / name, device='cpu', prediction='flow')


def test_repas_time_is_not_sits(tmp_path):
    "Noise at 1 and the image at 0, along what the network answers (Yu et al. 2025); SiT has it the other way."
    projectors = {'projectors.0.0.weight': torch.randn(4, D), 'projectors.0.0.bias': torch.zeros(4)}
    said = dict(args=argparse.Namespace(model='SiT-XL/2', path_type='linear', prediction='v'))
    repa = authors_prior(tmp_path / 'last.pt', {**authors_dit(), **projectors})
    again, sit = authors_prior(tmp_path / 'a.pt', **said), authors_prior(tmp_path / 'SiT.pt')
    labels, steps, inner = torch.tensor([3, 7]), 5, repa.transformer.inner
    z = noise = noise_of(2, repa.latent_shape)
    times = torch.cat([prior_timesteps(repa, steps) / 1000, torch.zeros(1)])
    with torch.no_grad():
        for now, then in zip(times[:-1], times[1:]):
            z = z + (then - now) * inner(z, timestep=now.expand(2), class_labels=labels).sample[:, :4]
    one, two, other = (
        p.sample(labels, noise, num_inference_steps=steps, guidance_scale=1.0) for p in (repa, again, sit)
    )
    assert repa.flow and (one - z).abs().max() < 1e-4 and torch.equal(one, two) and not torch.allclose(one, other)


def test_positions_of_a_file_are_used(tmp_path):
    "The sine-cosine table is worked out; others are the file's own; a wrong number of them is refused."
    from diffusers.models.embeddings import get_2d_sincos_pos_embed

    table = torch.as_tensor(get_2d_sincos_pos_embed(D, 4, base_size=4)).float()[None]
    learned = table + 0.5 * torch.randn(table.shape, generator=torch.Generator().manual_seed(0))
    priors = []
    for i, positions in enumerate((table, table.half(), learned)):
        priors.append(authors_prior(tmp_path / f'{i}.pt', {**authors_dit(), 'pos_embed': positions}))
    x = noise_of(1, priors[0].latent_shape)
    plain, half, own = (p.sample([3], x, num_inference_steps=2) for p in priors)
    assert torch.equal(plain, half) and not torch.allclose(plain, own)
    assert torch.equal(priors[2].transformer.pos_embed.pos_embed, learned)
    assert priors[0].weights_hash == priors[1].weights_hash != priors[2].weights_hash
    for shape in ((1, 17, D), (1, 12, D), (16, D), (1, 16, D + 2)):
        with pytest.raises(PSRError, match=f'square of patches, each of width {D}'):
            authors_prior(tmp_path / 'x.pt', {**authors_dit(), 'pos_embed': torch.zeros(shape)})


def test_positions_of_a_folder_are_used(tmp_path):
    "The folders of 2022 have them beside the weights."
    torch.manual_seed(0)
    pipe = diffusers.DiTPipeline(small_dit(10), small_vae(), diffusers.DDIMScheduler())
    pipe.save_pretrained(tmp_path / 'p')
    file = tmp_path / 'p' / 'transformer' / 'diffusion_pytorch_model.safetensors'
    state, own = load_file(file), pipe.transformer.pos_embed.pos_embed.clone()
    images = []
    for positions in (own, own + 0.5, torch.cat([own, own], 1)):
        save_file({**state, 'pos_embed.pos_embed': positions.contiguous()}, file, metadata={'format': 'pt'})
        if positions.shape != own.shape:
            with pytest.raises(PSRError, match='as its sample_size and patch_size have them'):
                Prior.from_pretrained(tmp_path / 'p', device='cpu')
            continue
        prior = Prior.from_pretrained(tmp_path / 'p', device='cpu')
        images.append(prior.sample([1], noise_of(1, prior.latent_shape), num_inference_steps=2))
    assert not torch.allclose(*images)


def test_heads_that_a_file_names(tmp_path):
    state = {**authors_dit(), 'pos_embed': torch.zeros(1, 16, D)}
    named = [authors_prior(tmp_path / f'{n}.pt', state, args=argparse.Namespace(num_heads=n)) for n in (2, 4)]
    assert [p.transformer.config.num_attention_heads for p in named] == [2, 4]
    two, four = (p.sample([3], noise_of(1, p.latent_shape), num_inference_steps=2) for p in named)
    assert not torch.allclose(two, four)
    with pytest.warns(UserWarning, match='nothing says that it has 2 heads'):
        guessed = authors_prior(tmp_path / 'x.pt', state)
    assert torch.equal(guessed.sample([3], noise_of(1, guessed.latent_shape), num_inference_steps=2), two)
    for heads in (3, 0, 'four'):
        with pytest.raises(PSRError, match='args.num_heads: expected a whole number that divides the width, 32'):
            authors_prior(tmp_path / 'x.pt', state, args=argparse.Namespace(num_heads=heads))


def without(state, *starts):
    return {k: v for k, v in state.items() if not k.startswith(starts)}


@pytest.mark.parametrize(
    'change, say',
    [
        (lambda s: without(s, 't_embedder.mlp.2.weight'), 'missing 1: t_embedder.mlp.2.weight'),
        (lambda s: without(s, 'blocks.0.attn.qkv.bias'), 'missing 1: blocks.0.attn.qkv.bias'),
        (lambda s: without(s, 'blocks.0.'), '2 blocks, found missing 10'),
        (lambda s: {**s, 't_embedder.mlp.4.weight': torch.zeros(1)}, 'unknown 1: t_embedder.mlp.4.weight'),
        (lambda s: {**s, 'x_embedder.proj.weight': torch.zeros(D, 16)}, 'square patches'),
        (lambda s: {**s, 'x_embedder.proj.weight': torch.zeros(D, 16, 2, 2)}, '4 in_channels.*found 16'),
        (
            lambda s: {
                **s,
                'final_layer.linear.weight': torch.zeros(48, D),
                'final_layer.linear.bias': torch.zeros(48),
            },
            '4 or 8 out_channels.*found 12',
        ),
    ],
)
def test_authors_files_that_do_not_fit_together(tmp_path, change, say):
    with pytest.raises(PSRError, match=say):
        authors_prior(tmp_path / 'DiT.pt', change(authors_dit()))


def vae_of(channels, out=None):
    return diffusers.AutoencoderKL(
        in_channels=channels,
        out_channels=out or channels,
        block_out_channels=(16, 32),
        down_block_types=('DownEncoderBlock2D',) * 2,
        up_block_types=('UpDecoderBlock2D',) * 2,
        norm_num_groups=8,
    )


def consistency_decoder():
    down, up = ('ResnetDownsampleBlock2D',) * 2, ('ResnetUpsampleBlock2D',) * 2
    return diffusers.ConsistencyDecoderVAE(
        encoder_block_out_channels=(8, 8),
        encoder_down_block_types=('DownEncoderBlock2D',) * 2,
        encoder_norm_num_groups=8,
        decoder_block_out_channels=(8, 8),
        decoder_down_block_types=down,
        decoder_up_block_types=up,
        decoder_norm_num_groups=8,
    )


@pytest.mark.parametrize(
    'make, say',
    [
        (lambda: unet(), 'UNet2DModel, which is no autoencoder'),
        (
            lambda: diffusers.AutoencoderKLTemporalDecoder(
                block_out_channels=(32, 32), down_block_types=('DownEncoderBlock2D',) * 2
            ),
            'one of video',
        ),
        (lambda: vae_of(2), '2 channels in and 2 out'),
        (lambda: vae_of(4), '4 channels in and 4 out'),
        (lambda: vae_of(5), '5 channels in and 5 out'),
        (lambda: vae_of(3, 1), '3 channels in and 1 out'),
        (lambda: consistency_decoder(), 'ConsistencyDecoderVAE, which draws noise while it decodes'),
    ],
)
def test_what_is_no_autoencoder_of_images(flow, tmp_path, make, say):
    "As a folder's own, as another one, and beside a checkpoint file: refused when it is loaded."
    import shutil

    make().save_pretrained(tmp_path / 'vae')
    own = shutil.copytree(flow, tmp_path / 'p')
    shutil.rmtree(own / 'vae')
    shutil.copytree(tmp_path / 'vae', own / 'vae')
    torch.save(authors_dit(), tmp_path / 'DiT.pt')
    for prior, options in ((own, {}), (flow, dict(vae=tmp_path / 'vae')), (tmp_path / 'DiT.pt', {})):
        with pytest.raises(PSRError, match=f'vae.config.json: expected an autoencoder of images.*{say}'):
            Prior.from_pretrained(prior, device='cpu', **options)


def test_another_autoencoder_has_the_same_latents(flow, tmp_path):
    diffusers.AutoencoderKL(latent_channels=8).save_pretrained(tmp_path / 'vae')
    with pytest.raises(PSRError, match='8 in_channels, as many as the latents of its autoencoder, found 4'):
        Prior.from_pretrained(flow, device='cpu', vae=tmp_path / 'vae')


def test_refining_with_another_prior_is_said(flow, tmp_path):
    "Its autoencoder would show other images for the same latents; a variant has a hash of its own."
    prior = Prior.from_pretrained(flow, device='cpu')
    pool = Pool.sample(prior, [], 2, path=tmp_path / 'pool', progress=False, num_inference_steps=2)
    chosen = select(pool, 1, 'first')
    settings = RefineSettings(steps=1, student=0.0, soft_label=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        assert len(list(refine(chosen, prior, settings=settings))) == 1
    vae = small_vae()
    vae.register_to_config(scaling_factor=5.0)
    torch.nn.init.constant_(vae.decoder.conv_out.bias, 2.0)
    vae.save_pretrained(tmp_path / 'other')
    other = Prior.from_pretrained(flow, device='cpu', vae=tmp_path / 'other')
    with pytest.warns(UserWarning, match='shows other images for these latents than the selection has'):
        next(refine(chosen, other, settings=settings))
    small = Prior.from_pretrained(pixel_folder(tmp_path / 'p', unet(10, 3)), device='cpu')
    with pytest.raises(PSRError, match='with latents of 3×16×16 for 4×8×8'):
        next(refine(chosen, small, settings=settings))


def test_a_variant_is_another_prior(tmp_path):
    folder = pixel_folder(tmp_path / 'p', unet())
    file = folder / 'unet' / 'diffusion_pytorch_model.safetensors'
    save_file({k: v.half() for k, v in load_file(file).items()}, file.with_suffix('.fp16.safetensors'))
    whole, half = (Prior.from_pretrained(folder, device='cpu', variant=v) for v in (None, 'fp16'))
    assert whole.weights_hash != half.weights_hash
