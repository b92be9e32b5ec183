"Minimax Diffusion: a training that was killed, the command, and the rival of a grid."

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from conftest import CLASSES

from psr_nb import rivals
from psr_nb.bench import Bench, cells_of, parse_grid, run_bench
from psr_nb.core import PSRError
from psr_nb.data import ImageData
from psr_nb.minimax import Minimax
from psr_nb.prior import Prior
from psr_nb.rivals import MinimaxTuning, tune_minimax
from psr_nb.seen import recorded_options
from psr_nb.sets import denoising_steps
from psr_nb.train_prior import train_prior

TERMS = Minimax(representativeness=1.0, diversity=1.0, memory=4)


@pytest.fixture(scope='module')
def pictures():
    "Grey noise with the classes of the tiny prior."
    images = torch.randint(0, 256, (30, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageData(images, torch.arange(30) % 3, list(CLASSES), 'noise')


@pytest.fixture
def tuned(tiny_prior, pictures, tmp_path):
    "A function that fine-tunes the tiny prior, up to a step or to the end, and says at which step it began."
    options = dict(start=tiny_prior, tune='difffit', steps=8, batch_size=8, lr=0.1, checkpoint_every=3, device='cpu')

    def run(name, minimax, until=8):
        first = None
        for s in train_prior(pictures, tmp_path / name, minimax=minimax, **options):
            first = first or s.step
            if s.step == until < 8:
                break
        return first

    return run


def weights(path):
    return (path / 'transformer' / 'diffusion_pytorch_model.safetensors').read_bytes()


def test_a_killed_training_has_the_weights_of_one_that_was_not(tuned, tmp_path):
    assert tuned('whole', TERMS) == 1
    assert tuned('killed', TERMS, until=5) == 1
    assert tuned('killed', TERMS) == 4
    assert weights(tmp_path / 'killed') == weights(tmp_path / 'whole')
    assert not list(tmp_path.glob('.*checkpoint*'))


def test_only_the_terms_make_it_another_training(tuned, tmp_path):
    for name, terms in dict(plain=None, neither=Minimax(0, 0, 4), both=TERMS).items():
        tuned(name, terms)
    assert weights(tmp_path / 'plain') == weights(tmp_path / 'neither') != weights(tmp_path / 'both')
    about = recorded_options(tmp_path / 'both')
    assert about['minimax'] == dict(representativeness=1.0, diversity=1.0, memory=4) and about['steps'] == 8
    assert not recorded_options(tmp_path / 'plain') and about['start'] == 'tiny prior0'


def test_a_checkpoint_of_other_terms_is_not_used(tuned):
    tuned('other', TERMS, until=5)
    with pytest.warns(UserWarning, match='with other options'):
        assert tuned('other', Minimax(1.0, 0.5, 4)) == 1


def test_the_command(tmp_path, few_images, tiny_prior):
    from commands import worked_here

    small = ['--steps', 2, '--batch-size', 8, '--lr', 0.1, '--tune', 'difffit', '--quiet']
    terms = ['--minimax', '--diversity', 0.5, '--memory', 3]
    out = tmp_path / 'prior'
    worked_here('train-prior', '--data', few_images, '--from', tiny_prior, *terms, *small, '--out', out)
    assert recorded_options(out)['minimax'] == dict(representativeness=0.002, diversity=0.5, memory=3)


def test_a_fine_tuned_prior_is_made_once(tiny_prior, pictures, tmp_path):
    prior, tuning = Prior.from_pretrained(tiny_prior, device='cpu'), MinimaxTuning(steps=2, batch_size=8, lr=0.1)
    with ThreadPoolExecutor(2) as workers:  # two that share a grid
        found = list(workers.map(lambda _: tune_minimax(prior, pictures, tmp_path, tuning), range(2)))
    assert found[0].seconds == found[1].seconds and len(list(tmp_path.glob('minimax-*.json'))) == 1
    for other in (MinimaxTuning(steps=2, batch_size=8, lr=0.1, diversity=0.0), MinimaxTuning(steps=1, batch_size=8)):
        tune_minimax(prior, pictures, tmp_path, other)
    tune_minimax(prior, pictures.per_class(4), tmp_path, tuning)
    assert len(list(tmp_path.glob('minimax-*.json'))) == 4
    for cost in tmp_path.glob('minimax-*.json'):
        cost.write_text('{}')
    with pytest.raises(PSRError, match='seconds.*Remove it and the folder minimax-.*, and the prior is trained again'):
        tune_minimax(prior, pictures, tmp_path, tuning)


def test_a_killed_fine_tuning_goes_on(tiny_prior, pictures, tmp_path, monkeypatch):
    prior, tuning, began = Prior.from_pretrained(tiny_prior, device='cpu'), MinimaxTuning(steps=5, batch_size=2), []

    def killed(last, *args, **options):
        for s in train_prior(*args, **options, checkpoint_every=2):
            began.append(s.step)
            if s.step == last:
                raise KeyboardInterrupt
            yield s

    monkeypatch.setattr(rivals, 'train_prior', partial(killed, 3))
    with pytest.raises(KeyboardInterrupt):
        tune_minimax(prior, pictures, tmp_path, tuning)
    assert not list(tmp_path.glob('minimax-*'))
    monkeypatch.setattr(rivals, 'train_prior', partial(killed, None))
    assert tune_minimax(prior, pictures, tmp_path, tuning).seconds > 0
    assert began == [1, 2, 3, 3, 4, 5]


def test_a_grid(few_images, tmp_path):
    short = dict(steps=2, batch_size=8, lr=0.1, memory=4)
    methods = dict(
        minimax=dict(rival='minimax', tuning=short),
        plainly=dict(rival='minimax', tuning=short | dict(representativeness=0, diversity=0)),
    )
    content = dict(data=str(few_images), prior='fashion', seeds=1, epochs=1, ipc=[1, 2], methods=methods)
    bench = Bench.begin(parse_grid(content), tmp_path / 'grid')
    assert [s.error for s in run_bench(bench)] == [''] * 4
    costs = sorted((tmp_path / 'grid' / 'priors').glob('minimax-*.json'))
    assert len(costs) == 2  # both budgets share a prior
    least = min(json.loads(file.read_text())['seconds'] for file in costs)
    for cell in cells_of(bench.grid):
        [row] = bench.content(cell)['rows']
        assert row['denoising_steps'] == denoising_steps(bench, cell) == 2 * 8 + cell.ipc * 10 * 10
        assert row['set_seconds'] > least
    written = [file.stat().st_mtime_ns for file in costs]
    again = Bench.open(tmp_path / 'grid')
    assert [s.error for s in run_bench(again, only='minimax-ipc1')] == ['']
    assert [file.stat().st_mtime_ns for file in costs] == written


def test_a_grid_without_sense():
    with pytest.raises(PSRError, match='tuning of method mine: expected settings, beside the rival minimax'):
        parse_grid(dict(methods=dict(mine=dict(rival='minimax', tuning=True))))
