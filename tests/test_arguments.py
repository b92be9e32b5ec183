"A wrong thing in any place of the way through: refused in a sentence that names the argument, before any work."

import re

import pytest

from psr_nb.core import PSRError
from psr_nb.demo import demo
from psr_nb.describe import describe
from psr_nb.evaluate import evaluate
from psr_nb.explorer import PoolExplorer
from psr_nb.pool import Pool
from psr_nb.refine import refine
from psr_nb.score import score
from psr_nb.select import select
from psr_nb.worth import measure_worth

NOTHING = [5, -1, 1.5, float('nan'), 'nowhere', '', [5], {}, object()]
WHOLE = [-1, 0, 1.5, float('nan'), 'x', [], {}, object(), None]


@pytest.fixture(scope='module')
def way(tiny_models, tiny_pool, fashion_mini, tmp_path_factory):
    "Name of an argument -> a call with it."
    prior, (teacher, _) = tiny_models
    pool, real, new = tiny_pool, fashion_mini, tmp_path_factory.mktemp('arguments') / 'new'
    chosen, few = select(pool, 1, 'random'), real.per_class(1, 0)
    sample = lambda **more: Pool.sample(**{**dict(prior=prior, n_per_class=1, path=new, progress=False), **more})
    asked = lambda **more: evaluate(**{**dict(distilled=few, test=few, progress=False), **more})
    first = lambda **more: next(refine(**{**dict(selection=chosen, prior=prior, teacher=teacher), **more}))
    worth = lambda **more: next(measure_worth(**{**dict(pool=pool, real=real, ipc=1), **more}))
    shown = lambda **more: PoolExplorer(**{**dict(pool=pool, map='pca', keep=False), **more})
    return {
        'sample prior': lambda v: sample(prior=v),
        'sample teachers': lambda v: sample(teachers=[v]),
        'sample n_per_class': lambda v: sample(n_per_class=v),
        'sample path': lambda v: sample(path=v),
        'score pool': lambda v: score(v),
        'select pool': lambda v: select(v, 1),
        'select method': lambda v: select(pool, 1, v),
        'select weights': lambda v: select(pool, 1, weights=v),
        'select reference': lambda v: select(pool, 1, reference=v),
        'select quantile': lambda v: select(pool, 1, quantile=v),
        'select pins': lambda v: select(pool, 1, pins=v),
        'refine selection': lambda v: first(selection=v),
        'refine prior': lambda v: first(prior=v),
        'refine teacher': lambda v: first(teacher=v),
        'refine judge': lambda v: first(judge=v),
        'refine settings': lambda v: first(settings=v or object()),
        'refine preview': lambda v: first(preview=v),
        'evaluate distilled': lambda v: asked(distilled=v),
        'evaluate test': lambda v: asked(test=v),
        'evaluate protocol': lambda v: asked(protocol=v),
        'evaluate students': lambda v: asked(students=v),
        'evaluate seeds': lambda v: asked(seeds=v),
        'worth pool': lambda v: worth(pool=v),
        'worth real': lambda v: worth(real=v),
        'worth ipc': lambda v: worth(ipc=v),
        'explorer pool': lambda v: shown(pool=v),
        'explorer real': lambda v: shown(real=v),
        'explorer start': lambda v: shown(start=v),
        'explorer map': lambda v: shown(map=v),
        'demo ipc': lambda v: demo(new, ipc=v),
        'demo seeds': lambda v: demo(new, seeds=v),
        'describe data': lambda v: describe(v),
    }


KINDS_OF_DATA = ('real', 'reference', 'distilled', 'test', 'data')
COUNTS = ['sample n_per_class', 'refine preview', 'evaluate seeds', 'worth ipc', 'demo ipc', 'demo seeds']
THINGS = ['sample prior', 'sample teachers', 'score pool', 'select pool', 'select method', 'select weights']
THINGS += ['select reference', 'refine selection', 'refine prior', 'refine teacher', 'refine judge', 'refine settings']
THINGS += ['evaluate distilled', 'evaluate test', 'evaluate protocol', 'evaluate students', 'worth pool', 'worth real']
THINGS += ['explorer pool', 'explorer real', 'explorer start', 'explorer map', 'describe data']


@pytest.mark.parametrize('name', COUNTS)
def test_counts(way, name):
    for value in WHOLE:
        with pytest.raises(PSRError):
            way[name](value)


@pytest.mark.parametrize('name', THINGS)
def test_things(way, name, tiny_pool, fashion_mini):
    for value in [*NOTHING, tiny_pool, fashion_mini]:
        kind = name.split()[1]
        if (kind in ('pool', 'selection') and value is tiny_pool) or (kind in KINDS_OF_DATA and value is fashion_mini):
            continue  # the right kind
        with pytest.raises(PSRError):
            way[name](value)


@pytest.mark.parametrize(
    ('name', 'values'),
    [
        ('sample path', [5, None, [], object()]),
        ('select quantile', [-0.1, 1, float('nan'), 'x', None]),
        ('select pins', [5, None, [5], [('no class', 0)], [(0, 10_000)]]),
    ],
)
def test_others(way, name, values):
    for value in values:
        with pytest.raises(PSRError):
            way[name](value)


def test_the_sentence_names_the_argument(tiny_pool, fashion_mini):
    with pytest.raises(
        PSRError, match=re.escape('argument weights: expected Weights(…), found an object of type Imag')
    ):
        select(tiny_pool, 1, 'psr', fashion_mini)


REFUSED = {  # options -> words of the sentence; nothing is written
    'train-teacher --lr 0': 'argument lr.*above 0',
    'train-teacher --lr nan': 'argument lr.*found nan',
    'train-teacher --input-size 0': 'argument input_size.*from 1 to 4,096',
    'train-teacher --architecture resnet18 --batch-size 1': 'argument batch_size .*two images per step',
    'train-teacher --epochs 100000000000': 'argument epochs',
    'train-teacher --architecture nonsense': "architecture 'nonsense'",
    'train-teacher --architecture vit_tiny_patch16_224': 'teacher vit_tiny_patch16_224: .*images of 3×8×8',
    'train-teacher --recipe a --architecture resnet18': 'option --architecture: expected no --recipe',
    'train-prior --lr -1': 'argument lr',
    'train-prior --dim 50': 'argument dim .*a multiple of 12 for 6 heads, found 50. Take 48',
    'train-prior --heads 0': 'argument heads',
    'train-prior --steps 100000000000': 'argument steps',
    'train-prior --crops 100000000000 --size 8': 'argument crops',
    'train-prior --tune lora': 'option --tune: expected --from too',
    'train-prior --lora-rank 4': 'option --lora-rank: expected --tune lora too',
    'train-prior --minimax': 'option --minimax: expected --from too',
    'train-prior --from fashion --memory 4': 'option --memory: expected --minimax too',
    'train-prior --from fashion --minimax --memory 0': 'argument memory of Minimax .*from 1 to 10,000',
    'train-prior --from fashion --minimax --diversity nan': 'argument diversity of Minimax .*found nan',
    'train-prior --judge-samples 9': 'option --judge-samples: expected --judge or --holdout too',
    'train-prior --from fashion --dim 48': 'option --dim: expected no --from',
    'train-prior --from fashion': 'images with 1 channels, found those of .*, which have 3',
    'train-prior --from fashion --halvings 3': 'option --halvings: expected no --from',
    'train-prior --autoencoder x --latent-channels 4': 'option --latent-channels: expected no --autoencoder',
    'demo --prior fashion --students ,': 'option --students: expected at least one name',
}


@pytest.mark.parametrize('words', REFUSED)
def test_options_of_trainings(words, tmp_path):
    from commands import here
    from test_forms import folders

    folders(tmp_path / 'data')
    command, *options = words.split()
    before = sorted(tmp_path.rglob('*'))
    done = here(command, '--data', tmp_path / 'data', '--out', tmp_path / 'out', *options)
    assert done.returncode == 1 and re.search(REFUSED[words], done.stderr), done.stderr
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize(
    ('words', 'say'),
    [
        ('push x a/b --private --public', '--private: expected one of the two, found --public too'),
        ('verify x --images 3', 'option --images: expected --prior too'),
        ('verify x --prior y --teacher z', 'option --teacher: expected --data too'),
    ],
)
def test_options_that_contradict_or_do_nothing(words, say):
    from commands import here

    done = here(*words.split())
    assert done.returncode in (1, 2) and say in done.stderr
