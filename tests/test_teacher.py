"""Teachers of every library, against the library that defines them; what is missing is asked for.

Largest differences of logits, tiny random networks, float32 on a CPU: timm 1.5e-8 (another order of memory),
torchvision and transformers below 1e-6.
"""

import argparse
import json
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from test_prior import small_vae
from timm.models._hub import save_for_hf

from psr_nb.core import PSRError
from psr_nb.data import ImageData
from psr_nb.teacher import Teacher

NAMES = ['truck', 'cat', 'dog']


def same(teacher, theirs, size=32, channels=3):
    "Largest difference from a library's own logits, for images normalised by hand."
    x = torch.rand(3, channels, size, size, generator=torch.Generator().manual_seed(0))
    mean, std = teacher.mean.cpu(), teacher.std.cpu()
    with torch.no_grad():
        return float((teacher.logits(x) - theirs((x - mean) / std)).abs().max())


@pytest.fixture(scope='module')
def resnet():
    torch.manual_seed(0)
    return timm.create_model('test_resnet', num_classes=3).eval()


def timm_folder(folder, network, weights='model.safetensors', **config):
    "A folder of timm's, with what is given changed in its config.json."
    folder.mkdir(parents=True)
    cfg = dict(mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.4], input_size=[3, 32, 32]) | config.pop('cfg', {})
    whole = dict(architecture='test_resnet', num_classes=3, label_names=NAMES, pretrained_cfg=cfg)
    (folder / 'config.json').write_text(json.dumps({**whole, **config}))
    state = {k: v.contiguous() for k, v in network.state_dict().items()}
    save = save_file if weights.endswith('.safetensors') else torch.save
    save(state, folder / weights)
    return folder


@pytest.mark.parametrize('safe', [True, False, 'both'])
def test_timm_as_timm_writes(resnet, tmp_path, safe):
    save_for_hf(resnet, tmp_path / 't', model_config=dict(label_names=NAMES), safe_serialization=safe)
    teacher = Teacher.from_pretrained(tmp_path / 't', device='cpu')
    assert teacher.classes == NAMES and teacher.input_size == 160
    assert same(teacher, resnet, 160) < 1e-6
    assert Teacher.from_pretrained(tmp_path / 't', ['dog', 'truck'], 'cpu').outputs.tolist() == [2, 0]


def test_timms_older_form(resnet, tmp_path):
    "Everything at the top of config.json, names as `labels`."
    folder = timm_folder(tmp_path / 't', resnet, 'pytorch_model.bin')
    old = dict(architecture='test_resnet', num_classes=3, mean=[0.5] * 3, std=[0.25] * 3, input_size=[3, 32, 32])
    (folder / 'config.json').write_text(json.dumps({**old, 'labels': NAMES}))
    teacher = Teacher.from_pretrained(folder, device='cpu')
    assert teacher.classes == NAMES and same(teacher, resnet) < 1e-6


@pytest.mark.parametrize(
    'wrap',
    [
        lambda s: {f'module.{k}': v for k, v in s.items()},
        lambda s: {'state_dict': {f'_orig_mod.module.{k}': v for k, v in s.items()}, 'epoch': 3},
        lambda s: {'model': {k: v * 0 for k, v in s.items()}, 'state_dict_ema': s, 'args': argparse.Namespace(lr=1)},
        lambda s: {'state_dict': {f'net.{k}': v for k, v in s.items()} | {'loss.weight': torch.ones(3)}},
        lambda s: (
            {'state_dict': {f'model.{k}': v * 0 for k, v in s.items()} | {f'ema_model.{k}': v for k, v in s.items()}}
        ),
    ],
    ids=['DDP', 'compiled', 'averaged', 'Lightning', 'Lightning averaged'],
)
def test_checkpoints_of_training_scripts(resnet, tmp_path, wrap):
    torch.save(wrap(resnet.state_dict()), tmp_path / 'last.ckpt')
    with pytest.warns(UserWarning, match='nothing says how its images were normalised'):
        teacher = Teacher.from_pretrained(
            tmp_path / 'last.ckpt', NAMES, 'cpu', 32, architecture='test_resnet', label_names=NAMES
        )
    assert same(teacher, resnet) < 1e-6


def test_a_checkpoint_becomes_a_folder(resnet, tmp_path):
    "What was said once is kept: mean, std, names, size."
    torch.save({'arch': 'test_resnet', 'state_dict': resnet.state_dict()}, tmp_path / 'last.pth')
    options = dict(device='cpu', input_size=32, label_names=dict(enumerate(NAMES)), mean=0.5, std=(0.1, 0.2, 0.3))
    teacher = Teacher.from_pretrained(tmp_path / 'last.pth', ['dog', 'cat'], **options)
    again = Teacher.from_pretrained(teacher.save(tmp_path / 'kept'), device='cpu')
    assert again.classes == NAMES and again.input_size == 32 and torch.equal(again.std, teacher.std)
    assert same(again, resnet) < 1e-6


@pytest.mark.parametrize('library', ['timm', 'torchvision'])
def test_a_checkpoint_says_how_its_images_were_normalised(tmp_path, library):
    "timm's training script keeps its arguments beside the weights."
    name = 'test_resnet' if library == 'timm' else 'mobilenet_v3_small'
    make = timm.create_model if library == 'timm' else torchvision.models.get_model
    torch.manual_seed(0)
    network = make(name, num_classes=3).eval()
    args = dict(model=name, mean=[0.49, 0.48, 0.45], std=[0.2, 0.2, 0.21], img_size=48, input_size=None)
    saved = dict(arch=name, state_dict=network.state_dict(), args=argparse.Namespace(**args))
    torch.save(saved, tmp_path / 'a.pth.tar')
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        teacher = Teacher.from_pretrained(tmp_path / 'a.pth.tar', device='cpu')
    assert teacher.input_size == 48 and same(teacher, network, 48) < 1e-5
    assert torch.allclose(teacher.mean.flatten(), torch.tensor([0.49, 0.48, 0.45]))
    larger = Teacher.from_pretrained(tmp_path / 'a.pth.tar', device='cpu', input_size=64, mean=0.5, std=0.5)
    assert larger.input_size == 64 and larger.mean.flatten().tolist() == [0.5] * 3
    for odd in (dict(args, mean=None), dict(args, mean='imagenet')):
        torch.save(dict(saved, args=argparse.Namespace(**odd)), tmp_path / 'b.pth.tar')
        with pytest.warns(UserWarning, match='nothing says how its images were normalised'):
            assert Teacher.from_pretrained(tmp_path / 'b.pth.tar', device='cpu').input_size == 48


@pytest.mark.parametrize('said', [dict(gp='max'), dict(model_kwargs=dict(act_layer='silu', num_classes=3))])
def test_a_checkpoint_says_how_its_network_was_built(tmp_path, said):
    "Pooling and activation have no weights: nothing but the arguments of timm's script tells them."
    own = dict(global_pool='max') if 'gp' in said else dict(act_layer='silu')
    torch.manual_seed(0)
    network = timm.create_model('test_resnet', num_classes=3, **own).eval()
    args = argparse.Namespace(mean=[0.5] * 3, std=[0.5] * 3, img_size=64, bn_eps=None, **said)
    torch.save(dict(arch='test_resnet', state_dict=network.state_dict(), args=args), tmp_path / 'a.pth.tar')
    teacher = Teacher.from_pretrained(tmp_path / 'a.pth.tar', device='cpu', label_names=NAMES)
    assert same(teacher, network, 64) < 1e-6
    assert same(Teacher.from_pretrained(teacher.save(tmp_path / 'kept'), device='cpu'), network, 64) < 1e-6


def test_high_images_are_smoothed_where_they_are_made_smaller(resnet):
    "Two bright rows of eight are a quarter of the light, whichever side is the longer one."
    teacher = Teacher(resnet, 'a', (0.0,) * 3, (1.0,) * 3, 32, NAMES)
    bright = (torch.arange(256) % 8 - 3.5).abs() < 1
    stripes = bright.float().view(1, 1, 256, 1).expand(1, 3, 256, 32)
    assert (teacher.prepare(stripes) - 0.25).abs().max() < 0.05
    assert (teacher.prepare(stripes.mT) - 0.25).abs().max() < 0.05


def torchvision_file(folder, name, change=dict, **arguments):
    "A checkpoint of torchvision's, with what `change` makes of its weights, and the network."
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None, num_classes=3, **arguments).eval()
    torch.save(change(network.state_dict()), folder / 'a.pth')
    return network


@pytest.mark.parametrize(
    'name',
    [
        'mobilenet_v3_small',
        'squeezenet1_1',
        'resnet18',
        *(pytest.param(name, marks=pytest.mark.slow) for name in ('densenet121', 'mnasnet0_5', 'regnet_x_400mf')),
    ],
)
def test_torchvision(tmp_path, name):
    network = torchvision_file(tmp_path, name)
    options = dict(device='cpu', input_size=64, architecture=name, label_names=NAMES, mean=0.5, std=0.5)
    teacher = Teacher.from_pretrained(tmp_path / 'a.pth', **options)
    assert same(teacher, network, 64) < 1e-5 and teacher.features(torch.rand(2, 3, 64, 64)).ndim == 2
    assert same(Teacher.from_pretrained(teacher.save(tmp_path / 'kept'), device='cpu'), network, 64) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    'name, size, own',
    [
        ('swin_t', 64, 224),
        ('alexnet', 64, 224),
        ('maxvit_t', 224, 224),
        ('googlenet', 64, 224),
        ('inception_v3', 96, 299),
    ],
)
def test_torchvision_with_other_heads(tmp_path, name, size, own):
    helped = dict(init_weights=False) if name in ('googlenet', 'inception_v3') else {}
    network = torchvision_file(tmp_path, name, **helped)
    options = dict(device='cpu', architecture=f'torchvision/{name}', label_names=NAMES)
    teacher = Teacher.from_pretrained(tmp_path / 'a.pth', input_size=size, mean=0.5, std=0.5, **options)
    assert same(teacher, network, size) < 1e-5
    if name in ('googlenet', 'maxvit_t'):
        return
    with pytest.warns(UserWarning, match='nothing says'):
        usual = Teacher.from_pretrained(tmp_path / 'a.pth', **options)
    assert usual.input_size == own and float(usual.mean[0, 0]) == (
        0.5 if name == 'inception_v3' else float(np.float32(0.485))
    )


def test_densenet_under_its_published_names(tmp_path):
    old = lambda state: {re.sub(r'(denselayer\d+\.(norm|conv))([12])', r'\1.\3', k): v for k, v in state.items()}
    network = torchvision_file(tmp_path, 'densenet121', old)
    assert any('.norm.1.' in k for k in torch.load(tmp_path / 'a.pth'))
    options = dict(device='cpu', input_size=64, architecture='densenet121', label_names=NAMES, mean=0.5, std=0.5)
    assert same(Teacher.from_pretrained(tmp_path / 'a.pth', **options), network, 64) < 1e-5


def transformers_network(kind):
    transformers = pytest.importorskip('transformers')
    transformers.utils.logging.disable_progress_bar()
    vit = dict(num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8)
    name, config = {
        'vit': ('ViT', dict(hidden_size=32, **vit)),
        'convnext': ('ConvNext', dict(hidden_sizes=[8, 16, 16, 16], depths=[1] * 4)),
        'resnet': ('ResNet', dict(embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1] * 4)),
        'swin': (
            'Swin',
            dict(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4),
        ),
    }[kind]
    config = getattr(transformers, f'{name}Config')(**config, num_labels=3, id2label=dict(enumerate(NAMES)))
    torch.manual_seed(0)
    return getattr(transformers, f'{name}ForImageClassification')(config).eval()


@pytest.mark.parametrize('kind', ['vit', 'convnext', 'resnet', 'swin'])
@pytest.mark.parametrize('pickled', [False, True])
def test_transformers(tmp_path, monkeypatch, kind, pickled):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    network = transformers_network(kind)
    network.save_pretrained(tmp_path / 't')
    if pickled:
        torch.save(load_file(tmp_path / 't' / 'model.safetensors'), tmp_path / 't' / 'pytorch_model.bin')
        (tmp_path / 't' / 'model.safetensors').unlink()
    with pytest.raises(PSRError, match='mean and std'):
        Teacher.from_pretrained(tmp_path / 't', device='cpu')
    said = dict(image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4], size=dict(height=32, width=32))
    (tmp_path / 't' / 'preprocessor_config.json').write_text(json.dumps(said))
    teacher = Teacher.from_pretrained(tmp_path / 't', device='cpu')
    assert teacher.classes == NAMES and teacher.input_size == 32
    assert same(teacher, lambda x: network(x).logits) < 1e-6
    if kind == 'vit':
        larger = Teacher.from_pretrained(tmp_path / 't', device='cpu', input_size=64)
        assert same(larger, lambda x: network(x, interpolate_pos_encoding=True).logits, 64) < 1e-6


def test_transformers_ways_of_scaling(tmp_path):
    "Pixels of 0 to 255, with an offset, in the order blue, green, red: as its own image processors do it."
    transformers = pytest.importorskip('transformers')
    network = transformers_network('resnet')
    network.save_pretrained(tmp_path)
    x = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    for kind, said in (
        ('EfficientNetImageProcessor', dict(rescale_offset=True, rescale_factor=1 / 127.5)),
        ('ViTImageProcessor', dict(do_normalize=False)),
        ('ViTImageProcessor', dict(do_rescale=False, image_mean=[120.0] * 3, image_std=[60.0] * 3)),
    ):
        processor = getattr(transformers, kind)(**said, do_resize=False)
        processor.save_pretrained(tmp_path)
        file = tmp_path / 'preprocessor_config.json'
        file.write_text(json.dumps({**json.loads(file.read_text()), 'size': dict(height=32, width=32)}))
        want = network(processor(list(x), return_tensors='pt')['pixel_values'].float()).logits
        assert torch.allclose(Teacher.from_pretrained(tmp_path, device='cpu').logits(x / 255), want, atol=1e-4)


def test_positions_are_resampled_as_timm_does(tmp_path):
    torch.manual_seed(0)
    small = timm.create_model('test_vit', num_classes=3, img_size=32).eval()
    fixed = dict(fixed_input_size=True)
    folder = timm_folder(tmp_path / 't', small, architecture='test_vit', model_args=dict(img_size=32), cfg=fixed)
    assert same(Teacher.from_pretrained(folder, device='cpu'), small) < 1e-6
    theirs = timm.create_model(
        'test_vit',
        pretrained=True,
        pretrained_cfg_overlay=dict(file=str(folder / 'model.safetensors'), num_classes=3),
        num_classes=3,
        img_size=64,
    ).eval()
    assert same(Teacher.from_pretrained(folder, device='cpu', input_size=64), theirs, 64) < 1e-6
    with pytest.raises(PSRError, match='input_size|arguments'):
        Teacher.from_pretrained(folder, device='cpu', input_size=33)


def test_grey_networks(tmp_path):
    torch.manual_seed(0)
    grey = timm.create_model('test_resnet', num_classes=3, in_chans=1).eval()
    with pytest.raises(PSRError, match='mean of 1'):
        Teacher.from_pretrained(timm_folder(tmp_path / 'a', grey), device='cpu')
    equal = dict(mean=[0.5] * 3, std=[0.25] * 3)
    folder = timm_folder(tmp_path / 'b', grey)
    config = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps({**config, 'pretrained_cfg': {**config['pretrained_cfg'], **equal}}))
    teacher = Teacher.from_pretrained(folder, device='cpu')
    assert same(teacher, grey, channels=1) < 1e-6
    assert teacher.logits(torch.rand(1, 3, 32, 32)).shape == (1, 3)


@pytest.mark.parametrize(
    'change, say',
    [
        (dict(label_names=['truck', 'cat']), '3 names'),
        (dict(label_names=['truck', 'cat', 'cat']), 'cat twice'),
        (dict(label_names={'1': 'truck', '2': 'cat', '3': 'dog'}), 'numbered from 0'),
        (dict(architecture=None), 'an architecture'),
        (dict(architecture='resnet18'), 'missing'),
        (dict(num_classes=5, label_names=None), 'of another shape'),
        (dict(num_classes=0), 'without a head|unknown'),
        (dict(model_args=dict(width='wide')), 'arguments that'),
        (dict(cfg=dict(std=None)), 'mean and std'),
        (dict(cfg=dict(mean='grey')), 'a number for each channel'),
        (dict(cfg=dict(std=[0.1, 0.0, 0.1])), 'above 0'),
        (dict(cfg=dict(input_size=None)), 'size of the images'),
    ],
)
def test_what_does_not_fit_together_is_said(resnet, tmp_path, change, say):
    cfg = change.pop('cfg', {})
    folder = timm_folder(tmp_path / 't', resnet)
    config = json.loads((folder / 'config.json').read_text())
    config = {**config, **change, 'pretrained_cfg': {**config['pretrained_cfg'], **cfg}}
    (folder / 'config.json').write_text(json.dumps(config))
    with pytest.raises(PSRError, match=say):
        Teacher.from_pretrained(folder, device='cpu')


@pytest.mark.parametrize(
    'change, say',
    [
        (dict(cfg=dict(mean=[123.7, 116.3, 103.5], std=[58.4, 57.1, 57.4])), 'Divide by 255'),
        (dict(cfg=dict(mean=[float('nan')] * 3)), 'mean and std of images'),
        (dict(cfg=dict(input_size=[3, 10**6, 10**6])), '1 to 4096 pixels'),
        (dict(label_names=[['a'], ['b'], ['c']]), 'a text or a number as the name'),
        (dict(architecture='hf-hub:somebody/net'), "one of timm's architectures, found hf-hub:somebody/net"),
    ],
)
def test_a_configuration_that_cannot_be_meant(resnet, tmp_path, change, say):
    with pytest.raises(PSRError, match=say):
        Teacher.from_pretrained(timm_folder(tmp_path / 't', resnet, **change), device='cpu')


def test_other_weights_than_the_folders_are_not_fetched(resnet, tmp_path):
    said = dict(model_args=dict(pretrained=True, checkpoint_path='/etc/hostname'))
    assert same(Teacher.from_pretrained(timm_folder(tmp_path / 't', resnet, **said), device='cpu'), resnet) < 1e-6
    lone = timm.create_model('test_resnet', num_classes=1)
    with pytest.raises(PSRError, match='two at least'):
        Teacher.from_pretrained(timm_folder(tmp_path / 'l', lone, num_classes=1, label_names=['a']), device='cpu')


def test_names_are_asked_for_where_they_are_needed(resnet, tmp_path):
    folder = timm_folder(tmp_path / 't', resnet)
    config = json.loads((folder / 'config.json').read_text())
    del config['label_names']
    (folder / 'config.json').write_text(json.dumps(config))
    assert Teacher.from_pretrained(folder, device='cpu').classes == ['0', '1', '2']
    with pytest.raises(PSRError, match='names of its 3 outputs'):
        Teacher.from_pretrained(folder, classes=['cat', 'dog'], device='cpu')
    named = Teacher.from_pretrained(folder, ['cat', 'dog'], 'cpu', label_names={'truck': 0, 'cat': 1, 'dog': 2})
    assert named.outputs.tolist() == [1, 2]


def test_numbers_that_are_none(resnet, tmp_path):
    "In the weights, or from a network that has finite weights and no finite answer."
    folder = timm_folder(tmp_path / 't', resnet)
    state = {k: v.clone() for k, v in load_file(folder / 'model.safetensors').items()}  # the file is written over
    save_file({**state, 'fc.bias': state['fc.bias'] * float('nan')}, folder / 'model.safetensors')
    with pytest.raises(PSRError, match='NaN or infinity in 1'):
        Teacher.from_pretrained(folder, device='cpu')
    save_file({**state, 'fc.weight': state['fc.weight'] * 0 + 3e38}, folder / 'model.safetensors')
    with pytest.raises(PSRError, match='finite logits'):
        Teacher.from_pretrained(folder, device='cpu').predict(torch.rand(4, 3, 32, 32))


def test_a_text_model_of_transformers_is_no_teacher(tmp_path):
    (tmp_path / 'config.json').write_text(json.dumps(dict(model_type='bert', architectures=['BertModel'])))
    with pytest.raises(PSRError, match='ForImageClassification'):
        Teacher.from_pretrained(tmp_path)


HUB = """
import http.server, json, os, sys, tempfile, threading
from pathlib import Path
folder = Path(sys.argv[1])
asked = []

class Hub(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def answer(self, code, body=b'', **head):
        self.send_response(code)
        for k, v in head.items(): self.send_header(k.replace('_', '-'), v)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)
    def do_HEAD(self): self.do_GET()
    def do_GET(self):
        path = self.path.split('?')[0]
        for name in ('timm/test_resnet.r160_in1k', 'somebody/vit', 'somebody/xl', 'somebody/sd-vae'):
            home = folder / name
            files = sorted(f.relative_to(home).as_posix() for f in home.rglob('*') if f.is_file())
            if path.startswith(f'/api/models/{name}'):
                tree = [dict(type='file', path=f, size=(home / f).stat().st_size, oid='a' * 40) for f in files]
                about = dict(id=name, modelId=name, sha='0' * 40, siblings=[dict(rfilename=f) for f in files], tags=[])
                return self.answer(200, json.dumps(tree if '/tree/' in path else about).encode(), Content_Type='application/json')
            if path.startswith(f'/{name}/resolve/'):
                f = home / path.split('/resolve/')[1].split('/', 1)[1]
                if not f.is_file(): return self.answer(404, X_Error_Code='EntryNotFound')
                if self.command == 'GET': asked.append(f'{name}/{f.name}')
                return self.answer(200, f.read_bytes(), ETag=f'"{f.name}{f.stat().st_size}"', X_Repo_Commit='0' * 40)
        self.answer(200 if path == '/' else 404)

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ.update(HF_ENDPOINT=f'http://127.0.0.1:{server.server_port}', HF_HOME=tempfile.mkdtemp(), HF_HUB_OFFLINE='0',
                  HF_HUB_DISABLE_XET='1', HF_HUB_DISABLE_PROGRESS_BARS='1')
import torch
from psr_nb.core import PSRError
from psr_nb.data import ImageData
from psr_nb.teacher import Teacher
names = ('test_resnet.r160_in1k', 'timm/test_resnet.r160_in1k', 'hf-hub:timm/test_resnet.r160_in1k')
one, *others = [Teacher.from_pretrained(n, 'imagewoof', 'cpu') for n in names]
x = torch.rand(1, 3, 160, 160)
assert all(torch.equal(one.logits(x), t.logits(x)) for t in others)
assert Teacher.from_pretrained('somebody/vit', device='cpu', mean=0.5, std=0.5).classes == ['truck', 'cat', 'dog']
assert not any('.onnx' in a or a.endswith('.bin') for a in asked), asked
try: Teacher.from_pretrained('somebody/else')
except PSRError as e: assert 'somebody/else' in str(e), e
else: raise AssertionError('found what is not there')
from psr_nb.prior import Prior
try: Prior.from_pretrained('somebody/xl', device='cpu')
except PSRError as e: assert 'SDXL' in str(e), e
else: raise AssertionError('sampled as another kind')
assert not any(a.startswith('somebody/xl/') for a in asked), asked
from psr_nb.pipelines import load_autoencoder, vae_home
assert load_autoencoder(vae_home('somebody/sd-vae')).config.latent_channels == 4
assert not any(a.endswith('.bin') for a in asked), asked
print('all of them')
"""


@pytest.mark.slow
def test_ids_of_the_hub(tmp_path):
    "The listing comes first, and only what suffices is fetched. A server of this machine stands for the Hub."
    torch.manual_seed(0)
    repository = tmp_path / 'timm' / 'test_resnet.r160_in1k'
    save_for_hf(timm.create_model('test_resnet'), repository, safe_serialization='both')
    other = tmp_path / 'somebody' / 'vit'
    transformers_network('vit').save_pretrained(other)
    (other / 'model.onnx').write_bytes(b'large')
    (other / 'pytorch_model.bin').write_bytes(b'large')
    for name in ('unet', 'vae', 'text_encoder', 'text_encoder_2'):  # refused by what its listing says
        (tmp_path / 'somebody' / 'xl' / name).mkdir(parents=True)
        (tmp_path / 'somebody' / 'xl' / name / 'config.json').write_text('{}')
        (tmp_path / 'somebody' / 'xl' / name / 'model.safetensors').write_bytes(b'large')
    (tmp_path / 'somebody' / 'xl' / 'model_index.json').write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    small_vae().save_pretrained(tmp_path / 'somebody' / 'sd-vae')
    (tmp_path / 'somebody' / 'sd-vae' / 'diffusion_pytorch_model.bin').write_bytes(b'large')
    done = subprocess.run([sys.executable, '-c', HUB, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == 'all of them', done.stderr[-2000:]


def test_accuracy_goes_by_names(resnet, tmp_path):
    "The order of the data's classes does not matter; a class that the teacher does not know is no other class."
    teacher = Teacher.from_pretrained(timm_folder(tmp_path / 't', resnet), device='cpu')
    images = torch.randint(0, 256, (30, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    seen = teacher.predict(images)[0].argmax(1)
    known = ImageData(images, seen, NAMES, 'known')
    assert teacher.accuracy(known) == 1.0
    assert (
        teacher.accuracy(known.restrict(NAMES[::-1])) == teacher.accuracy(known.restrict(['dog', 'truck', 'cat'])) == 1
    )
    first = known.restrict([NAMES[int(seen[0])]])  # one of the teacher's classes; it answers among all three
    assert teacher.accuracy(first) == 1.0 and teacher.positions(first).tolist() == [int(seen[0])]
    for names in (['a', 'b', 'c'], ['truck', 'cat', 'horse']):
        with pytest.raises(PSRError, match='the classes of known: .*, found truck, cat, dog. Load it with classes='):
            teacher.accuracy(ImageData(images, seen, names, 'known'))


def test_positions_say_what_a_vit_was_trained_with(tmp_path):
    "Nobody wrote down its size: it is not built for another one, which would change its positions twice."
    torch.manual_seed(0)
    small = timm.create_model('test_vit', num_classes=3, img_size=32).eval()
    small.pos_embed.data.normal_()
    for i, fixed in enumerate((True, False)):
        cfg = dict(fixed_input_size=fixed)
        folder = timm_folder(tmp_path / f'{i}', small, architecture='test_vit', cfg=cfg)
        teacher = Teacher.from_pretrained(folder, device='cpu')
        assert teacher.input_size == 32 and same(teacher, small) < 1e-6
        assert torch.equal(teacher.model.pos_embed, small.pos_embed)
        teacher.save(tmp_path / 'kept')
        assert same(Teacher.from_pretrained(tmp_path / 'kept', device='cpu'), small) < 1e-6
    torch.save(small.state_dict(), tmp_path / 'vit.pth')
    options = dict(device='cpu', architecture='test_vit', mean=0.5, std=0.5)
    bare = Teacher.from_pretrained(tmp_path / 'vit.pth', **options)
    assert bare.input_size == 32 and same(bare, small) < 1e-6
    larger = Teacher.from_pretrained(tmp_path / 'vit.pth', input_size=64, **options)
    assert larger.input_size == 64 and larger.logits(torch.rand(1, 3, 64, 64)).isfinite().all()


@pytest.mark.parametrize('old', [False, True])
def test_a_vit_is_asked_at_the_size_it_was_built_for(tmp_path, old):
    "timm writes the architecture's own size into `pretrained_cfg`, and that of the network beside it, or nowhere."
    torch.manual_seed(0)
    small = timm.create_model('test_vit', num_classes=3, img_size=32).eval()
    small.pos_embed.data.normal_()
    save_for_hf(small, tmp_path / 't', model_config=dict(label_names=NAMES))
    config = json.loads((tmp_path / 't' / 'config.json').read_text())
    assert config['pretrained_cfg']['input_size'] == [3, 160, 160]
    if old:
        del config['model_args']
        (tmp_path / 't' / 'config.json').write_text(json.dumps(config))
    teacher = Teacher.from_pretrained(tmp_path / 't', device='cpu')
    assert teacher.input_size == 32 and same(teacher, small) < 1e-6
    assert Teacher.from_pretrained(tmp_path / 't', device='cpu', input_size=64).input_size == 64


@pytest.mark.parametrize('problem', ['regression', 'multi_label_classification', 'ranking'])
def test_outputs_that_are_no_classes(tmp_path, problem):
    pytest.importorskip('transformers')
    transformers_network('vit').save_pretrained(tmp_path)
    file = tmp_path / 'config.json'
    file.write_text(json.dumps({**json.loads(file.read_text()), 'problem_type': problem}))
    with pytest.raises(PSRError, match=f'one class for each image, found .*problem_type {problem}'):
        Teacher.from_pretrained(tmp_path, device='cpu', mean=0.5, std=0.5)
