"Priors of both kinds against diffusers' own pipelines, and what happens when a device or a network is missing."

import json
import shutil
import socket
import warnings

import diffusers
import pytest
import torch
from safetensors.torch import load_file

from psr_nb.core import PSRError
from psr_nb.data import class_names, imagenet_index
from psr_nb.prior import SCHEDULERS, Prior


def small_vae():
    return diffusers.AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=('DownEncoderBlock2D',) * 2,
        up_block_types=('UpDecoderBlock2D',) * 2,
        norm_num_groups=8,
    ).eval()


def small_dit(classes=1000):
    return diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=8,
        num_layers=3,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=classes,
        norm_elementwise_affine=False,
    ).eval()


@pytest.fixture(scope='module')
def dit(tmp_path_factory):
    "A folder as diffusers writes it, of DiT-XL/2's form, with random weights."
    folder = tmp_path_factory.mktemp('dit')
    torch.manual_seed(0)
    pipe = diffusers.DiTPipeline(
        small_dit(),
        small_vae(),
        diffusers.DDIMScheduler(clip_sample=False),
        id2label={i: name for i, name in enumerate(class_names('imagenet1k'))},
    )
    pipe.save_pretrained(folder)
    pipe = diffusers.DiTPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return folder, pipe


@pytest.fixture(scope='module')
def stable_diffusion(tmp_path_factory):
    "A folder of Stable Diffusion's form: a UNet told by a CLIP text encoder, all tiny and random."
    transformers = pytest.importorskip('transformers')
    folder = tmp_path_factory.mktemp('sd')
    byte = [chr(i) for i in (*range(33, 127), *range(161, 173), *range(174, 256))] + [
        chr(256 + i) for i in range(68)
    ]  # the 256 of byte-level BPE
    words = [*byte, *(b + '</w>' for b in byte), '<|startoftext|>', '<|endoftext|>']
    (folder / 'words').mkdir()
    (folder / 'words' / 'vocab.json').write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / 'words' / 'merges.txt').write_text('#version: 0.2\n')
    tokenizer = transformers.CLIPTokenizer(
        str(folder / 'words' / 'vocab.json'), str(folder / 'words' / 'merges.txt'), model_max_length=77
    )
    torch.manual_seed(0)
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=len(words) - 2,
            eos_token_id=len(words) - 1,
        )
    ).eval()
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        cross_attention_dim=32,
        attention_head_dim=4,
        down_block_types=('CrossAttnDownBlock2D', 'DownBlock2D'),
        up_block_types=('UpBlock2D', 'CrossAttnUpBlock2D'),
    ).eval()
    scheduler = diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule='scaled_linear', skip_prk_steps=True, steps_offset=1
    )
    pipe = diffusers.StableDiffusionPipeline(
        small_vae(),
        text,
        tokenizer,
        unet,
        scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder / 'model')
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder / 'model', safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    return folder / 'model', pipe


@pytest.mark.parametrize('solver, theirs', [('ddim', 'DDIMScheduler'), ('dpm', 'DPMSolverMultistepScheduler')])
def test_dit_gives_the_pipelines_images(dit, solver, theirs):
    "Same noise, scheduler, steps and guidance: the same images to 1e-4 of their range. The classes are given by name."
    folder, pipe = dit
    pipe.scheduler = getattr(diffusers, theirs).from_config(pipe.scheduler.config)
    prior = Prior.from_pretrained(folder, classes='imagewoof', device='cpu')
    generators = lambda: [torch.Generator().manual_seed(i) for i in range(3)]
    expected = torch.as_tensor(
        pipe(
            [193, 155, 229], guidance_scale=4.0, generator=generators(), num_inference_steps=8, output_type='np'
        ).images
    ).movedim(-1, 1)
    noise = torch.stack([torch.randn(4, 8, 8, generator=g) for g in generators()])
    made = prior.decode(prior.sample([0, 4, 9], noise, num_inference_steps=8, guidance_scale=4.0, scheduler=solver))
    assert (made - expected).abs().max() < 1e-4


def test_class_subsets_are_found_by_wordnet_id(dit):
    folder, _ = dit
    for name in ('imagenette', 'imagewoof', 'imageidc', 'imagenet100', 'imagenet1k'):
        prior = Prior.from_pretrained(folder, classes=name, device='cpu')
        assert prior.classes == class_names(name) and prior.class_ids.tolist() == [
            imagenet_index(c) for c in prior.classes
        ]
    assert Prior.from_pretrained(folder, classes=['n02088364', 'Samoyed'], device='cpu').class_ids.tolist() == [
        162,
        258,
    ]
    with pytest.raises(PSRError, match='Kilt'):
        Prior.from_pretrained(folder, classes=['Samoyed', 'Kilt'])


def test_stable_diffusion_gives_the_pipelines_images(stable_diffusion):
    "To 1e-3: guidance 7.5 enlarges what another order of summation leaves in the last digits."
    folder, pipe = stable_diffusion
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config)
    prior = Prior.from_pretrained(
        folder, classes=['n02088364', 'Samoyed', 'Kilt'], prompt='a photo of a {}', device='cpu'
    )
    assert prior.classes == ['n02088364', 'Samoyed', 'Kilt'] and 'guidance 7.5' in repr(prior)
    noise = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = pipe(
        [f'a photo of a {c}' for c in ('beagle', 'Samoyed', 'Kilt')],
        latents=noise.clone(),
        guidance_scale=7.5,
        num_inference_steps=8,
        output_type='pt',
    ).images
    made = prior.decode(prior.sample([0, 1, 2], noise, num_inference_steps=8, scheduler='ddim'))
    assert (made - torch.as_tensor(expected)).abs().max() < 1e-3


def test_sentences_for_classes(stable_diffusion):
    "Braces are text; two classes of one name are named; what the text encoder does not read to the end is refused."
    folder, _ = stable_diffusion
    told = lambda classes, prompt: Prior.from_pretrained(folder, classes=classes, prompt=prompt, device='cpu').prompts
    assert torch.equal(told(['cat'], 'a {}, {bright}')[0], told(['a cat, {bright}'], '{}')[0])
    cranes = ['crane n02012849', 'crane n03126707']
    with pytest.warns(UserWarning, match='crane n02012849 and crane n03126707 are told by the same sentence'):
        assert torch.equal(*told(cranes, 'a photo of a {}')[:2])
    with pytest.raises(PSRError, match='reads to the end, found cut off after 77'):
        told(['cat', 'dog'], 'a very ' * 40 + 'long way to a {}')


def test_stable_diffusion_goes_the_whole_way(stable_diffusion):
    "Encoding, the denoising error and a roundtrip work on it as on any prior; another sentence is another prior."
    prior = Prior.from_pretrained(stable_diffusion[0], classes=['beagle', 'Samoyed'], device='cpu')
    latents = prior.sample([0, 1], num_inference_steps=2).requires_grad_(True)
    error = prior.denoising_error(latents, [0, 1])
    error.sum().backward()
    assert (
        latents.grad.abs().sum() > 0
        and prior.roundtrip(latents.detach(), [0, 1], num_inference_steps=4).isfinite().all()
    )
    assert prior.encode(prior.decode(latents.detach())).shape == latents.shape
    other = Prior.from_pretrained(
        stable_diffusion[0], classes=['beagle', 'Samoyed'], prompt='a drawing of a {}', device='cpu'
    )
    assert other.weights_hash != prior.weights_hash
    with pytest.raises(PSRError, match='no classes of its own'):
        Prior.from_pretrained(stable_diffusion[0])
    with pytest.raises(PSRError, match='cache_threshold'):
        prior.sample([0], num_inference_steps=2, cache_threshold=0.1)


def test_the_first_block_cache(dit):
    "Every block runs where the threshold is nothing like reached; few do where it is high; nothing stays switched on."
    prior = Prior.from_pretrained(dit[0], classes='imagenette', device='cpu')
    calls = []
    hook = prior.transformer.transformer_blocks[2].attn1.register_forward_hook(lambda *a: calls.append(1))
    count = lambda **options: (calls.clear(), prior.sample([0, 1], num_inference_steps=6, **options), len(calls))[1:]
    plain, all_of_them = count()
    same, kept = count(cache_threshold=1e-9)
    near, few = count(cache_threshold=100.0)
    assert all_of_them == kept == 6 and torch.allclose(plain, same, atol=1e-5)
    assert few == 1 and near.isfinite().all()
    halves, _ = count(cache_threshold=1e-9, guidance_interval=(0.0, 0.6))  # batches of two sizes
    assert torch.allclose(halves, count(guidance_interval=(0.0, 0.6))[0], atol=1e-5)
    for step in prior.sample_steps([0], num_inference_steps=6, cache_threshold=100.0):
        prior.denoising_error(step.latents, [0])
        break
    under_way = prior.sample_steps([0], num_inference_steps=6, cache_threshold=0.1)
    next(under_way)
    with pytest.raises(PSRError, match='one sampling at a time'):
        count(cache_threshold=0.1)
    under_way.close()
    assert torch.equal(count()[0], plain)
    hook.remove()


def counted(part):
    "Calls that go past every hook to the part's own work."
    calls, work = [], part.forward
    part.forward = lambda *args, **options: (calls.append(1), work(*args, **options))[1]
    return calls


def test_attention_is_kept_for_some_calls(dit):
    "At 1 nothing changes; at 2 and 3 a half and a third of the calls do the work; guidance that begins and ends works it out afresh."
    prior = Prior.from_pretrained(dit[0], classes='imagenette', device='cpu')
    plain, calls = prior.sample([0, 1], num_inference_steps=6), counted(prior.transformer.transformer_blocks[2].attn1)
    count = lambda **options: (calls.clear(), prior.sample([0, 1], num_inference_steps=6, **options), len(calls))[1:]
    same, every = count(attention_every=1)
    assert every == 6 and torch.equal(same, plain)
    for n, done in ((2, 3), (3, 2), (100, 1)):
        near, few = count(attention_every=n)
        assert few == done and near.isfinite().all() and not torch.equal(near, plain)
    for interval, done in (
        ((0.0, 0.6), 3),
        ((0.2, 0.8), 4),
        ((0.5, 0.6), 4),
    ):  # noise levels .85 .71 .57 .43 .28 .14: 2 + 4 steps, 1 + 4 + 1, 2 + 1 + 3
        assert count(attention_every=2, guidance_interval=interval)[1] == done, interval
    for solver in SCHEDULERS:
        assert count(attention_every=2, scheduler=solver)[1] == 3
    both, few = count(attention_every=2, cache_threshold=1e-9)
    assert few == 3 and torch.allclose(both, count(attention_every=2)[0], atol=1e-5)
    assert count(attention_every=2, cache_threshold=100.0)[1] == 1
    for wrong in (0, -1, 1.5):
        with pytest.raises(PSRError, match='attention_every'):
            prior.sample([0], attention_every=wrong)


def test_kept_attention_is_a_samplings_own(dit):
    "Other samplings in between, a denoising error, one left early: each is what it is alone, and nothing stays on."
    prior = Prior.from_pretrained(dit[0], classes='imagenette', device='cpu')
    noise = torch.randn(3, *prior.latent_shape, generator=torch.Generator().manual_seed(0))
    settings = [
        ([0, 1, 2], dict(attention_every=2)),
        ([3], dict(attention_every=3)),
        ([4, 5], {}),
        ([6, 7], dict(cache_threshold=1e-9, attention_every=2, guidance_interval=(0.3, 0.7))),
    ]
    begin = lambda labels, options: prior.sample_steps(labels, noise[: len(labels)], num_inference_steps=6, **options)
    alone, error = [list(begin(*s))[-1].latents for s in settings], prior.denoising_error(noise[:2], [0, 1])
    together = [begin(*s) for s in settings]
    for _ in range(6):
        latents = [next(s).latents for s in together]
        assert torch.equal(prior.denoising_error(noise[:2], [0, 1]), error)
    for sampling in together:
        sampling.close()
    for ours, expected in zip(latents, alone):
        assert torch.allclose(ours, expected, atol=1e-5)
    left = begin(*settings[0])
    next(left)
    for part in prior.transformer.modules():
        assert not getattr(getattr(part, '_diffusers_hook', None), 'hooks', None)
    assert torch.equal(list(begin([4, 5], {}))[-1].latents, alone[2])


def test_kept_attention_and_too_little_memory(dit, monkeypatch):
    prior = Prior.from_pretrained(dit[0], classes='imagenette', device='cpu')
    options = dict(num_inference_steps=4, attention_every=2, guidance_interval=(0.3, 0.7))
    expected, forward = prior.sample(range(4), **options), prior.transformer.forward

    def limited(x, *args, **kwargs):  # the guided steps do not fit
        if len(x) > 4:
            raise torch.OutOfMemoryError('out of memory')
        return forward(x, *args, **kwargs)

    monkeypatch.setattr(prior.transformer, 'forward', limited)
    with pytest.warns(UserWarning, match='going on with 2'):
        made = prior.sample(range(4), **options)
    assert torch.allclose(made, expected, atol=1e-4)


def test_kept_attention_of_a_unet(stable_diffusion):
    "Self-attention is kept, the attention to the sentence is not."
    prior = Prior.from_pretrained(stable_diffusion[0], classes=['beagle', 'Samoyed'], device='cpu')
    block = prior.transformer.down_blocks[0].attentions[0].transformer_blocks[0]
    plain, own, cross = prior.sample([0, 1], num_inference_steps=6), counted(block.attn1), counted(block.attn2)
    near = prior.sample([0, 1], num_inference_steps=6, attention_every=2)
    assert (len(own), len(cross)) == (3, 6) and near.isfinite().all() and not torch.equal(near, plain)


def test_out_of_memory_halves_the_batch_and_says_so_once(dit, monkeypatch):
    prior = Prior.from_pretrained(dit[0], classes='imagenette', device='cpu')
    labels = torch.arange(10)
    expected = prior.sample(labels, num_inference_steps=3, scheduler='ddpm')
    forward, decode = prior.transformer.forward, prior.vae.decode

    def limited(run, rows):
        def inner(x, *args, **kwargs):
            if len(x) > rows:
                raise torch.OutOfMemoryError('out of memory')
            return run(x, *args, **kwargs)

        return inner

    monkeypatch.setattr(prior.transformer, 'forward', limited(forward, 6))
    monkeypatch.setattr(prior.vae, 'decode', limited(decode, 5))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        made = prior.sample(labels, num_inference_steps=3, scheduler='ddpm')
        images = prior.decode(made)
        prior.sample(labels, num_inference_steps=3)
        prior.decode(made)
    said = [str(w.message) for w in said if 'fit in the memory' in str(w.message)]
    assert (
        len(said) == 3
        and 'going on with 5' in said[0]
        and 'going on with 2' in said[1]
        and said[2].startswith('decoding')
    )  # 10 → 5 → 2 rows with guidance, once each
    assert torch.allclose(made, expected, atol=1e-4) and len(images) == 10
    monkeypatch.setattr(prior.transformer, 'forward', limited(forward, 0))
    with pytest.raises(PSRError, match='memory for one image at a time, found too little'), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        prior.sample([0], num_inference_steps=2)


def test_without_a_network_it_says_so_at_once(monkeypatch):
    "No server is asked, so nobody waits for one."
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    asked = []
    monkeypatch.setattr(socket.socket, 'connect', lambda self, address: asked.append(address))
    with pytest.raises(PSRError, match='hf download facebook/DiT-XL-2-256 --local-dir prior'):
        Prior.from_pretrained('facebook/DiT-XL-2-256', classes='imagewoof')
    assert not asked


class Runs:
    "What a hostile pickle would do."

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return type(self.mark).touch, (self.mark,)


def test_bad_folders(dit, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    folder = tmp_path / 'prior'
    shutil.copytree(dit[0], folder)
    weights = folder / 'transformer' / 'diffusion_pytorch_model.safetensors'
    index = json.loads((folder / 'model_index.json').read_text())
    (folder / 'model_index.json').write_text(json.dumps({**index, 'id2label': {'0': 'beagle'}}))
    with pytest.raises(PSRError, match='names for the 1000 classes'):
        Prior.from_pretrained(folder)
    (folder / 'model_index.json').write_text(json.dumps(index))
    state = load_file(weights)
    torch.save({'weight': Runs(tmp_path / 'it ran')}, folder / 'transformer' / 'diffusion_pytorch_model.bin')
    weights.unlink()
    with pytest.raises(PSRError, match='could run code'):
        Prior.from_pretrained(folder)
    assert not (tmp_path / 'it ran').exists()
    torch.save(state, folder / 'transformer' / 'diffusion_pytorch_model.bin')
    assert Prior.from_pretrained(folder, device='cpu').latent_shape == (4, 8, 8)
    shutil.rmtree(folder / 'vae')
    with pytest.raises(PSRError, match='no vae'):
        Prior.from_pretrained(folder)


def test_guidance_of_one_and_below_is_none_on_every_way(dit):
    prior = Prior.from_pretrained(dit[0], device='cpu')
    latents = torch.randn(2, *prior.latent_shape, generator=torch.Generator().manual_seed(0))
    for way in (
        lambda scale: prior.sample([3, 7], latents, num_inference_steps=2, guidance_scale=scale),
        lambda scale: prior.roundtrip(latents, [3, 7], num_inference_steps=4, guidance_scale=scale),
    ):
        assert torch.equal(way(0.0), way(1.0)) and not torch.equal(way(3.0), way(1.0))
