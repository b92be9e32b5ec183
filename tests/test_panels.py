"Panels in which something is given wrongly, or whose pool, files or neighbours change while they are open."

import json
import shutil
import threading
import time

import numpy as np
import pytest
import torch
from conftest import CLASSES

from psr_nb.core import PSRError
from psr_nb.data import ImageData, load_data
from psr_nb.decisions import Decisions
from psr_nb.explorer import PoolExplorer
from psr_nb.findings import Findings
from psr_nb.pool import Pool
from psr_nb.refine import RefineSettings
from psr_nb.select import select
from psr_nb.studio import PoolSampler, RefineStudio
from psr_nb.twins import RefineTwins

NO_COUNT = [0, -1, 1.5, 'x', True, float('nan'), 201]


def noise() -> ImageData:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (24, 1, 32, 32), generator=generator).byte()
    return ImageData(images, torch.arange(24) % 3, list(CLASSES), 'noise')


@pytest.fixture
def folder(tiny_models, tmp_path):
    "A pool of eight candidates of each class, with one teacher."
    prior, (teacher, _) = tiny_models
    Pool.sample(prior, [teacher], 8, path=tmp_path / 'pool', shard_size=4, progress=False)
    return tmp_path / 'pool'


def opened(folder, **more):
    return PoolExplorer(folder, **{**dict(real=noise(), start=Decisions(ipc=3), map='pca'), **more})


@pytest.fixture
def panel(folder):
    made = opened(folder)
    yield made
    made.close()


def longer(folder, tiny_models):
    "The same pool with twice as many candidates."
    prior, (teacher, _) = tiny_models
    Pool.sample(prior, [teacher], 16, path=folder, shard_size=4, progress=False)


# ---- two panels on one file


def test_a_panel_that_was_not_made_disturbs_no_other(folder, panel):
    kept = []  # the error holds the half-made panel, as a notebook's traceback does
    with pytest.raises(PSRError, match='teacher of this pool') as said:
        opened(folder, second='nobody')
    kept.append(said)
    assert panel.pin((0, 1)) and panel.pins == [(0, 1)]


def test_a_panel_of_fewer_candidates_keeps_what_it_does_not_show(folder, panel, tiny_models):
    longer(folder, tiny_models)
    large = opened(folder)
    large.pin((0, 12))
    large.ban((1, 13))
    large.ipc = 12
    assert panel.pins == [] and panel.ipc == 8
    assert panel.pin((1, 1)) and panel.undo() and panel.pin((2, 2))
    kept = Decisions.open(folder / 'explorer.json')
    assert set(kept.pins) == {(0, 12), (2, 2)} and kept.bans == ((1, 13),) and kept.ipc == 12
    assert set(large.pins) == {(0, 12), (2, 2)} and large.ipc == 12
    panel.ipc = 2
    assert Decisions.open(folder / 'explorer.json').ipc == large.ipc == 2  # this was changed here
    large.close()


def test_decisions_of_another_panel_that_cannot_be_are_not_said_to_be_shown(folder, panel):
    panel.ipc = 2
    Decisions(ipc=1, pins=((0, 0), (0, 1))).save(folder / 'explorer.json')
    panel.refresh()
    assert panel.note.startswith('!pins') and panel.pins == []


# ---- the pool and its files change


def test_a_pool_that_changed_is_said(folder, panel, tiny_models):
    panel.ipc = 2
    assert 'has changed' not in panel.note
    longer(folder, tiny_models)
    panel.ipc = 3
    assert 'the pool on disk has changed: open the panel again' in panel.note


def test_a_folder_that_is_gone_is_not_made_anew(folder, panel):
    shutil.move(folder, folder.with_name('moved'))
    assert panel.pin((0, 1)) and 'kept in memory only' in panel.note
    panel.snapshot('here')
    with pytest.raises(PSRError, match='the folder of the pool'):
        panel.export('selection', 'selection')
    assert not folder.exists() and panel.pins == [(0, 1)]


@pytest.mark.parametrize('content', ['{"kind"', '\ufeff{}', '[]', None])
def test_a_damaged_file_of_decisions_moves_nothing(folder, panel, content):
    panel.pin((0, 1))
    panel.ipc = 2
    file = folder / 'explorer.json'
    file.unlink()
    file.mkdir() if content is None else file.write_text(content)
    before = panel.decisions
    for change in (lambda: panel.pin((1, 1)), panel.undo, panel.undo, lambda: panel.set_state(dict(diversity=0.3))):
        assert not change() and panel.note.startswith('!') and 'explorer.json' in panel.note
    assert panel.decisions == before and panel.diversity == before.diversity
    file.rmdir() if content is None else file.unlink()
    assert panel.undo() and panel.undo() and panel.pins == [] and panel.ipc == 3  # no step of undo is lost


def test_a_damaged_file_of_another_panel_is_said_there(folder, panel):
    other = opened(folder)
    (folder / 'explorer-findings.json').write_text('[]')
    assert panel.pin((0, 1)) and other.pins == [(0, 1)]
    assert other.note.startswith('!') and 'explorer-findings.json' in other.note
    other.close()


def test_what_students_said_is_kept_where_the_file_was_damaged_meanwhile(folder):
    panel = opened(folder, student='convnet1')
    panel.train('selection', 1)
    (folder / 'explorer-findings.json').write_text('[]')
    panel.wait(120)
    assert panel.training['text'].startswith('!') and not panel.training['busy']
    assert len(panel.measured().accuracies) == 1
    panel.close()


# ---- no teacher


def test_what_only_a_teacher_could_tell_is_said(tiny_models, tmp_path):
    Pool.sample(tiny_models[0], [], 4, path=tmp_path / 'bare', progress=False)
    panel = opened(tmp_path / 'bare')
    assert panel.note == ''
    for name, value, back in (('reliability', 0.7, 0.0), ('quantile', 0.3, 0.0), ('gate', True, False)):
        setattr(panel, name, value)
        assert getattr(panel, name) == back
        assert f'{name} stays {back}: no teacher has judged these candidates' in panel.note
    panel.diversity = 0.5
    assert panel.note == ''
    panel.preset('sure candidates')
    assert 'uncertainty stays 0.0' in panel.note
    panel.decisions = Decisions(ipc=2, quantile=0.5)
    assert panel.ipc == 2 and 'quantile stays 0.0' in panel.note
    panel.close()


# ---- what is given


@pytest.mark.parametrize(
    ('name', 'value'),
    [('ipc', True), ('reliability', True), ('ipc', np.True_), ('ipc', 2.5), ('map', 'tsne'), ('map', None)],
)
def test_controls_take_what_they_are_for(panel, name, value):
    before = panel.decisions, panel.map
    with pytest.raises(PSRError, match=name):
        setattr(panel, name, value)
    assert (panel.decisions, panel.map) == before


@pytest.mark.parametrize('state', [dict(ipc='x'), dict(method='nope'), dict(quantile=None), dict(map='tsne')], ids=str)
def test_what_the_front_sends_wrongly_is_a_note(panel, state):
    before = panel.decisions
    panel.set_state(state)
    assert panel.note.startswith('!') and panel.decisions == before
    assert (panel.ipc, panel.method, panel.map) == (before.ipc, before.method, 'pca')


@pytest.mark.parametrize('students', NO_COUNT)
def test_so_many_students(panel, students):
    for call in (lambda: panel.train('selection', students), lambda: panel.sweep('ipc', True, students)):
        with pytest.raises(PSRError, match='argument students: expected a whole number from 1 to 200'):
            call()
    assert not panel.training_now


def test_a_sweep_of_something_else(panel):
    for names, more in ((3, {}), ('ipc', dict(points=0))):
        with pytest.raises(PSRError, match='argument (names|points)'):
            panel.sweep(names, **more)


@pytest.mark.parametrize('name', ['selection', 'random', 'first', '', 3, 'a' * 41, 'two\nlines'])
def test_names_that_no_snapshot_has(panel, name):
    panel.snapshot('mine')
    for call in (lambda: panel.snapshot(name), lambda: panel.rename('mine', name)):
        with pytest.raises(PSRError, match='argument (name|to): expected 1 to 40 characters'):
            call()
    assert [s['name'] for s in panel.snapshots] == ['mine']


def test_kept_candidates_are_those_of_the_pool(panel):
    for kept in (((0, 99),) * 3, ((0,),)):
        with pytest.raises(PSRError, match='decision kept'):
            panel.decisions = Decisions(ipc=2, kept=kept)


@pytest.mark.parametrize(
    'more',
    [dict(seed=-1), dict(seed='x'), dict(seed=2**70), dict(protocol='no'), dict(student='no'), dict(student=3)],
    ids=str,
)
def test_an_explorer_that_could_not_train_or_draw(folder, more):
    with pytest.raises(PSRError, match=next(iter(more))):
        opened(folder, **more)


def test_a_selection_is_drawn_from_a_seed(folder):
    for more in (dict(seed=-1), dict(seed=1.5), dict(gate='no')):
        with pytest.raises(PSRError, match=f'argument {next(iter(more))}'):
            select(Pool.open(folder), 1, 'random', **more)


# ---- the end


def test_a_closed_panel_trains_nobody(folder):
    panel = opened(folder)
    panel.train('selection', 100)
    panel.sweep('diversity')
    time.sleep(0.3)
    panel.close()
    assert not [t for t in threading.enumerate() if t.name == 'psr_nb worker' and t.is_alive()]
    for call in (panel.train, lambda: panel.sweep('diversity'), panel.exchange):
        with pytest.raises(PSRError, match='one that was closed'):
            call()
    assert (
        isinstance(Findings.open(folder / 'explorer-findings.json'), Findings)
        if (folder / 'explorer-findings.json').exists()
        else True
    )


# ---- the studio


@pytest.fixture
def studio(folder, tiny_models):
    prior, (_, teacher) = tiny_models
    settings = RefineSettings(steps=6, warm_up=0, unroll=1, student_real=6, images_per_class=2)
    made = RefineStudio(select(Pool.open(folder), 2, 'first'), prior, teacher, noise(), settings=settings)
    yield made
    made.close()


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        *(('lr', v) for v in (float('nan'), float('inf'), -1.0, 0.0)),
        *(('temperature', v) for v in (0.0, float('nan'))),
        *(('steps', v) for v in (0, -1)),
        *(('student', v) for v in (-1.0, float('nan'))),
    ],
)
def test_a_slider_goes_back(studio, name, value):
    before = getattr(studio, name)
    setattr(studio, name, value)
    assert getattr(studio, name) == getattr(studio.state.settings, name) == before
    assert f'setting {name} of refinement' in studio.error
    setattr(studio, name, type(before)(2 * before))
    assert studio.error == '' and getattr(studio.state.settings, name) == 2 * before


def test_one_weight_stays(studio):
    for name in ('student', 'soft_label', 'proximal'):
        setattr(studio, name, 0.0)
    assert 'at least one above zero' in studio.error and studio.proximal == studio.state.settings.proximal > 0


@pytest.mark.parametrize('name, value', [('lr', 'x'), ('lr', True), ('steps', 2.5), ('steps', None)])
def test_a_slider_refuses_another_type(studio, name, value):
    with pytest.raises(PSRError, match=f'argument {name}'):
        setattr(studio, name, value)


def test_a_weight_without_its_part(folder, tiny_models):
    settings = dict(student=0.0, soft_label=0.0, proximal=1.0)
    studio = RefineStudio(select(Pool.open(folder), 1, 'first'), tiny_models[0], **settings)
    for name, part in (('soft_label', 'teacher'), ('student', 'real')):
        setattr(studio, name, 0.5)
        assert f'since there is no {part}' in studio.error and getattr(studio, name) == 0
    studio.close()


def test_settings_of_the_caller_are_not_moved(folder, tiny_models):
    prior, (_, teacher) = tiny_models
    mine = RefineSettings(steps=3)
    studio = RefineStudio(select(Pool.open(folder), 1, 'first'), prior, teacher, noise(), settings=mine)
    studio.steps = 5
    assert mine.steps == 3 and studio.state.settings.steps == 5
    studio.close()


@pytest.mark.parametrize('wrong', [99, -1, 'x', 0.5, True, None])
def test_numbers_of_steps_students_and_previews(studio, wrong):
    for call, name in ((studio.accept, 'positions'), (studio.roll_back, 'positions'), (studio.scrub, 'step')):
        if name == 'positions' or wrong != 99:
            with pytest.raises(PSRError, match=f'argument {name}'):
                call([wrong])
    if wrong not in (99, True):
        with pytest.raises(PSRError, match='argument students'):
            studio.measure(wrong)
    assert studio.verdict == [''] * 6


def test_a_studio_of_other_parts(folder, tiny_models):
    prior, (_, teacher) = tiny_models
    chosen = select(Pool.open(folder), 1, 'first')
    for more in (dict(prior=3), dict(settings=3), dict(judge=3), dict(most=0), dict(most='x')):
        with pytest.raises(PSRError, match=f'argument {next(iter(more))}'):
            RefineStudio(**{**dict(selection=chosen, prior=prior, teacher=teacher, real=noise()), **more})
    others = load_data('fashion-mini').per_class(1)
    with pytest.raises(PSRError, match='argument real: expected the classes of the latents'):
        RefineStudio(chosen, prior, teacher, others)


def test_a_closed_studio_trains_nobody(studio):
    studio.measure(50)
    studio.close()
    assert not studio._students.thread.is_alive()
    with pytest.raises(PSRError, match='one that was closed'):
        studio.measure(1)


def test_twins_differ_in_words_too(folder, tiny_models):
    prior, (_, teacher) = tiny_models
    twins = RefineTwins(
        select(Pool.open(folder), 1, 'first'), prior, teacher, noise(), a=dict(target='own'), b=dict(target='nearest')
    )
    assert 'target own' in twins.a.title
    twins.close()
    with pytest.raises(PSRError, match='argument a'):
        RefineTwins(select(Pool.open(folder), 1, 'first'), prior, teacher, noise(), a=3, b={})


@pytest.mark.parametrize(
    'more', [dict(prior=3), dict(path=3), dict(path=None), dict(n_per_class=0), dict(n_per_class='x')], ids=str
)
def test_a_sampler_of_other_parts(tiny_models, tmp_path, more):
    with pytest.raises(PSRError, match=f'argument {next(iter(more))}'):
        PoolSampler(**{**dict(prior=tiny_models[0], n_per_class=1, path=tmp_path / 'pool'), **more})


def test_json_says_each_thing_once(folder):
    file = folder / 'pool.json'
    info = json.loads(file.read_text())
    file.write_text(json.dumps(info)[:-1] + ', "n_per_class": 8}')
    assert Pool.open(folder).n_per_class == 8
    file.write_text(json.dumps(info)[:-1] + ', "n_per_class": 4}')
    with pytest.raises(PSRError, match='two values of n_per_class'):
        Pool.open(folder)
