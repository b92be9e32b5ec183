"Folders of models as careless and hostile users give them: a sentence, and never samples of something else."

import json
import os

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_kinds import changed, small_dit, small_vae

from psr_nb.classifiers import _preprocessing, transformers_folder
from psr_nb.core import PSRError, as_path
from psr_nb.kinds import check_pipeline, check_scheduler
from psr_nb.prior import Prior
from psr_nb.teacher import Teacher
from psr_nb.weights import weight_parts

WEIGHTS = 'transformer/diffusion_pytorch_model.safetensors'


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('models') / 'p'
    diffusers.DiTPipeline(small_dit(10), small_vae(), diffusers.DDIMScheduler()).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return shutil.copytree(saved, tmp_path / 'p')


def refused(folder, say):
    with pytest.raises(PSRError, match=say):
        Prior.from_pretrained(folder, device='cpu')


@pytest.mark.parametrize('prefix', ['_orig_mod.', 'module._orig_mod.'])
def test_names_that_a_wrapper_left_in_safetensors(folder, prefix):
    want = Prior.from_pretrained(folder, device='cpu').sample([0], num_inference_steps=1)
    save_file({prefix + k: v for k, v in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)
    assert torch.equal(Prior.from_pretrained(folder, device='cpu').sample([0], num_inference_steps=1), want)


def test_what_is_no_file_of_weights(folder):
    file = folder / WEIGHTS
    file.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:0\n')
    refused(folder, 'git lfs pull')
    file.write_bytes(b'')
    refused(folder, 'an empty file')
    file.unlink()
    os.mkfifo(file)
    refused(folder, 'no regular file')
    index = folder / f'{WEIGHTS}.index.json'
    index.write_text('[]')
    with pytest.raises(PSRError, match='weight_map'):
        weight_parts(index)


@pytest.mark.parametrize(
    'file, entries, say',
    [
        ('vae/config.json', dict(latent_channels=8), '8 in_channels, as many as the latents'),
        ('vae/config.json', dict(norm_num_groups=-1), 'a whole number from 1 under norm_num_groups, found -1'),
        ('vae/config.json', dict(norm_num_groups=True), 'a whole number from 1 under norm_num_groups, found True'),
        ('vae/config.json', dict(block_out_channels=3), 'a list under block_out_channels, found 3'),
        ('vae/config.json', dict(scaling_factor=None), 'a positive number under scaling_factor, found None'),
        ('transformer/config.json', dict(sample_size=-1), 'a whole number from 1 under sample_size, found -1'),
        ('transformer/config.json', dict(out_channels=6), 'out_channels for 4 in_channels, found 6'),
        ('model_index.json', dict(_psr_defaults=1.5), 'objects under _psr_defaults'),
        ('model_index.json', dict(_psr_defaults=dict(guidence_scale=4.0)), "Did you mean 'guidance_scale'"),
        ('model_index.json', dict(_psr_defaults=dict(scheduler='pndm')), "scheduler in model_index.json .*'pndm'"),
        ('model_index.json', dict(_psr_refinement='x'), 'objects under _psr_defaults and _psr_refinement'),
        ('model_index.json', dict(_class_name='StableDiffusionInpaintPipeline'), 'inpainting'),
    ],
)
def test_entries_that_no_model_has(folder, file, entries, say):
    refused(changed(folder, file, **entries), say)


@pytest.mark.parametrize(
    'config, say',
    [
        (dict(_class_name='DDIMInverseScheduler'), 'another kind'),
        (dict(_class_name='DDPMWuerstchenScheduler'), 'another kind'),
        (dict(_class_name='DDIMScheduler', rescale_betas_zero_snr=True), 'nothing of the image is left'),
        (dict(_class_name='DPMSolverMultistepScheduler', use_flow_sigmas=True, prediction_type='epsilon'), 'a flow'),
    ],
)
def test_more_schedules_that_are_refused(config, say):
    with pytest.raises(PSRError, match=say):
        check_scheduler(config, 'scheduler')


@pytest.mark.parametrize('name', ['ConsistencyModelPipeline', 'LatentConsistencyModelPipeline', 'KarrasVePipeline'])
def test_pipelines_that_do_something_else(name):
    with pytest.raises(PSRError, match='Sampled as one of these'):
        check_pipeline(name, 'model_index.json')


@pytest.mark.parametrize(
    'options',
    [dict(num_inference_steps=n) for n in (0, -1, 1001, 'x', True, 1.5)]
    + [dict(guidance_scale=g) for g in (float('nan'), 'x')]
    + [dict(guidance_interval=i) for i in (3, (0.1,), ('a', 'b'))],
)
def test_settings_with_which_nothing_can_be_sampled(saved, options):
    prior = Prior.from_pretrained(saved, device='cpu')
    with pytest.raises(PSRError, match=f'argument {next(iter(options))}'):
        prior.sample([0], **{'num_inference_steps': 2, **options})


def test_labels_that_are_none(saved):
    prior = Prior.from_pretrained(saved, device='cpu')
    for labels in ([], ['0'], [0.5], [10], [-1]):
        with pytest.raises(PSRError, match='argument labels'):
            prior.sample(labels, num_inference_steps=1)


# ---- one thing in place of another


@pytest.mark.parametrize(
    ('mark', 'say'),
    [
        ('pool.json', 'a pool'),
        ('provenance.json', 'a distilled set'),
        ('adapter_config.json', r'an adapter \(LoRA\)'),
        ('model.onnx', r'weights of ONNX \(model.onnx\)'),
        ('model.gguf', 'weights of GGUF'),
        ('flax_model.msgpack', 'weights of Flax'),
        ('tf_model.h5', 'weights of TensorFlow'),
    ],
)
def test_what_is_given_as_a_model(tmp_path, mark, say):
    (tmp_path / mark).write_text('{}')
    for read in (Prior.from_pretrained, Teacher.from_pretrained):
        with pytest.raises(PSRError, match=f'found {say}'):
            read(tmp_path, device='cpu')
        if '.' in say or 'weights' in say:
            with pytest.raises(PSRError, match=f'expected weights of PyTorch, found {say}'):
                read(tmp_path / mark, device='cpu')


def test_a_prior_is_no_teacher(saved, resnet):
    with pytest.raises(PSRError, match='found a prior'):
        Teacher.from_pretrained(saved, device='cpu')
    with pytest.raises(PSRError, match='found a single model of another library'):
        Prior.from_pretrained(resnet, device='cpu')


def test_homes_are_spelt_out(saved, resnet, monkeypatch):
    for folder, read in ((saved, Prior.from_pretrained), (resnet, Teacher.from_pretrained)):
        monkeypatch.setenv('HOME', str(folder.parent))
        assert read(f'~/{folder.name}', device='cpu')
    assert as_path('~/pool') == resnet.parent / 'pool'


# ---- teachers


@pytest.fixture(scope='module')
def resnet(tmp_path_factory):
    import timm

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('teacher')
    model = timm.create_model('test_resnet', num_classes=3)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / 'model.safetensors')
    about = dict(mean=[0.5] * 3, std=[0.5] * 3, input_size=[3, 32, 32])
    config = dict(architecture='test_resnet', num_classes=3, pretrained_cfg=about)
    (folder / 'config.json').write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    'options, say',
    [
        *((dict(input_size=s), 'argument input_size') for s in (0, -1, 'x', 1.5, True)),
        (dict(classes=[]), 'at least one class'),
        (dict(device='nonsense'), 'argument device.*nonsense'),
        (dict(label_names=['é', 'e\u0301', 'b']), 'é twice'),
        (dict(std=[]), None),
    ],
)
def test_what_no_teacher_is_told(resnet, options, say):
    if say is None:  # nothing given: what the folder says
        assert Teacher.from_pretrained(resnet, device='cpu', **options).std.flatten().tolist() == [0.5] * 3
        return
    with pytest.raises(PSRError, match=say):
        Teacher.from_pretrained(resnet, **{'device': 'cpu', **options})


@pytest.mark.parametrize('name, say', [('', 'an empty text'), ('x' * 5000, 'no such name'), ('nonsense', 'names')])
def test_names_of_no_teacher(name, say):
    with pytest.raises(PSRError, match=say) as e:
        Teacher.from_pretrained(name, device='cpu')
    assert len(str(e.value)) < 600  # not all of timm's thousand


def test_configurations_of_transformers_of_another_type(tmp_path):
    config = dict(model_type='vit', architectures=3)
    (tmp_path / 'config.json').write_text(json.dumps(config))
    with pytest.raises(PSRError, match='a list of names under architectures'):
        transformers_folder(tmp_path)
    for more, say in (
        (dict(problem_type='multi_label_classification'), 'several labels per image'),
        (dict(id2label={'0': 'a', '1': 'b'}, label2id={'a': 1, 'b': 0}), 'a under 0 and 1'),
    ):
        (tmp_path / 'config.json').write_text(json.dumps(dict(model_type='vit', **more)))
        with pytest.raises(PSRError, match=say):
            transformers_folder(tmp_path)
    for said, say in (
        ('[]', 'an object'),
        ('{"rescale_factor": 0}', 'rescale_factor'),
        ('{"rescale_factor": "x"}', "'x'"),
    ):
        (tmp_path / 'preprocessor_config.json').write_text(said)
        with pytest.raises(PSRError, match=say):
            _preprocessing(tmp_path, 32)


def retold(folder, to, **changes):
    "The same classifier with another config.json."
    import shutil

    shutil.copytree(folder, to)
    config = json.loads((to / 'config.json').read_text())
    (to / 'config.json').write_text(json.dumps(config | changes))
    return to


def test_images_that_are_no_squares_are_refused(resnet, tmp_path):
    about = dict(mean=[0.5] * 3, std=[0.5] * 3, input_size=[3, 32, 64])
    wide = retold(resnet, tmp_path / 'wide', pretrained_cfg=about)
    with pytest.raises(PSRError, match=r'square images, found input_size \[3, 32, 64\]'):
        Teacher.from_pretrained(wide, device='cpu')
    assert Teacher.from_pretrained(wide, device='cpu', input_size=48).input_size == 48


@pytest.mark.parametrize(
    'names', [dict(class_to_idx={'10': 2, '0': 0, '1': 1}), dict(id2label={0: '0', 1: '1', 2: '10'})]
)
def test_names_under_the_words_of_other_scripts(resnet, tmp_path, names):
    assert Teacher.from_pretrained(retold(resnet, tmp_path / 'a', **names), device='cpu').classes == ['0', '1', '10']
    file = tmp_path / 'checkpoint.pth'
    torch.save(dict(arch='test_resnet', state_dict=load_file(resnet / 'model.safetensors'), **names), file)
    assert Teacher.from_pretrained(file, device='cpu').classes == ['0', '1', '10']


def test_outputs_without_names_are_taken_by_number_and_it_is_said(tmp_path):
    import timm

    state = timm.create_model('test_resnet', num_classes=12).state_dict()
    torch.save(dict(arch='test_resnet', state_dict=state), tmp_path / 'a.pth')
    with pytest.warns(UserWarning, match='12 outputs have no names, output 2 is taken for class 2'):
        Teacher.from_pretrained(tmp_path / 'a.pth', classes=[str(i) for i in range(12)], device='cpu')


def test_a_grey_teacher_sees_colours_as_grey_images_are_read(tmp_path):
    import timm

    model = timm.create_model('test_resnet', num_classes=3, in_chans=1).eval()
    torch.save(dict(arch='test_resnet', state_dict=model.state_dict()), tmp_path / 'a.pth')
    teacher = Teacher.from_pretrained(tmp_path / 'a.pth', mean=[0.5], std=[0.5], input_size=32, device='cpu')
    red = torch.zeros(1, 3, 32, 32)
    red[:, 0] = 1
    assert torch.allclose(teacher.prepare(red), torch.full((1, 1, 32, 32), (0.299 - 0.5) / 0.5), atol=1e-6)
    with pytest.raises(PSRError, match='1 channels, found 4'):
        teacher.prepare(torch.zeros(1, 4, 32, 32))


def lone_images(classes, seed, n=3):
    from psr_nb.images import ImageData

    images = torch.randint(0, 256, (n * len(classes), 3, 16, 16), generator=torch.Generator().manual_seed(seed))
    return ImageData(images.to(torch.uint8), torch.arange(len(classes)).repeat_interleave(n), list(classes), 'mine')


@pytest.mark.parametrize('classes', [['b', 'a', 'c'], ['a', 'b', 'c', 'd'], ['a', 'b']])
@pytest.mark.parametrize('protocol', ['quick', 'sre2l'])
def test_judges_of_other_classes_are_refused(classes, protocol):
    import timm

    from psr_nb.evaluate import evaluate

    network = timm.create_model('test_resnet', num_classes=len(classes))
    teacher = Teacher(network, 'theirs', (0.5,) * 3, (0.5,) * 3, 32, classes)
    own, test = lone_images('abc', 0), lone_images('abc', 1)
    how = dict(protocol=protocol, seeds=1, epochs=1, progress=False, device='cpu', labels='soft')
    with pytest.raises(
        PSRError, match='teacher theirs: expected the classes of the test images in their order: a, b, c'
    ):
        evaluate(own, test, teacher=teacher, **how)
    with pytest.raises(PSRError, match='validation images mine: expected the classes of the test images'):
        evaluate(own, test, validation=lone_images(classes, 2), **how)


def test_mosaics_are_of_what_the_teacher_calls_by_the_class():
    import timm

    from psr_nb.rivals import confidence_mosaics

    torch.manual_seed(0)
    real = lone_images('ab', 0, 8)
    network = timm.create_model('test_resnet', num_classes=3).eval()
    teacher = Teacher(network, 'theirs', (0.5,) * 3, (0.5,) * 3, 32, ['b', 'x', 'a'])
    same = Teacher(network, 'theirs', (0.5,) * 3, (0.5,) * 3, 32, ['a', 'x', 'b'], [2, 1, 0])
    assert torch.equal(confidence_mosaics(real, 1, teacher).images, confidence_mosaics(real, 1, same).images)
