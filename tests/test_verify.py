"A distilled set against its provenance, from the shell, and its other forms."

import json
import tarfile
from dataclasses import replace

import pytest
import torch
from commands import here, worked_here

from psr_nb.distill import distill
from psr_nb.distilled import DistilledSet
from psr_nb.formats import EXPORTS

QUICK = dict(steps=2, warm_up=2, unroll=2, student_real=32)


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    "A refined and an unrefined set of one pool."
    home = tmp_path_factory.mktemp('verify')
    for name, refine in (('refined', True), ('plain', False)):
        distill(
            'fashion',
            'fashion-mini',
            1,
            out=home / name,
            pool=home / 'pool',
            n_per_class=3,
            sampling=dict(num_inference_steps=4),
            refine=refine,
            refine_options=QUICK if refine else None,
            progress=False,
        )
    return home


@pytest.mark.slow
def test_both_are_what_they_say(home):
    said = worked_here('verify', home / 'refined', '--prior', 'fashion', '--data', 'fashion-mini').stdout
    assert 'DIFFERS' not in said and said.count('fits') == 6
    assert '10 of 10 candidates chosen again' in said
    assert 'DIFFERS' not in worked_here('verify', home / 'plain', '--prior', 'fashion', '--images', 4).stdout


@pytest.mark.slow
def test_a_strangers_picture_is_found_though_its_hash_is_right(home, tmp_path):
    mine = DistilledSet.open(home / 'plain')
    images = mine.images.clone()
    images[3] = 255 - images[3]
    replace(mine, images=images).save(tmp_path / 'set')
    assert worked_here('verify', tmp_path / 'set').returncode == 0  # the files agree with one another
    found = here('verify', tmp_path / 'set', '--prior', 'fashion', '--images', 10)
    assert found.returncode == 1 and 'DIFFERS  10 images sampled again' in found.stdout


@pytest.mark.slow
def test_another_prior_is_named_and_nothing_is_sampled(home):
    found = here('verify', home / 'plain', '--prior', 'cifar10')
    assert found.returncode == 1 and 'Traceback' not in found.stderr + found.stdout


@pytest.mark.slow
def test_the_set_knows_weights_and_software(home):
    about = json.loads((home / 'refined' / 'provenance.json').read_text())
    assert about['n_per_class'] == 3
    assert {w['role'] for w in about['bill']['weights']} == {'scores', 'refines and labels', 'judges'}
    assert all(len(w['weights_hash']) == 64 for w in about['bill']['weights'])
    assert about['bill']['packages']['torch'] == torch.__version__.split('+')[0]


def test_names_in_any_script_become_folders(tmp_path):
    names = ['Großmutter', '猫', 'a/b', '..', 'con:x']
    small = DistilledSet(torch.zeros(5, 3, 8, 8, dtype=torch.uint8), torch.arange(5), names)
    write, _ = EXPORTS['imagefolder']
    write(small, tmp_path / 'set')
    found = {p.name for p in (tmp_path / 'set').iterdir()}
    assert found == {'Großmutter', '猫', 'a%2Fb', '%2E%2E', 'con%3Ax'}
    assert not (tmp_path / 'b').exists()


@pytest.mark.slow
def test_a_tar_is_the_same_bytes_each_time(home, tmp_path):
    mine = DistilledSet.open(home / 'plain')
    write, _ = EXPORTS['webdataset']
    write(mine, tmp_path / 'a.tar')
    write(mine, tmp_path / 'b.tar')
    assert (tmp_path / 'a.tar').read_bytes() == (tmp_path / 'b.tar').read_bytes()
    with tarfile.open(tmp_path / 'a.tar') as tar:
        assert tar.getnames()[:3] == ['000000.png', '000000.cls', '000000.json']
