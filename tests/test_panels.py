"Panels in which something is given wrongly, or whose pool, files or neighbours change while they are open."

import json
import shutil
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import CLASSES, tiny_teacher

from psr_nb.core import PSRError
from psr_nb.data import ImageData, load_data
from psr_nb.decisions import Decisions
from psr_nb.explorer import PoolExplorer
from psr_nb.findings import Findings
from psr_nb.pool import Pool
from psr_nb.refine import RefineSettings
from psr_nb.select import select
from psr_nb.selectors import Weights
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


def test_a_student_that_two_panels_trained_at_once_counts_once(folder):
    panels = [opened(folder, student='convnet1') for _ in range(2)]
    for panel in panels:  # both begin with seed 0
        panel.train('selection', 2)
    for panel in panels:
        panel.wait(120)
    assert [len(panel.measured().accuracies) for panel in panels] == [2, 2]
    panels[0].train('selection', 1)
    panels[0].wait(120)
    assert len(panels[1].measured().accuracies) == 3
    for panel in panels:
        panel.close()


def test_a_name_that_another_kernel_took_meanwhile_is_not_there_twice(folder, panel):
    panel.snapshot('mine')
    file = folder / 'explorer-findings.json'
    other = Findings.open(file)
    [mine] = other.snapshots
    changed = replace(mine, decisions=replace(mine.decisions, ipc=1))
    other.with_snapshot(changed).with_snapshot(replace(mine, name='ours')).save(file)
    with pytest.raises(PSRError, match='a name that is free'):
        panel.rename('mine', 'ours')
    panel.rename('mine', 'yours')
    kept = {s.name: s.decisions.ipc for s in Findings.open(file).snapshots}
    assert kept == {'yours': 1, 'ours': 3}  # with the setting that it had by then


def test_a_snapshot_of_more_candidates_is_not_shown_by_those_of_another_class(folder, tiny_models):
    longer(folder, tiny_models)
    large = opened(folder)
    large.pin((0, 12))
    large.snapshot('large')
    large.close()
    small = opened(Pool.open(folder, n_per_class=8))
    assert all(i < 8 for s in small.snapshots for ids in s['ids'] for i in ids)
    for call in (lambda: small.train('large', 1), lambda: small.export('large'), lambda: small.measured('large')):
        with pytest.raises(PSRError, match='snapshot large: expected candidates below 8'):
            call()
    assert small.restore('large') and 'The pool has changed' in small.note
    small.close()


# ---- the pool and its files change


def test_snapshots_in_memory_only_are_said(folder, panel):
    file = folder / 'explorer-findings.json'
    file.unlink(missing_ok=True)
    panel.snapshot('A')
    file.unlink()
    (folder / '.explorer-findings.json.lock').unlink(missing_ok=True)
    (folder / '.explorer-findings.json.lock').mkdir()  # no lock can be had
    panel._heard(dict(do='snapshot'))
    assert 'kept in memory only' in panel.note and len(panel.snapshots) == 2


def test_an_exchange_that_could_not_be_pinned_is_not_said_to_be(folder, panel):
    ids = np.stack([i for i in panel.selection.ids])
    step = SimpleNamespace(new=lambda begun: 1, pins=[(0, 1)], ids=ids, tried=1)
    panel.predicted = lambda ids: SimpleNamespace(accuracy=0.5)
    (folder / 'explorer.json').write_text('[]')
    said = panel._pinned(dict(last=step, begun=ids, decisions=panel.decisions))
    assert said.startswith('!') and 'explorer.json' in said and panel.pins == []


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


@pytest.mark.parametrize('form', ['json', 'code'])
def test_a_baseline_is_not_given_away_as_the_setting_of_now(panel, form):
    for name in ('random', 'first', 'nobody'):
        with pytest.raises(PSRError, match='argument name: expected selection, or the name of a snapshot'):
            panel.export(name, form)


def test_decisions_of_other_kinds_of_numbers(panel):
    panel.decisions = Decisions(ipc=np.int64(3), diversity=np.float64(0.5), pins=[[0, np.int64(2)]], bans=[[1.0, 3]])
    assert 'diversity=0.5, ' in panel.code() and "pins=[('shirt', 2)], bans=[('boot', 3)]" in panel.code()
    assert panel.pin((0, 1)) and panel.pins == [(0, 2), (0, 1)] and panel.toggle(0, 2) and panel.free((1, 3))


def test_code_for_a_teacher_that_the_pool_does_not_have(folder, tiny_models):
    "Even one of the same name; and a device as a word."
    teacher = tiny_teacher('a')
    panel = opened(folder, real=None, teacher=teacher, device=torch.device('cpu'))
    known = dict(pool=Pool.open(folder), teacher=teacher, select=select, Weights=Weights)
    chosen = eval(panel.code(), known)
    assert 'teacher=teacher' in panel.code()
    assert [i.tolist() for i in chosen.ids] == [i.tolist() for i in panel.selection.ids]
    panel.close()


def test_a_page_does_not_say_where_things_lie_on_this_machine(panel, folder, tmp_path):
    panel.save(tmp_path / 'map.svg')
    panel.to_html(tmp_path / 'page.html')
    assert Pool.open(folder).config['prior']['name'].startswith('/')
    for file in ('map.svg', 'page.html'):
        text = (tmp_path / file).read_text(encoding='utf-8')
        assert 'tiny prior' in text and str(folder.parent.parent) not in text


@pytest.mark.parametrize(
    'part',
    [dict(gate='false'), dict(ipc=2.7), dict(pins=[[0.7, 1]]), dict(method='newer'), dict(worth=float('nan'))],
    ids=str,
)
def test_a_file_of_decisions_is_taken_as_it_is_or_not_at_all(folder, part):
    file = folder / 'explorer.json'
    Decisions(ipc=2).save(file)
    file.write_text(json.dumps({**json.loads(file.read_text()), **part}))
    with pytest.raises(PSRError, match='explorer.json: expected decisions about a pool, found a damaged file'):
        opened(folder)


@pytest.mark.parametrize('points', [1, 7])
def test_a_sweep_trains_at_as_many_values_as_asked(folder, points):
    panel = opened(folder, student='convnet1')
    panel.sweep('diversity', True, 1, points)
    assert len(panel.wait_sweep(120)['measured']) == points
    panel.close()


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


def steps(studio, count):
    for _ in range(count):
        studio.one()
        studio.wait()
    studio.result()


def test_what_students_said_of_other_images_is_not_of_these(studio):
    studio.student_name = 'convnet1'
    steps(studio, 2)
    studio.measure(2)
    assert [m['students'] for m in studio.wait_measured(120)] == [2]
    studio.measure(1)
    assert [m['students'] for m in studio.wait_measured(120)] == [3]  # of the same images
    studio.scrub(1)
    studio.wait()
    assert [m['step'] for m in studio.measured] == [2]  # an earlier step is only looked at
    studio.lr = 0.3
    steps(studio, 1)
    assert studio.measured == []  # another way was taken
    studio.measure(1)
    assert [(m['step'], m['students']) for m in studio.wait_measured(120)] == [(2, 1)]
    studio.roll_back([0])  # other images at the same step
    studio.wait()
    studio.measure(1)
    assert [(m['step'], m['students']) for m in studio.wait_measured(120)] == [(2, 1)]


def test_a_new_selection_has_not_been_measured(studio, folder):
    studio.student_name = 'convnet1'
    studio.measure(3)
    studio.take(select(Pool.open(folder), 2, 'random'))
    studio.wait_measured(120)
    assert studio.measured == [] and not studio.measuring['busy']


def test_a_set_of_an_earlier_step_says_only_what_led_to_it(studio):
    steps(studio, 3)
    studio.scrub(1)
    studio.wait()
    told = studio.distilled().provenance['refine']
    assert told['steps'] == 1 and {len(values) for values in told['losses'].values()} == {1}
    assert len(studio.trace) == 3  # later steps can still be shown


def test_two_studios_of_a_script_are_two(folder, tiny_models):
    settings = RefineSettings(steps=2, warm_up=0, unroll=1, student_real=6, images_per_class=2)
    chosen, (prior, (_, teacher)) = select(Pool.open(folder), 2, 'first'), tiny_models
    made = [RefineStudio(chosen, prior, teacher, noise(), settings=settings) for _ in range(2)]
    steps(made[0], 1)
    assert made[0].state.done == 1
    for studio in made:
        studio.close()
    with pytest.raises(PSRError, match='one that was closed'):
        made[0].start()


def test_a_cell_that_is_run_again_closes_its_own_panel_only():
    "Where the front end sends no numbers of cells, as nbclient and nbconvert."
    import nbclient
    import nbformat

    begin = """from psr_nb.worker import WorkerPanel
class Panel(WorkerPanel):
    def __init__(self):
        super().__init__()
        self._begin('panel')
made = []"""
    cells = [begin, *['made.append(Panel())  # once', 'made.append(Panel())  # and again'] * 2]
    cells.append('print([panel._closed for panel in made])')
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    nbclient.NotebookClient(notebook).execute()
    assert notebook.cells[-1].outputs[0].text.strip() == '[True, True, False, False]'


def test_a_closed_studio_gets_no_selection(folder, panel, tiny_models):
    prior, (_, teacher) = tiny_models
    studio = RefineStudio(panel, prior, teacher, noise())
    studio.close()
    with pytest.raises(PSRError, match='the studio: expected one that was opened'):
        panel.export('selection', 'studio')


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


def test_a_pool_that_was_watched_is_the_one_that_was_not(fashion_prior, tmp_path):
    "Bit for bit, in shards that are smaller than the batches that they are made in."
    options = dict(classes=list(fashion_prior.classes)[:2], num_inference_steps=2)
    pool = Pool.sample(fashion_prior, (), 3, path=tmp_path / 'plain', progress=False, **options)
    panel = PoolSampler(fashion_prior, (), 3, path=tmp_path / 'watched', **options)
    panel.start()
    panel.wait()
    panel.result()
    assert panel.pictures['count'] == 3
    assert (panel.pool.fingerprint, panel.pool.config) == (pool.fingerprint, pool.config)
    panel.close()
