"Weights from strangers: read as data, unwrapped, fitted both ways; the authors' DiT gives the authors' numbers."

import argparse
import json
import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from psr_nb.core import PSRError
from psr_nb.weights import as_safetensors, dit_from_authors, fit_weights, is_authors_dit, read_weights, weight_file

D = 32


def authors_dit(blocks=2, classes=10):
    "Random weights under the authors' names, with a grid of 4×4 patches of 2×2."
    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=g) * 0.2
    state = {'pos_embed': torch.zeros(1, 16, D), 'y_embedder.embedding_table.weight': draw(classes + 1, D)}
    layers = {
        'x_embedder.proj': (D, 4, 2, 2),
        't_embedder.mlp.0': (D, 256),
        't_embedder.mlp.2': (D, D),
        'final_layer.linear': (32, D),
        'final_layer.adaLN_modulation.1': (2 * D, D),
    }
    for i in range(blocks):
        for name, shape in {
            'attn.qkv': (3 * D, D),
            'attn.proj': (D, D),
            'mlp.fc1': (4 * D, D),
            'mlp.fc2': (D, 4 * D),
            'adaLN_modulation.1': (6 * D, D),
        }.items():
            layers[f'blocks.{i}.{name}'] = shape
    for name, shape in layers.items():
        state[f'{name}.weight'], state[f'{name}.bias'] = draw(*shape), draw(shape[0])
    return state


def authors_forward(s, x, t, y, positions, heads, gammas=False):
    "DiT's own computation, written out. Source: Peebles & Xie 2023, arXiv 2212.09748."
    linear = lambda name, v: F.linear(v, s[f'{name}.weight'], s[f'{name}.bias'])
    norm = lambda v: F.layer_norm(v, (D,), eps=1e-6)
    frequencies = torch.exp(-math.log(10000) * torch.arange(128) / 128)
    angles = t[:, None] * frequencies
    c = linear('t_embedder.mlp.2', F.silu(linear('t_embedder.mlp.0', torch.cat([angles.cos(), angles.sin()], 1))))
    c = F.silu(c + s['y_embedder.embedding_table.weight'][y])
    h = F.conv2d(x, s['x_embedder.proj.weight'], s['x_embedder.proj.bias'], stride=2).flatten(2).mT + positions
    for i in range(2):
        b = f'blocks.{i}'
        one = lambda name, b=b: s.get(f'{b}.{name}', torch.ones(1)) if gammas else torch.ones(1)
        shift, scale, gate, shift2, scale2, gate2 = (
            v[:, None] for v in linear(f'{b}.adaLN_modulation.1', c).chunk(6, 1)
        )
        qkv = linear(f'{b}.attn.qkv', norm(h) * (1 + scale) + shift) * one('attn.gamma1')
        q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        out = linear(f'{b}.attn.proj', F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)) * one(
            'attn.gamma2'
        )
        h = h + gate * one('gamma1') * out
        out = linear(
            f'{b}.mlp.fc2', F.gelu(linear(f'{b}.mlp.fc1', norm(h) * (1 + scale2) + shift2), approximate='tanh')
        )
        h = h + gate2 * one('gamma2') * out
    shift, scale = (v[:, None] for v in linear('final_layer.adaLN_modulation.1', c).chunk(2, 1))
    h = linear('final_layer.linear', norm(h) * (1 + scale) + shift)
    return torch.einsum('nhwpqc->nchpwq', h.unflatten(1, (4, 4)).unflatten(-1, (2, 2, 8))).reshape(len(x), 8, 8, 8)


@pytest.mark.slow
@pytest.mark.parametrize('gammas', [False, True])
def test_the_authors_dit_gives_the_authors_numbers(gammas):
    from diffusers import DiTTransformer2DModel

    state = authors_dit()
    if gammas:
        g = torch.Generator().manual_seed(1)
        for i in range(2):
            for name, n in (('gamma1', D), ('gamma2', D), ('attn.gamma1', 3 * D), ('attn.gamma2', D)):
                state[f'blocks.{i}.{name}'] = 1 + 0.3 * torch.randn(n, generator=g)
    assert is_authors_dit(state)
    config, ours = dit_from_authors(state)
    model = DiTTransformer2DModel(**config).eval()
    fit_weights(model, ours, 'converted', may_have=('pos_embed.pos_embed',))
    for block in model.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = 0
    x, t, y = (
        torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(2)),
        torch.tensor([0, 500, 999]),
        torch.tensor([1, 5, 10]),
    )
    with torch.no_grad():
        got = model(x, timestep=t, class_labels=y).sample
        want = authors_forward(state, x, t, y, model.pos_embed.pos_embed, config['num_attention_heads'], gammas)
    assert (got - want).abs().max() < 1e-5 * want.abs().max()


def test_another_architecture_under_dit_names_is_refused():
    with pytest.raises(PSRError, match='blocks.0.cross'):
        dit_from_authors({**authors_dit(), 'blocks.0.cross.weight': torch.zeros(1)})


@pytest.mark.parametrize(
    'names, chosen',
    [
        (('a.safetensors', 'b.bin'), None),
        (('diffusion_pytorch_model.bin', 'diffusion_pytorch_model.safetensors'), 'diffusion_pytorch_model.safetensors'),
        (
            ('diffusion_pytorch_model.fp16.safetensors', 'diffusion_pytorch_model.safetensors'),
            'diffusion_pytorch_model.safetensors',
        ),
        (('diffusion_pytorch_model.fp16.safetensors',), 'diffusion_pytorch_model.fp16.safetensors'),
        (('model.bin', 'pytorch_model.bin'), 'model.bin'),
        (('pytorch_model.bin.index.json', 'pytorch_model-00001-of-00002.bin'), 'pytorch_model.bin.index.json'),
        (('last.ckpt',), 'last.ckpt'),
        ((), None),
    ],
)
def test_which_file(tmp_path, names, chosen):
    for n in names:
        (tmp_path / n).touch()
    if chosen is None:
        with pytest.raises(PSRError, match='weights'):
            weight_file(tmp_path)
    else:
        assert weight_file(tmp_path).name == chosen


def test_shards_are_read_whole_or_refused(tmp_path):
    a, b = {'x': torch.ones(2)}, {'y': torch.zeros(2)}
    save_file(a, tmp_path / 'model-00001-of-00002.safetensors')
    save_file(b, tmp_path / 'model-00002-of-00002.safetensors')
    index = tmp_path / 'model.safetensors.index.json'
    index.write_text(
        json.dumps(dict(weight_map=dict(x='model-00001-of-00002.safetensors', y='model-00002-of-00002.safetensors')))
    )
    assert set(read_weights(weight_file(tmp_path))) == {'x', 'y'}
    (tmp_path / 'model-00002-of-00002.safetensors').unlink()
    with pytest.raises(PSRError, match='2 shards'):
        read_weights(index)
    index.write_text(json.dumps(dict(weight_map=dict(x='../elsewhere.safetensors'))))
    with pytest.raises(PSRError, match='beside it'):
        read_weights(index)
    index.write_text('{"weight_map": [1]}')
    with pytest.raises(PSRError, match='weight_map'):
        read_weights(index)


def test_what_is_no_weights_file_is_refused(tmp_path):
    bad = dict(
        empty=b'',
        pointer=b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n',
        torn=b'\x08\x00\x00\x00\x00\x00\x00\x00{"a":1}',
    )
    for name, data in bad.items():
        for ending in ('.bin', '.safetensors'):
            (tmp_path / f'{name}{ending}').write_bytes(data)
            with pytest.raises(PSRError, match=name):
                read_weights(tmp_path / f'{name}{ending}')
    torch.save([torch.ones(1)], tmp_path / 'list.pt')
    torch.save({'epoch': 3, 'args': argparse.Namespace(lr=1)}, tmp_path / 'none.pt')
    save_file({'a': torch.tensor([float('inf')])}, tmp_path / 'inf.safetensors')
    for name in ('list.pt', 'none.pt', 'inf.safetensors'):
        with pytest.raises(PSRError, match=name):
            read_weights(tmp_path / name)


def test_a_pickle_is_converted_once(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    torch.save({'model': {'module.w': torch.arange(3.0)}}, tmp_path / 'a.pt')
    folder = as_safetensors(tmp_path / 'a.pt')
    before = (folder / 'diffusion_pytorch_model.safetensors').stat().st_mtime_ns
    assert as_safetensors(tmp_path / 'a.pt') == folder
    assert (folder / 'diffusion_pytorch_model.safetensors').stat().st_mtime_ns == before
    assert torch.equal(read_weights(weight_file(folder))['w'], torch.arange(3.0))


def test_what_was_converted_is_known_by_all_its_content(tmp_path, monkeypatch):
    "A last shard that differs, or another configuration beside the same weights, is another conversion."
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    names = [f'model-0000{i}-of-00006.bin' for i in range(6)]
    for i, name in enumerate(names):
        torch.save({f'w{i}': torch.tensor([float(i)])}, tmp_path / name)
    index = tmp_path / 'model.bin.index.json'
    index.write_text(json.dumps(dict(weight_map={f'w{i}': name for i, name in enumerate(names)})))
    before = as_safetensors(index)
    torch.save({'w5': torch.tensor([-1.0])}, tmp_path / names[5])
    assert read_weights(weight_file(as_safetensors(index)))['w5'].item() == -1
    assert read_weights(weight_file(before))['w5'].item() == 5
    config = tmp_path / 'config.json'
    for text in ('{"a": 1}', '{"a": 2}'):
        config.write_text(text)
        assert (as_safetensors(tmp_path / names[0], config=config) / 'config.json').read_text() == text
