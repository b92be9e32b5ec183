"Settings of a refinement: what the command line says reaches it, and what no refinement can have is refused."

import pytest
from commands import worked_here

from psr_nb.core import PSRError, read_json
from psr_nb.pool import Pool
from psr_nb.refine import RefineSettings
from psr_nb.select import select

COUNTS = ('images_per_class', 'unroll', 'student_batch', 'student_real', 'real_batch', 'width', 'moments')


@pytest.mark.parametrize('value', [0, -1, 1.5, '2', True, None])
@pytest.mark.parametrize('name', [*COUNTS, 'warm_up', 'shift'])
def test_counts(name, value):
    if value == 0 and name in ('warm_up', 'shift') and value is not False:
        RefineSettings(**{name: 0}).check()
        return
    with pytest.raises(PSRError, match=f'setting {name} of refinement: expected a whole number'):
        RefineSettings(**{name: value}).check()


@pytest.mark.parametrize('name, value', [('moments', 3), ('flip', 'no'), ('calibrate', 1)])
def test_choices(name, value):
    with pytest.raises(PSRError, match=f'setting {name} of refinement'):
        RefineSettings(**{name: value}).check()


def test_images_per_class_by_command(fashion_prior, tmp_path):
    pool = Pool.sample(fashion_prior, n_per_class=2, path=tmp_path / 'pool', num_inference_steps=2, progress=False)
    chosen = select(pool, 2, 'first').save(tmp_path / 'chosen.json')
    brief = ['--steps', 1, '--student', 0, '--distribution-matching', 1, '--images-per-class', 1, '-q']
    worked_here('refine', chosen, '--data', 'fashion-mini', *brief, '--out', tmp_path / 'refined')
    assert read_json(tmp_path / 'refined' / 'provenance.json')['refine']['settings']['images_per_class'] == 1
    words = ['distill', '--data', 'fashion-mini', '--n-per-class', 2, '--ipc', 2]
    words += ['--num-inference-steps', 2, '--map', 'none', '--steps', 1, '--images-per-class', 1, '-q']
    worked_here(*words, '--method', 'first', '--out', tmp_path / 'set')
    assert read_json(tmp_path / 'set' / 'provenance.json')['refine']['settings']['images_per_class'] == 1
