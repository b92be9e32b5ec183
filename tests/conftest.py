"""What the tests share. What takes long to make is made once a process, and whoever changes it gets a copy.

No test depends on another: they pass one by one and in any order (`pytest -p randomly`).
"""

import os
import shutil
from pathlib import Path

# Two tests run side by side on two cores, each with one thread, and so do the commands that they start.
os.environ.setdefault('OMP_NUM_THREADS', '1')

import pytest

CLASSES = ['shirt', 'boot', 'bag & <b>more</b>']
expected = os.environ.get('CI', '').lower() not in ('', '0', 'false')  # where a missing browser is a fault


# The files that take longest, in that order: begun first, they leave no worker waiting for another at the end.
LONGEST = (
    'explore engines tries pool kills bench tutorials guides natural cli own_images determinism '
    'demo readme distill worth robustness'
).split()


def pytest_collection_modifyitems(items):
    "Longest first. With `--dist loadfile` a file stays with one worker, for what its tests share."
    rank = {f'test_{name}': i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))  # within a file the order stays


# ---- a prior, teachers and a pool that are as small as they can be


@pytest.fixture(scope='session')
def tiny_prior(tmp_path_factory):
    "A DiTPipeline folder with a very small transformer and autoencoder of random weights, for 32-pixel grey images."
    import diffusers
    import torch

    from psr_nb.core import to_json

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('tiny prior')
    transformer = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=3,
        norm_elementwise_affine=False,
    )
    for p in transformer.parameters():
        torch.nn.init.normal_(p, std=0.1)  # adaLN-Zero would start as the identity
    transformer.save_pretrained(folder / 'transformer')
    diffusers.AutoencoderTiny(
        in_channels=1,
        out_channels=1,
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
    ).save_pretrained(folder / 'vae')
    diffusers.DDIMScheduler(clip_sample=False).save_pretrained(folder / 'scheduler')
    (folder / 'model_index.json').write_text(
        to_json(
            {
                '_class_name': 'DiTPipeline',
                'transformer': ['diffusers', 'DiTTransformer2DModel'],
                'vae': ['diffusers', 'AutoencoderTiny'],
                'scheduler': ['diffusers', 'DDIMScheduler'],
                'id2label': {str(i): c for i, c in enumerate(CLASSES)},
                '_psr_defaults': {
                    'num_inference_steps': 4,
                    'guidance_scale': 2.0,
                    'guidance_interval': [0.0, 1.0],
                    'scheduler': 'dpm',
                },
            }
        )
    )
    return folder


def tiny_teacher(name, classes=CLASSES):
    "A teacher for 32-pixel grey images, as small as it can be, of the weights that torch draws next."
    import timm

    from psr_nb.teacher import Teacher

    network = timm.create_model('convnet3', width=4, in_chans=1, num_classes=len(classes))
    return Teacher(network, name, (0.5,), (0.5,), 32, classes).to('cpu')


def load_tiny(folder):
    "The tiny prior and two tiny teachers; in a child process too."
    import torch

    from psr_nb.prior import Prior

    torch.set_num_threads(1)
    torch.manual_seed(1)
    teachers = [tiny_teacher(name) for name in 'ab']
    return Prior.from_pretrained(folder, device='cpu', dtype=torch.float32), teachers


@pytest.fixture(scope='session')
def tiny_models(tiny_prior):
    return load_tiny(tiny_prior)


@pytest.fixture(scope='session')
def tiny_pool(tiny_models, tmp_path_factory):
    "A pool of 50 candidates per class that nothing ever happens to; tests that change it take `tiny_copy`."
    from psr_nb.pool import Pool

    prior, teachers = tiny_models
    path = tmp_path_factory.mktemp('tiny') / 'pool'
    return Pool.sample(prior, teachers, n_per_class=50, path=path, shard_size=10, progress=False)


@pytest.fixture
def tiny_copy(tiny_pool, tmp_path):
    "The folder of a copy of the tiny pool."
    return Path(shutil.copytree(tiny_pool.path, tmp_path / 'pool'))


# ---- what comes with the package


@pytest.fixture(scope='session')
def fashion_mini():
    "The bundled real images, for training."
    from psr_nb.data import load_data

    return load_data('fashion-mini')


@pytest.fixture(scope='session')
def few_images(tmp_path_factory):
    """A folder with 24 of the bundled images of each class for training and 20 for testing, in the form of a data set.

    A student takes longer to be tested on the 2,000 bundled test images than to be trained for some epochs."""
    import io

    import pyarrow
    import pyarrow.parquet as pq

    from psr_nb.core import assets
    from psr_nb.data import load_data
    from psr_nb.pictures import to_pil

    folder = tmp_path_factory.mktemp('few') / 'fashion'
    folder.mkdir()
    for split, n in (('train', 24), ('test', 20)):
        some, rows = load_data('fashion-mini', split).per_class(n), []
        for image, label in zip(some.images, some.labels.tolist()):
            to_pil(image).save(png := io.BytesIO(), 'PNG')
            rows.append(dict(image=dict(bytes=png.getvalue(), path=None), label=label))
        schema = pq.read_schema(assets() / 'fashion' / 'data' / f'{split}.parquet')  # with the names of the classes
        pq.write_table(pyarrow.Table.from_pylist(rows, schema), folder / f'{split}.parquet')
    return folder


@pytest.fixture(scope='session')
def fashion_prior():
    from psr_nb.prior import Prior

    return Prior.from_pretrained('fashion', device='cpu')


@pytest.fixture(scope='session')
def fashion_teachers():
    "The three bundled teachers, by letter."
    from psr_nb.teacher import Teacher

    return {name: Teacher.from_pretrained(f'fashion/{name}', device='cpu') for name in 'abc'}


# ---- a browser


@pytest.fixture(scope='module')
def browser():
    "Chromium. Without one the test fails where CI=true, and is skipped elsewhere."
    from playwright.sync_api import sync_playwright

    names = ('chromium', 'chromium-browser', 'google-chrome')
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        (pytest.fail if expected else pytest.skip)('no Chromium on this machine: apt-get install chromium')
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=executable, args=['--no-sandbox'])
        yield browser
        browser.close()
