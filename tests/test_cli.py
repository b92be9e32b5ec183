"The command line as a user meets it: in a process of its own."

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import PSR, here, worked, worked_here

from psr_nb.core import PSRError

COMMANDS = (
    'demo',
    'data',
    'distill',
    'pool',
    'worth',
    'select',
    'refine',
    'export',
    'evaluate',
    'robustness',
    'train-teacher',
    'train-prior',
    'explore',
)
COLUMNS = {
    'method',
    'dataset',
    'ipc',
    'protocol',
    'student',
    'labels',
    'seed',
    'accuracy_best',
    'accuracy_last',
    'seconds',
}


def test_help():
    "All commands are listed, and nothing heavy is loaded for it."
    text = worked('--help', alone=True).stdout
    for name in COMMANDS:
        assert f'\n  {name} ' in text
    loaded = subprocess.run(
        [sys.executable, '-c', 'import sys, psr_nb.cli; print(*sys.modules)'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {'torch', 'numpy', 'diffusers', 'timm', 'pandas', 'plotly', 'umap', 'rich'} & set(loaded)


@pytest.mark.parametrize('command', COMMANDS)
def test_help_of_each_command(command):
    text = worked_here(command, '--help').stdout
    assert 'Usage: psr ' + command in text and '--' in text


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='Linux has a device that is always full')
def test_a_full_disk_under_what_is_printed_is_a_sentence(tiny_copy, tmp_path):
    with open('/dev/full', 'w') as full:
        words = ['select', str(tiny_copy), '--ipc', '2', '--out', str(tmp_path / 'chosen.json')]
        done = subprocess.run([*PSR, *words], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'psr: what is printed, or a file: expected' in done.stderr and 'No space left' in done.stderr


def test_data_report(tmp_path):
    from PIL import Image

    for i, name in enumerate(('Training/cat', 'Training/dog', 'Testing/cat', 'Testing/dog')):
        (tmp_path / name).mkdir(parents=True)
        Image.new('RGB', (20, 20), (60 * i, 9, 9)).save(tmp_path / name / 'a.tif')
    Image.new('RGB', (20, 20), (0, 9, 9)).save(tmp_path / 'Testing' / 'dog' / 'b.png')
    said = here('data', tmp_path).stdout
    assert '2: cat, dog' in said and '1 images are in two splits' in said
    refused = here('data', tmp_path / 'nowhere')
    assert refused.returncode != 0 and 'nothing there' in refused.stderr + refused.stdout


def test_console_script_is_declared():
    from importlib.metadata import entry_points

    assert [e.value for e in entry_points(group='console_scripts', name='psr')] == ['psr_nb.cli:app']


def pickled(folder: Path) -> Path:
    folder.mkdir()
    (folder / 'config.json').write_text(
        json.dumps({'architecture': 'resnet18', 'num_classes': 10, 'label_names': ['a']})
    )
    (folder / 'pytorch_model.bin').write_bytes(b'\x80\x04.')
    return folder


BAD = {  # what -> (arguments after `psr`, given a folder; words that the message must have)
    'unknown data set': (lambda d: ['distill', '--data', 'fashon', '--out', d / 'x'], ["Did you mean 'fashion'"]),
    'unknown teacher': (
        lambda d: ['distill', '--teacher', 'fashion/aa', '--out', d / 'x'],
        ["Did you mean 'fashion/a'"],
    ),
    'unknown prior': (lambda d: ['distill', '--prior', 'fashoin', '--out', d / 'x'], ["Did you mean 'fashion'"]),
    'unknown map': (lambda d: ['distill', '--map', 'umpa', '--out', d / 'x'], ["Did you mean 'umap'"]),
    'unknown selector': (lambda d: ['distill', '--method', 'hreding', '--out', d / 'x'], ["Did you mean 'herding'"]),
    'ipc beyond the pool': (
        lambda d: ['distill', '--ipc', 60, '--n-per-class', 50, '--out', d / 'x'],
        ['at most 50', 'found 60', '--n-per-class 60'],
    ),
    'pickled teacher': (
        lambda d: ['distill', '--teacher', pickled(d / 'pickled'), '--out', d / 'x'],
        ['pytorch_model.bin', 'pickle'],
    ),
    'pickled prior': (lambda d: ['pool', '--prior', pickled(d / 'pickled'), '--out', d / 'x'], ['model_index.json']),
    'output below a file': (
        lambda d: [(d / 'file').write_text(''), 'distill', '--out', d / 'file' / 'x'][1:],
        ['a file is in the way'],
    ),
    'output is something else': (
        lambda d: [(d / 'file').write_text(''), 'distill', '--out', d][1:],
        ['a folder with', 'file', 'Choose another'],
    ),
    "somebody else's teacher": (
        lambda d: ['train-teacher', '--data', 'fashion-mini', '--out', pickled(d / 'theirs')],
        ['training.json to replace', 'Choose another'],
    ),
    "somebody else's prior": (
        lambda d: ['train-prior', '--data', 'fashion-mini', '--out', pickled(d / 'theirs')],
        ['training.json to replace', 'Choose another'],
    ),
    'no such pool': (lambda d: ['select', d / 'pool'], ['pool.json', 'psr pool']),
    'no such set': (lambda d: ['evaluate', d / 'set'], ['set', 'psr distill']),
    'export format': (
        lambda d: ['export', d / 'set', '--format', 'parqet', '--out', d / 'x'],
        ["Did you mean 'parquet'"],
    ),
}


@pytest.mark.parametrize(
    'words, say',
    [
        (['pool', '--class', '', '--out', 'x'], '--class: expected a value, found an empty text'),
        (['select', 'pool', '--out='], '--out: expected a value, found an empty text'),
        (['explore', ' '], 'an argument: expected a value, found an empty text'),
        (['select', 'pool', '--holdout', 0.2], 'option --holdout: expected --data too'),
        (['score', 'pool', '--label-column', 'q'], 'option --label-column: expected --data too'),
        (['select', 'pool', '--student', 'convnet3'], 'option --student: expected --by-students too'),
        (['export', 'set', '--out', 'x', '--temperature', 2], 'option --temperature: expected --teacher too'),
        (
            ['pool', '--teacher', 'none', '--teacher', 'fashion/a', '--out', 'x'],
            'option --teacher: expected none alone',
        ),
        (['pool', '--prior', 'fashion', '--revision', 'main', '--out', 'x'], 'option --revision: expected the id'),
        (['distill', '--no-refine', '--steps', 3, '--out', 'x'], 'option --steps: expected no --no-refine'),
        (['distill', '--no-refine', '--images-per-class', 3, '--out', 'x'], 'option --images-per-class: expected no'),
        (['distill', '--images-per-class', 0, '--out', 'x'], '--images-per-class'),
        (['evaluate', 'x', '--students', ','], 'option --students: expected at least one name'),
        (['evaluate', 'x', '--baseline', ','], 'option --baseline: expected at least one name'),
        (['evaluate', 'x', '--classes', ', ,'], 'option --classes: expected at least one name'),
        (['score', 'x', '--score', ','], 'option --score: expected at least one name'),
        (['pool', '--class', ',', '--out', 'x'], 'option --class: expected at least one name'),
        (['refine', 'x.json', '--images-per-class', 'few', '--out', 'x'], '--images-per-class'),
        (['distill', '--space', 'magic', '--out', 'x'], "feature space 'magic'"),
        (['distill', '--pool', 'x', '--out', 'x'], 'arguments out and pool: expected two folders'),
        (['select', 'pool', '--seed', -1], '--seed'),
    ],
    ids=str,
)
def test_options_that_are_empty_or_without_what_they_belong_to(words, say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = here(*words)
    assert done.returncode in (1, 2) and say in ' '.join(done.stderr.split()), done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize('what', BAD)
def test_bad_input(what, tmp_path):
    "One line that says what to do, exit code 1, nothing written."
    arguments, words = BAD[what]
    arguments = arguments(tmp_path)
    before = sorted(tmp_path.rglob('*'))
    done = here(*arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert (
        'Traceback' not in done.stderr and done.stderr.startswith('psr: ') and done.stderr.strip().count('\n') == 0
    ), done.stderr
    for w in words:
        assert w in done.stderr, done.stderr
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir('/sys/kernel'), reason='needs a folder that nobody can write to')
def test_read_only_output():
    done = here('distill', '--out', '/sys/kernel/psr')
    assert (
        done.returncode == 1 and 'a folder that can be written to' in done.stderr and 'Traceback' not in done.stderr
    ), done.stderr


@pytest.mark.slow
def test_debug_shows_the_traceback(tmp_path):
    for words in (['--debug', 'select', tmp_path / 'pool'], ['select', tmp_path / 'pool', '--debug']):
        with pytest.raises(PSRError):
            here(*words)


@pytest.fixture(scope='module')
def home(few_images, tmp_path_factory):
    "A distilled set of two images a class from a pool of five, made by the command."
    home = tmp_path_factory.mktemp('cli')
    worked(
        'distill',
        '--prior',
        'fashion',
        '--data',
        few_images,
        '--ipc',
        2,
        '--n-per-class',
        5,
        '--steps',
        2,
        '--num-inference-steps',
        6,
        '--out',
        home / 'set',
        '--pool',
        home / 'pool',
        '--map',
        'pca',
    )
    return home


@pytest.mark.slow
def test_distill_and_evaluate(home, few_images):
    from psr_nb.distilled import DistilledSet
    from psr_nb.pool import Pool

    distilled, pool = DistilledSet.open(home / 'set'), Pool.open(home / 'pool')
    assert len(distilled) == 20 and distilled.method == 'psr' and distilled.soft_labels.shape == (20, 10)
    assert distilled.provenance['pool'] == pool.fingerprint
    done = worked_here(
        'evaluate',
        home / 'set',
        '--data',
        few_images,
        '--protocol',
        'quick',
        '--students',
        'convnet3',
        '--seeds',
        2,
        '--labels',
        'hard',
        '--baseline',
        'random_real',
        '--out',
        home / 'results.json',
    )
    assert 'psr' in done.stdout and 'against random_real' in done.stdout
    rows = json.loads((home / 'results.json').read_text())
    assert len(rows) == 4 and all(set(r) == COLUMNS for r in rows)
    assert {(r['method'], r['ipc'], r['labels'], r['protocol'], r['student']) for r in rows} == {
        (m, 2, 'hard', 'quick', 'convnet3') for m in ('psr', 'random_real')
    }
    assert all(0.1 < r['accuracy_last'] <= r['accuracy_best'] < 1 for r in rows)


@pytest.mark.slow
def test_stages_one_by_one_are_the_whole_way(home, few_images):
    "pool, select and refine as single commands give the set that distill gave."
    from psr_nb.distilled import DistilledSet
    from psr_nb.pool import Pool

    worked_here(
        'pool',
        '--prior',
        'fashion',
        '--teacher',
        'fashion/a',
        '--n-per-class',
        5,
        '--num-inference-steps',
        6,
        '--seed',
        0,
        '--out',
        home / 'pool2',
    )
    assert Pool.open(home / 'pool2').fingerprint == Pool.open(home / 'pool').fingerprint
    worked_here('select', home / 'pool2', '--ipc', 2, '--data', few_images, '--out', home / 'selection.json')
    worked_here('refine', home / 'selection.json', '--data', few_images, '--steps', 2, '--out', home / 'set2')
    assert (
        'calibrated student 1'
        in worked_here(
            'refine',
            home / 'selection.json',
            '--data',
            few_images,
            '--steps',
            1,
            '--calibrate',
            '--out',
            home / 'set3',
        ).stderr
    )
    a, b, c = (DistilledSet.open(home / name) for name in ('set', 'set2', 'set3'))
    settings = [s.provenance['refine']['settings'] for s in (a, b, c)]
    assert settings[0] == settings[1] and settings[2] == settings[0] | dict(steps=1, calibrate=True)
    assert a.images.equal(b.images) and a.soft_labels.equal(b.soft_labels)
    for format, name in (
        ('parquet', 'set.parquet'),
        ('npz', 'set.npz'),
        ('safetensors', 'set.safetensors'),
        ('sheet', 'set.png'),
        ('folder', 'small'),
    ):
        worked_here('export', home / 'set', '--format', format, '--ipc', 1, '--out', home / name)
        assert (home / name).exists()
    assert len(DistilledSet.open(home / 'small')) == 10


@pytest.mark.slow
def test_damaged_shard(home, tmp_path):
    "--verify names it and changes nothing, --repair makes it again."
    import shutil

    from psr_nb.pool import Pool

    shutil.copytree(home / 'pool', tmp_path / 'pool')
    shard = next((tmp_path / 'pool' / 'shards').iterdir())
    shard.write_bytes(shard.read_bytes()[:-50])
    done = here('pool', '--out', tmp_path / 'pool', '--verify')
    assert done.returncode == 1 and shard.name in done.stderr and 'cut short' in done.stderr
    done = worked_here('pool', '--out', tmp_path / 'pool', '--repair')
    assert shard.name in done.stderr  # the warning
    assert Pool.open(tmp_path / 'pool', verify=True).fingerprint == Pool.open(home / 'pool').fingerprint


@pytest.mark.slow
def test_newer_pool(home, tmp_path):
    import shutil

    shutil.copytree(home / 'pool', tmp_path / 'pool')
    info = json.loads((tmp_path / 'pool' / 'pool.json').read_text())
    (tmp_path / 'pool' / 'pool.json').write_text(json.dumps({**info, 'format': 99}))
    done = here('select', tmp_path / 'pool')
    assert done.returncode == 1 and 'format 99' in done.stderr and 'pip install -U psr_nb' in done.stderr


@pytest.mark.slow
def test_classes_that_do_not_match(tmp_path):
    from PIL import Image

    for c in ('beagle', 'dingo'):
        (tmp_path / 'dogs' / 'train' / c).mkdir(parents=True)
        Image.new('L', (32, 32)).save(tmp_path / 'dogs' / 'train' / c / '0.png')
    done = here('distill', '--data', tmp_path / 'dogs', '--out', tmp_path / 'set')
    assert done.returncode == 1 and 'beagle' in done.stderr and 'T-shirt/top' in done.stderr, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize('number, code', [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt(home, tmp_path, number, code):
    "Ctrl-C, or the end of a batch job, ends with one line, and the same command goes on."
    words = [
        'pool',
        '--prior',
        'fashion',
        '--teacher',
        'fashion/a',
        '--n-per-class',
        20,
        '--num-inference-steps',
        3,
        '--out',
        tmp_path / 'pool',
    ]
    process = subprocess.Popen(
        [*PSR, *map(str, words)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # a job in the background inherits that it is ignored
    deadline = time.monotonic() + 120
    while (
        not list((tmp_path / 'pool' / 'shards').glob('c*.safetensors'))
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code and 'Traceback' not in said and 'goes on from there' in said, said
    assert list((tmp_path / 'pool' / 'shards').glob('c*.safetensors'))


@pytest.mark.slow
def test_train_commands(fashion_mini, tmp_path):
    "Both trainings run through, keep their curve, and leave what Teacher and Prior can open."
    from psr_nb.prior import Prior
    from psr_nb.teacher import Teacher

    images = fashion_mini.per_class(8)
    few = tmp_path / 'few.npz'
    np.savez(few, x_train=images.images[:, 0].numpy(), y_train=images.labels.numpy())
    worked_here(
        'train-teacher',
        '--data',
        few,
        '--architecture',
        'convnet3',
        '--epochs',
        1,
        '--out',
        tmp_path / 'teacher',
    )
    assert len(Teacher.from_pretrained(tmp_path / 'teacher').classes) == 10
    worked_here(
        'train-prior',
        '--data',
        few,
        '--size',
        32,
        '--crops',
        2,
        '--autoencoder-steps',
        3,
        '--steps',
        3,
        '--dim',
        48,
        '--depth',
        1,
        '--heads',
        2,
        '--batch-size',
        8,
        '--out',
        tmp_path / 'prior',
    )
    assert len(Prior.from_pretrained(tmp_path / 'prior').classes) == 10
    assert (tmp_path / 'prior-loss.csv').read_text().startswith('step,loss,seconds\n3,') and (
        tmp_path / 'teacher-loss.csv'
    ).exists()


def test_an_autoencoder_belongs_to_a_named_prior(tmp_path):
    for words in (['pool', '--out', tmp_path / 'pool'], ['refine', tmp_path / 's.json', '--out', tmp_path / 'out']):
        done = here(*words, '--vae', 'folder')
        assert done.returncode == 1 and 'option --vae: expected --prior too' in done.stderr
