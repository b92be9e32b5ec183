"From a folder of photos to an evaluated distilled set: the README's commands as they are written, with smaller numbers."

import json
import re
import shlex
import sys
import time
from pathlib import Path

import pytest
from commands import here, worked_here

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / 'tools'))
SMALLER = {  # what a test changes of each command
    'train-teacher': '--architecture resnet10t --epochs 10 -q',
    'train-prior': '--steps 15 --autoencoder-steps 10 --dim 48 --depth 2 --heads 2 --judge-samples 4 -q',
    'pool': '--n-per-class 8 --num-inference-steps 4 -q',
    'explore': '--no-lab',
    'distill': '--n-per-class 8 --ipc 2 --num-inference-steps 4 --steps 3 --map none -q',
    'evaluate': '--seeds 2 -q',
}


def the_commands() -> list[list[str]]:
    section = (ROOT / 'README.md').read_text(encoding='utf-8').split('## Your own images')[1].split('\n## ')[0]
    block = re.findall(r'```sh\n(.*?)```', section, re.S)[0]
    return [shlex.split(line)[1:] for line in block.strip().splitlines()]


@pytest.fixture(scope='module')
def journey(tmp_path_factory):
    "The folder in which all commands ran, and what each said."
    from draw_photos import draw_photos

    home = tmp_path_factory.mktemp('journey')
    draw_photos(home / 'photos', 10)
    said = {}
    with pytest.MonkeyPatch.context() as at:
        at.chdir(home)
        began = time.perf_counter()
        for words in the_commands():
            done = worked_here(*words, *shlex.split(SMALLER.get(words[0], '')))
            said[words[0]] = done.stdout
            assert 'Traceback' not in done.stderr
        print(f'{len(said)} commands in {time.perf_counter() - began:.0f} s')
    return home, said


@pytest.mark.slow
def test_seven_commands_lead_from_photos_to_a_table(journey):
    home, said = journey
    assert list(said) == ['data', 'train-teacher', 'train-prior', 'pool', 'explore', 'distill', 'evaluate']
    assert '40 images, 10 to 10 per class' in said['data']
    for name in ('train-teacher', 'train-prior', 'explore', 'distill', 'evaluate'):
        assert said[name].startswith('data photos: class folders, 4 classes'), said[name]
    rows = json.loads((home / 'results.json').read_text())
    assert {r['method'] for r in rows} == {'psr', 'random_real'} and len(rows) == 4
    assert all(re.fullmatch(r'photos [0-9a-f]{8}', r['dataset']) for r in rows)
    assert (home / 'prior-samples.png').stat().st_size > 500
    assert str(home) not in (home / 'pool-explorer.ipynb').read_text()


@pytest.mark.slow
def test_the_hold_out_was_respected(journey):
    from psr_nb.data import load_data
    from psr_nb.distilled import DistilledSet
    from psr_nb.seen import read_record, seen_among, short_keys

    home, said = journey
    test = load_data(home / 'photos', 'test', size=32, holdout=0.2)
    assert len(test) == 8 and 'none of the 8 test images was seen by' in said['evaluate']
    for folder in ('teacher', 'prior', 'prior-autoencoder'):
        seen = read_record(home / folder)
        assert [d['images'] for d in seen.data] == [32] and seen.data[0]['holdout'] == '0.2'
        assert seen_among(test, {'it': seen.keys}) == {'it': 0}
        assert set(seen.keys) | set(short_keys(test)) == set(short_keys(load_data(home / 'photos', size=32)))
    distilled = DistilledSet.open(home / 'distilled')
    assert distilled.provenance['data']['holdout'] == '0.2' and distilled.provenance['data']['images'] == 32
    assert sorted(distilled.seen) == ['prior prior', 'real images photos', 'teacher teacher']
    assert 'hold-out 0.2' in (home / 'distilled' / 'README.md').read_text()


@pytest.mark.slow
def test_what_was_distilled_is_no_test_set(journey, monkeypatch):
    home, _ = journey
    monkeypatch.chdir(home)
    refused = here('evaluate', 'distilled', '--data', 'photos', '--holdout', '0.2:1', '--seeds', 1, '-q')
    assert refused.returncode == 1 and '--allow-overlap' in refused.stderr and 'of 8' in refused.stderr
    insisted = worked_here(
        'evaluate', 'distilled', '--data', 'photos', '--holdout', '0.2:1', '--seeds', 1, '-q', '--allow-overlap'
    )
    assert re.search(r'teacher teacher has seen \d of the 8 test images', insisted.stdout)


@pytest.mark.slow
def test_an_autoencoder_of_other_images_is_not_taken(journey, monkeypatch):
    home, _ = journey
    monkeypatch.chdir(home)
    small = shlex.split('--size 32 --out prior --steps 2 --autoencoder-steps 2 --dim 48 --depth 1 --heads 2 -q')
    refused = here('train-prior', '--data', 'photos', *small)
    assert refused.returncode == 1 and 'prior-autoencoder: expected an autoencoder of photos' in refused.stderr
    assert 'hold-out 0.2' in refused.stderr and '--autoencoder' in refused.stderr
