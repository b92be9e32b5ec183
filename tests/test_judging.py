"Accuracy in the panel without a browser: predicted at once, measured in a thread, kept with the weights that gave it."

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from psr_nb.core import PSRError
from psr_nb.data import load_data
from psr_nb.decisions import Decisions
from psr_nb.explorer import PoolExplorer
from psr_nb.findings import Findings
from psr_nb.judging import Forecaster, train_beside
from psr_nb.learning import train_students
from psr_nb.pool import Pool
from psr_nb.protocols import PROTOCOLS
from psr_nb.selection import Selection
from psr_nb.studio import RefineStudio
from psr_nb.worth import measure_worth

BRIEF = replace(PROTOCOLS['quick'], epochs=((1e9, 2),))


@pytest.fixture(scope='module')
def real():
    return load_data('fashion-mini').per_class(16)


@pytest.fixture(scope='module')
def measured(fashion_prior, real, tmp_path_factory):
    "Eight candidates of each class, worth measured for two images per class."
    path = tmp_path_factory.mktemp('judging') / 'pool'
    pool = Pool.sample(fashion_prior, n_per_class=8, shard_size=8, path=path, num_inference_steps=2, progress=False)
    *_, last = measure_worth(pool, real, 2, 16, BRIEF, trials=100, device='cpu')
    return last.worth


@pytest.fixture
def panel(measured, real, tmp_path):
    "An explorer on a copy of that pool."
    import shutil

    shutil.copytree(measured.pool.path, tmp_path / 'pool')
    made = PoolExplorer(tmp_path / 'pool', real, start=Decisions(ipc=2), map='pca', protocol=BRIEF)
    if made.opening is not None:
        made.opening.join(60)
    yield made
    made.close()


row = lambda panel, which='selection': next(r for r in panel.accuracy['rows'] if r['which'] == which)


@pytest.mark.slow
def test_the_quick_prediction_is_that_of_worth(measured):
    forecaster, draw = Forecaster(measured), np.random.default_rng(0)
    for _ in range(5):
        ids = np.stack([draw.permutation(8)[:2] for _ in range(10)])
        assert forecaster.predict(ids).accuracy == pytest.approx(measured.predict(ids).accuracy, abs=1e-5)


@pytest.mark.slow
def test_students_beside_are_those_of_train_students(measured, real):
    images, labels = measured.pool.images[::4], measured.pool.config and np.repeat(np.arange(10), 2)
    import torch

    one = (torch.as_tensor(images), torch.as_tensor(labels))
    *_, beside = train_beside([one, one], real, [3, 4], BRIEF, device='cpu')
    for accuracy, logits in zip(beside.accuracies, train_students([one, one], real, BRIEF, seeds=[3, 4], device='cpu')):
        assert accuracy == pytest.approx(float((logits.argmax(1) == real.labels).float().mean()), abs=1e-6)


def test_candidates_are_exchanged_beside_the_panel_and_pinned(panel):
    "The button's message; what was found is pinned, one undo leads back, a change meanwhile is not overwritten."
    panel.ban((0, 1))
    before, expected = [i.tolist() for i in panel.selection.ids], row(panel)['predicted']
    panel._heard({'do': 'exchange'})
    panel.wait()
    said = panel.training['text']
    assert 'exchanged and pinned' in said and not panel.training['busy']
    assert len(panel.pins) == 20 and panel.bans == [(0, 1)] and (0, 1) not in panel.pins
    assert f'{100 * row(panel)["predicted"][0]:.1f}% predicted, {100 * expected[0]:.1f}% before' in said
    panel.undo()
    assert [i.tolist() for i in panel.selection.ids] == before and not panel.pins
    panel.exchange(200_000)
    while not panel._job['done']:
        time.sleep(0.01)
    panel.ban((0, 2))
    panel.stop()
    panel.wait()
    assert 'changed meanwhile' in panel.training['text'] and panel.bans == [(0, 1), (0, 2)] and not panel.pins
    panel.exchange(200_000)
    while not panel._job['done']:
        time.sleep(0.01)
    panel._heard({'do': 'exchange'})
    assert panel.training['text'].startswith('!this panel: expected one work at a time')
    panel.stop()
    panel.wait()
    assert len(panel.pins) == 20  # the best that was found until then


def test_predicted_follows_the_sliders_and_says_for_which_budget(panel):
    before = row(panel)['predicted']
    assert before and row(panel, 'random')['predicted'] and row(panel, 'first')['predicted']
    panel.pin([(c, i) for c in range(10) for i in (0, 1)])
    assert row(panel)['predicted'] == row(panel, 'first')['predicted']
    panel.undo()
    assert row(panel)['predicted'] == before
    panel.ipc = 3
    panel.opening.join(60)
    assert row(panel)['predicted'] is None and 'psr worth pool --ipc 3' in panel.accuracy['predicted_by']


def test_measured_is_kept_with_its_weights_and_more_students_are_added(panel, measured, real):
    panel.diversity = 0.5
    panel.train(students=2)
    with pytest.raises(PSRError, match='one training at a time'):
        panel.train(students=2)
    panel.wait(120)
    first = row(panel)
    assert first['students'] == 2 and first['measured'][1] < first['measured'][0] < first['measured'][2]
    panel.train(students=1)
    panel.wait(120)
    assert row(panel)['students'] == 3 and len(panel.dots) == 1
    key = panel.accuracy['now_key']
    panel.ban((0, int(panel.selection.ids[0][0])))
    assert row(panel)['measured'] is None
    assert panel.bring_back(key) and row(panel)['students'] == 3 and panel.diversity == 0.5 and not panel.bans
    again = PoolExplorer(panel.pool.path, real, map='pca', protocol=BRIEF)
    assert [d['students'] for d in again.dots] == [3]
    assert not PoolExplorer(panel.pool.path, real, map='pca').dots  # trained otherwise
    again.close()
    panel.train('random', students=2)
    panel.wait(120)
    assert row(panel, 'random')['students'] == 2 and [d['kind'] for d in panel.dots] == ['selection', 'random']


@pytest.mark.slow
def test_stop_ends_within_a_step_and_keeps_who_was_ready(panel):
    panel.protocol = 'quick'
    panel.train(students=40)
    end = time.monotonic() + 60
    while panel.training['done'] < 0.02 and time.monotonic() < end:
        time.sleep(0.05)
    panel.uncertainty = 0.5  # the panel is live
    panel.stop()
    panel.wait(60)
    assert not panel.training_now and 'stopped' in panel.training['text'] and row(panel)['students'] < 40
    assert panel.training['busy'] is False  # the button can be pressed again


def test_without_real_images_the_panel_says_what_to_give(panel):
    other = PoolExplorer(panel.pool, map='pca', keep=False)
    assert not other.accuracy['can'] and 'PoolExplorer(pool, real)' in other.accuracy['measured_on']
    with pytest.raises(PSRError, match='real training images'):
        other.train()
    other._heard(dict(do='train', which='selection'))
    assert other.note.startswith('!') and 'real training images' in other.note
    other.close()
    assert 'Test images are never used' in panel.accuracy['measured_on']


def test_two_panels_keep_each_others_snapshots(panel, real):
    other = PoolExplorer(panel.pool.path, real, map='pca', protocol=BRIEF)
    panel.snapshot()
    other.snapshot()
    kept = Findings.open(panel.pool.path / 'explorer-findings.json')
    assert [s.name for s in kept.snapshots] == ['A', 'B']
    other.close()


def test_a_snapshot_leaves_as_json_as_code_and_as_a_selection(panel):
    panel.pin((2, 3))
    panel.snapshot('mine')
    panel.free((2, 3))
    told = json.loads(panel.export('mine'))
    assert 3 in told['selected'][panel.pool.classes[2]] and told['predicted']
    assert "pins=[('Pullover', 3)]" in panel.export('mine', 'code') and 'pins' not in panel.code()
    assert Selection.open(panel.export('mine', 'selection')).ids[2][0] == 3
    assert panel.restore('mine') and panel.pins == [(2, 3)] and panel.undo() and not panel.pins
    panel._heard(dict(do='rename', name='mine', to='<b>'))
    assert panel.numbers['body'][0][0] == '<b>'


def test_a_sweep_has_the_present_setting_on_its_line(panel):
    panel.sweep('diversity')
    found = panel.wait_sweep(120)
    at = found['values'][0].index(panel.diversity)
    assert found['predicted'][at] == pytest.approx(row(panel)['predicted'][0], abs=1e-5) and not found['busy']
    panel.sweep(['diversity', 'representativeness'])
    found = panel.wait_sweep(120)
    assert np.shape(found['predicted']) == tuple(len(v) for v in found['values'])
    panel.sweep('diversity', measured=True, students=2, points=2)
    assert [m[0] for m in panel.wait_sweep(120)['measured']] == [0.0, 2.0]
    for names, says in ((['diversity'] * 2, 'different'), ('colour', 'setting')):
        with pytest.raises(PSRError, match=says):
            panel.sweep(names)


@pytest.mark.parametrize(
    ('damage', 'says'),
    [
        ({'kind': 'decisions'}, 'another kind'),
        ({'findings': 7}, 'a list under findings'),
        ({'snapshots': [{'name': 'A', 'decisions': {}, 'ids': [[0]]}]}, 'damaged'),
        (
            {'findings': [{'key': 'k', 'kind': 'selection', 'decisions': {}, 'ids': [], 'accuracies': [2]}]},
            'from 0 to 1',
        ),
    ],
)
def test_a_damaged_file_gets_a_sentence(tmp_path, damage, says):
    file = tmp_path / 'findings.json'
    file.write_text(json.dumps({'kind': 'findings', 'format': 1, 'snapshots': [], 'findings': [], **damage}))
    with pytest.raises(PSRError, match=says):
        Findings.open(file)


def test_the_studio_says_that_the_selection_has_changed_and_takes_the_new_one(panel, fashion_prior):
    studio = RefineStudio(
        panel,
        fashion_prior,
        name='linked',
        steps=4,
        soft_label=0.0,
        student=0.0,
        distribution_matching=0.0,
        proximal=1.0,
    )
    assert not studio.stale
    studio.one()
    studio.wait()
    before = panel.selection.ids
    panel.ban((0, int(before[0][0])))
    changed = sum(len(set(new.tolist()) - set(old.tolist())) for new, old in zip(panel.selection.ids, before))
    assert changed and f'{changed} of 20 images are others' in studio.stale
    panel.snapshot('new')
    panel._heard({'do': 'export', 'name': 'new', 'as': 'studio'})
    assert not studio.stale and studio.state.done == 0
    assert [i.tolist() for i in studio.selection.ids] == [i.tolist() for i in panel.selection.ids]
    studio.one()
    studio.wait()
    studio.result()
    assert studio.state.done == 1
    studio.close()
