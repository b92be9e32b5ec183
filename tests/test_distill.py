"The whole way as a function: what it tells, that it stops and goes on, and that the command line has its names."

from dataclasses import replace

import pytest
import typer

from psr_nb.contest import propose
from psr_nb.core import PSRError
from psr_nb.data import load_data
from psr_nb.demo import DEMO_REFINEMENT
from psr_nb.distill import Progress, Roles, Stages, distill, licence, load_matching, make_set, unrecorded, writable
from psr_nb.distilled import DistilledSet
from psr_nb.evaluate import Report
from psr_nb.pool import Pool
from psr_nb.protocols import PROTOCOLS
from psr_nb.select import select
from psr_nb.stages import check_seen
from psr_nb.tables import text_table
from psr_nb.verify import verify

SMALL = dict(
    prior='fashion',
    data='fashion-mini',
    ipc=1,
    n_per_class=3,
    sampling=dict(num_inference_steps=4),
    refine_options=dict(steps=2, warm_up=2, unroll=2, student_real=32),
    progress=False,
)


class Enough(Exception):
    "What a callback raises to stop a run."


@pytest.fixture(scope='module')
def told(tmp_path_factory):
    "A run that was stopped after two shards and begun again, with what each told."
    out, first, second = tmp_path_factory.mktemp('distill') / 'set', [], []

    def two_shards(progress):
        first.append(progress)
        if (progress.stage, progress.done) == ('pool', 2):
            raise Enough

    with pytest.raises(Enough):
        distill(out=out, on_progress=two_shards, **SMALL)
    run = distill(out=out, on_progress=second.append, **SMALL)
    return out, first, second, run


@pytest.mark.slow
def test_a_callback_sees_every_moment(told):
    _, _, moments, run = told
    assert all(isinstance(p, Progress) for p in moments)
    assert list(dict.fromkeys(p.stage for p in moments)) == ['load', 'pool', 'select', 'refine', 'save']
    refined = [p for p in moments if p.stage == 'refine']
    assert [(p.done, p.total) for p in refined] == [(0, 0), (1, 2), (2, 2), (0, 0)]
    assert [p.step.step for p in refined if p.step is not None] == [1, 2]
    ended = [(p.stage, p.words, p.seconds) for p in moments if p.seconds is not None]
    assert ended == list(run.stages) and all(words for _, words, _ in ended)


@pytest.mark.slow
def test_a_stopped_run_goes_on(told):
    "The shards that were there are kept; the set is that of a run in one go."
    out, first, second, run = told
    shards = lambda moments: [p.done for p in moments if p.stage == 'pool' and p.step is not None]
    assert shards(first) == [1, 2] and shards(second) == list(range(3, 11))
    assert len(Pool.open(out.with_name('set-pool'), verify=True)) == 30
    assert DistilledSet.open(out).images.equal(run.distilled.images)
    again = distill(pool=out.with_name('again'), **SMALL)
    assert again.distilled.images.equal(run.distilled.images) and again.steps[-1].step == 2


@pytest.mark.slow
def test_students_choose(told, few_images):
    "The selection is one of those proposed, and the set says how it was chosen."
    out = told[0]
    whole = dict(SMALL, data=few_images, refine=False, select_options=dict(students=1, rounds=1))
    run = distill(pool=out.with_name('set-pool'), by_students=True, **whole)
    assert (
        run.distilled.method == 'by_students' and 'measured again' in dict((n, w) for n, w, _ in run.stages)['select']
    )
    proposed = propose(run.pool, 1, run.data)
    assert len(run.selection.ids) == 10 and run.selection.method in {s.method for s in proposed.values()}


@pytest.mark.slow
def test_worth_is_measured_on_the_way_and_the_set_can_be_made_again(few_images, tmp_path, monkeypatch):
    "Students judge first; exchanges follow; the provenance says how, so that it can be done again."
    monkeypatch.setitem(PROTOCOLS, 'brief', replace(PROTOCOLS['quick'], epochs=((1e9, 12),)))
    whole = dict(SMALL, data=few_images, refine=False, swaps=64)
    how, moments = dict(students=16, protocol='brief', trials=40), []
    run = distill(out=tmp_path / 'set', worth_options=how, on_progress=moments.append, **whole)
    assert [name for name, *_ in run.stages] == ['load', 'pool', 'worth', 'select', 'save']
    assert [(p.done, p.total) for p in moments if p.stage == 'worth' and p.total] == [(0, 16), (16, 16)]
    assert run.distilled.provenance['worth'] == dict(how, seed=0)
    assert 'worth' in run.pool.table.columns and 'exchanged' in run.selection.notes[-1]
    assert not any('worth' in who for who in run.distilled.provenance['trained_on'])  # its judges are among the data
    said = verify(tmp_path / 'set', 'fashion', 2, few_images)
    assert said and 'chosen again' in repr(said)
    apart = distill(out=tmp_path / 'apart', pool=tmp_path / 'set-pool', **whole)  # the pool knows its worth by now
    assert [ids.tolist() for ids in apart.selection.ids] == [ids.tolist() for ids in run.selection.ids]
    said = verify(tmp_path / 'apart', 'fashion', 2, few_images)
    assert said and 'measured apart' in repr(said)
    plain = dict(whole, swaps=None, method='random', pool=tmp_path / 'set-pool')
    drawn = distill(out=tmp_path / 'drawn', **plain)  # worth had no say, though the pool has it
    assert not any('worth' in who for who in drawn.distilled.provenance['trained_on'])
    said = verify(tmp_path / 'drawn', 'fashion', 2, few_images)
    assert said and 'chosen again' in repr(said)
    grown = dict(whole, n_per_class=whole['n_per_class'] + 1, pool=tmp_path / 'set-pool')
    more = distill(out=tmp_path / 'grown', worth_options=how, **grown)  # adopts the students of the smaller pool
    assert 'worth' not in more.distilled.provenance
    said = verify(tmp_path / 'grown', 'fashion', 2, few_images)
    assert said and 'measured apart' in repr(said)
    with pytest.raises(PSRError, match='argument students: expected a number from 16 up; 0 will do where'):
        distill(out=tmp_path / 'new', worth_options=dict(how, students=0), **whole)
    assert not (tmp_path / 'new-pool').exists()


@pytest.mark.slow
def test_a_guide_is_named(tmp_path):
    "The pool is pushed, and goes on with the same guide."
    named = dict(guide='mode_guided', guide_options=dict(modes=2))
    run = distill(out=tmp_path / 'set', **dict(SMALL, n_per_class=2, refine=False), **named)
    assert run.pool.config['guide']['options']['modes'] == 2
    more = distill(out=tmp_path / 'set', **dict(SMALL, refine=False))
    assert more.pool.n_per_class == 3 and more.pool.config['guide'] == run.pool.config['guide']
    with pytest.raises(PSRError, match='option --guide-option: expected --guide too'):
        distill(out=tmp_path / 'other', guide_options=dict(modes=2), **SMALL)


def test_nothing_is_printed_without_progress(capsys):
    with Stages(False).stage('quiet') as say:
        say('nothing')
    assert capsys.readouterr() == ('', '')
    with Stages().stage('loud') as say:
        say('a word')
    assert 'loud' in (said := capsys.readouterr().err) and 'a word' in said


def test_an_error_leaves_no_stage(tmp_path):
    "A stage that failed is not told as done."
    moments = []
    stages = Stages(False, moments.append)
    with pytest.raises(ValueError), stages.stage('pool'):
        raise ValueError
    assert list(stages) == [] and [p.seconds for p in moments] == [None]


def test_folders_in_the_way(tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.txt').write_text('…')
    with pytest.raises(PSRError, match='a folder with thesis.txt'):
        distill(out=tmp_path / 'mine', **SMALL)
    (tmp_path / 'begun').mkdir()
    for name in ('.lock', '.pool.json.0123456789abcdef.tmp'):  # of another writer, who has just begun
        (tmp_path / 'begun' / name).touch()
    assert writable(tmp_path / 'begun', 'pool.json') == tmp_path / 'begun'
    with pytest.raises(PSRError, match='argument method: expected none beside by_students'):
        distill(out=tmp_path / 'new', by_students=True, method='herding', **SMALL)
    with pytest.raises(PSRError, match='argument swaps: expected none beside by_students'):
        distill(out=tmp_path / 'new', by_students=True, swaps=10, **SMALL)
    with pytest.raises(PSRError, match='argument swaps: expected worth_options too.*--worth-students'):
        distill(out=tmp_path / 'new', swaps=10, **SMALL)
    for how, wrong in ((dict(students=2), 'students: expected'), (dict(student_count=9), 'Did you mean')):
        with pytest.raises(PSRError, match=wrong):
            distill(out=tmp_path / 'new', worth_options=how, **SMALL)
    with pytest.raises(PSRError, match='argument n_per_class: expected more than the 3 images per class'):
        distill(out=tmp_path / 'new', worth_options={}, **dict(SMALL, ipc=3))
    with pytest.raises(PSRError, match='a method in which worth has a weight, or swaps, found method herding'):
        distill(out=tmp_path / 'new', method='herding', worth_options={}, **SMALL)
    with pytest.raises(PSRError, match='argument swaps: expected a whole number from 1 up, found 0'):
        distill(out=tmp_path / 'new', swaps=0, **SMALL)
    with pytest.raises(PSRError, match='at least one: the pool needs a folder'):
        distill(**SMALL)
    assert writable(tmp_path / 'new', 'provenance.json') == tmp_path / 'new' and not (tmp_path / 'new').exists()


@pytest.mark.slow
def test_prior_and_data_agree():
    prior, data = load_matching('fashion', 'fashion-mini')
    assert prior.classes == data.classes and prior.image_shape == tuple(data.images.shape[1:])
    few = load_data('fashion-mini', classes=['Bag', 'Sandal'])
    again, same = load_matching(prior, few)
    assert again.classes == ['Bag', 'Sandal'] and same is few


@pytest.mark.slow
def test_only_bundled_names_have_known_terms():
    prior, data = load_matching('fashion', 'fashion-mini')
    assert licence(prior, data)['data'] == 'Fashion-MNIST, MIT licence'
    assert licence(prior, replace(data, name='holiday'))['data'] is None


def test_the_command_line_has_the_names():
    from psr_nb import cli

    assert cli.distill is distill and cli._licence is licence and cli.text_table is text_table
    with pytest.raises(AttributeError, match='no_such_name'):
        cli.no_such_name  # noqa: B018


def test_the_demo_refines_alike_from_the_shell():
    from psr_nb.cli_whole import commands

    demo = typer.main.get_group(commands).commands['demo']
    assert next(o.default for o in demo.params if o.name == 'steps') == DEMO_REFINEMENT['steps']


def test_table_of_one_method_and_many_settings():
    row = dict(
        method='psr',
        dataset='fashion',
        protocol='quick',
        student='convnet3',
        labels='hard',
        seed=0,
        accuracy_best=0.9,
        accuracy_last=0.8,
        seconds=1.0,
        network_evaluations=1,
    )
    lines = text_table(Report([row | dict(ipc=1), row | dict(ipc=10)])).splitlines()
    assert lines[0].split() == ['method', 'ipc', 'accuracy', '%', '95', '%', 'interval', 'best', 'seeds']
    assert [line.split()[:3] for line in lines[2:]] == [['psr', '1', '80.0'], ['psr', '10', '80.0']]


@pytest.mark.slow
def test_images_that_chose_and_are_not_recorded_are_said(told, tmp_path):
    "The choice represents all real images, worth was judged by others: the set says that it does not know what they saw."
    run = told[3]
    assert unrecorded(run.selection, run.data) == []
    rest = run.data.split(20)[0]
    assert unrecorded(run.selection, rest) == ['the selection, by real images fashion']
    assert unrecorded(run.selection, rest, within=True) == []
    pool = Pool.open(run.pool.path)
    pool.add_scores({'worth': [float(i) for i in range(len(pool))]}, 'made up')
    by_worth = select(pool, 1, reference=run.data)
    assert unrecorded(by_worth, run.data) == ['measured worth, by its judges']
    made = make_set(by_worth, [], 'psr', rest, run.prior, Roles())
    assert set(made.provenance['trained_on']) >= {
        'the selection, by real images fashion',
        'measured worth, by its judges',
    }
    words = check_seen(made, load_data('fashion-mini', 'test', size=32))
    assert any('no record of what' in w and 'measured worth' in w for w in words)
