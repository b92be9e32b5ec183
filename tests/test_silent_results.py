"What comes after the images could be wrong without a word: statistics, grids, sets, choices and refinements."

import json
import shutil
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from choices import prepared, quiet

from psr_nb.bench import Bench, parse_grid, run_bench
from psr_nb.bench_table import collect, tabulate, two_level
from psr_nb.contest import compare_sets
from psr_nb.core import PSRError, assets
from psr_nb.coresets import el2n_real, k_center_real
from psr_nb.data import ImageData, load_data
from psr_nb.distilled import DistilledSet
from psr_nb.evaluate import evaluate
from psr_nb.formats import EXPORTS
from psr_nb.greedy import Priority, greedy
from psr_nb.grids import read_grid
from psr_nb.learning import are_right
from psr_nb.pool import Pool
from psr_nb.problems import ImagePool
from psr_nb.protocols import PROTOCOLS
from psr_nb.refine import RefineSettings, accept
from psr_nb.results import Report, paired
from psr_nb.robustness import robustness
from psr_nb.score import SCORES, score
from psr_nb.select import SELECTORS, SPACES, Selector, Space, embed, select
from psr_nb.stages import evaluate_set
from psr_nb.verify import verify


def row(method, seed, accuracy, **more):
    about = dict(method=method, dataset='d', ipc=1, protocol='quick', student='convnet3', labels='hard', seed=seed)
    return about | dict(accuracy_best=accuracy, accuracy_last=accuracy, seconds=1.0) | more


def test_a_difference_of_zero_is_not_significant():
    same = [row(m, s, 0.5 + s / 10, pool=p) for p in range(3) for m in 'ab' for s in range(3)]
    [other] = [r for r in tabulate(Report(same), 'a').rows if r['method'] == 'b']
    assert other['difference'] == 0 and other['p_holm'] == 1
    assert two_level({(p, s): (0.0, 0.1, -0.1)[s] for p in range(3) for s in range(3)})[3] == 1
    assert two_level({(p, s): 0.1 + s / 100 for p in range(3) for s in range(3)})[3] == pytest.approx(2 / 2001)


def test_differences_that_only_rounding_tells_apart_are_equal():
    assert np.isnan(paired(np.array([0.3, 0.7, 0.9, 0.8]), np.array([0.2, 0.6, 0.8, 0.7]))[3])


def test_pools_count_equally_in_an_interval_as_in_its_mean():
    values = {(p, s): float(p == 0) for p in range(8) for s in range(50 if p == 0 else 1)}
    mean, _, high, _ = two_level(values)
    assert mean == 1 / 8 and high <= 0.5  # four of eight draws are of the first pool at most, nearly always


def test_columns_of_results_that_are_missing_or_of_another_type(tmp_path):
    for more in (dict(pool='x'), dict(pool=None), dict(draw=1.5)):
        (tmp_path / 'results.json').write_text(json.dumps([row('a', 0, 0.5), row('a', 1, 0.5, **more)]))
        with pytest.raises(PSRError, match='row 1: expected a whole number'):
            Report.open(tmp_path / 'results.json')
    for look in (Report.summary, Report.plot):
        with pytest.raises(PSRError, match='argument key'):
            look(Report([row('a', 0, 0.5)]), 'accuracy_chosen')


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('methods: {no: {selector: first}, off: {selector: random}}', 'name of a method: .* found False. Put it in'),
        ('methods: {8: {selector: first}, 010: {selector: random}}', 'name of a method: expected some text, found 8'),
        ('methods: [[first]]', 'name of a method'),
        ('methods: {"": {selector: first}}', 'name of a method'),
        ('methods: [first]\nseeds:\n', 'key seeds of the grid: .* found None'),
        ('methods: [first]\nn_per_class:\n', 'key n_per_class of the grid: .* found None'),
        ('methods: {a: {folder: "sets/{number}"}}', 'no other braces than {ipc} and {pool}'),
        ('methods: {a: {folder: "sets/{"}}', 'no other braces'),
        ('methods: {a: {selector: psr, refine: {networks: convnet3}}}', 'networks of refinement: .* in a list'),
        ('methods: {a: {selector: psr, refine: {networks: [convnett3]}}}', "Did you mean 'convnet3'"),
    ],
)
def test_a_grid_that_yaml_reads_in_another_way(tmp_path, text, words):
    (tmp_path / 'grid.yaml').write_text(text)
    with pytest.raises(PSRError, match=words):
        read_grid(tmp_path / 'grid.yaml')
    assert read_grid_of(tmp_path, 'methods: [first]\nepochs:\nworth:\n').epochs is None  # these may be empty


def read_grid_of(folder, text):
    (folder / 'right.yaml').write_text(text)
    return read_grid(folder / 'right.yaml')


def test_another_first_student_is_another_grid_where_students_choose(tmp_path):
    kept = dict(methods={'best': {'contest': True}, 'first': None}, students=['convnet3'])
    Bench.begin(parse_grid(kept), tmp_path / 'chosen')
    more = ['convnet3', 'convnet4']
    assert len(Bench.begin(parse_grid(kept | dict(students=more)), tmp_path / 'chosen').grid.students) == 2
    with pytest.raises(PSRError, match='first student or protocol'):
        Bench.begin(parse_grid(kept | dict(students=more[::-1])), tmp_path / 'chosen')
    plain = kept | dict(methods=['first'])
    Bench.begin(parse_grid(plain), tmp_path / 'plain')
    Bench.begin(parse_grid(plain | dict(students=more[::-1])), tmp_path / 'plain')


def test_what_is_added_must_fit_the_grid_that_is_there(tmp_path):
    bench = Bench.begin(parse_grid(dict(methods=['random_real'], n_per_class=100, ipc=60)), tmp_path)
    assert 'many' in bench.add('many', dict(selector='first', n_per_class=60)).grid.methods
    with pytest.raises(PSRError, match='since few chooses from a pool, found 60'):
        bench.add('few', dict(selector='first', n_per_class=20))
    assert set(Bench.open(tmp_path).grid.methods) == {'random_real', 'many'}


FUNCTIONS = """
from types import SimpleNamespace
from dataclasses import replace

def greedy_hands(real, ipc, seed):
    own = real.per_class(ipc, seed)
    own = replace(own, images=own.images.clone())
    real.images.zero_()
    real.labels.copy_(9 - real.labels)
    return own

def lists(real, ipc, seed):
    own = real.per_class(ipc, seed)
    return SimpleNamespace(images=own.images.tolist(), labels=own.labels.tolist(), classes=tuple(own.classes))

def lost(real, ipc, seed):
    return open('no such file')

def pair(real, ipc, seed):
    return real.images, real.labels
"""


def test_functions_that_do_other_things_than_they_should(few_images, tmp_path):
    (tmp_path / 'own_methods.py').write_text(FUNCTIONS)
    names = ('greedy_hands', 'lists', 'lost', 'pair')
    methods = {name: dict(function=f'own_methods:{name}') for name in names} | {'random_real': None}
    grid = parse_grid(dict(data=str(few_images), seeds=1, ipc=1, epochs=1, methods=methods), tmp_path)
    list(run_bench(Bench.begin(grid, tmp_path / 'out')))
    report, failed = collect(Bench.open(tmp_path / 'out'))
    found = {r['method']: r['accuracy_last'] for r in report.rows}
    assert set(found) == {'greedy_hands', 'lists', 'random_real'} and len(set(found.values())) == 1  # the same images
    why = {cell['method']: words for cell, words in failed}
    assert 'no such file' in why['lost'] and 'expected a set, found an object of type tuple' in why['pair']


def test_a_function_may_not_change_under_its_cells(few_images, tmp_path):
    module = tmp_path / 'changing_methods.py'
    module.write_text('def mine(real, ipc, seed):\n    return real.per_class(ipc, seed)\n')
    methods = dict(mine=dict(function='changing_methods:mine'), random_real=None)
    grid = parse_grid(dict(data=str(few_images), seeds=1, ipc=1, epochs=1, methods=methods), tmp_path)
    list(run_bench(Bench.begin(grid, tmp_path / 'out')))
    module.write_text(module.read_text() + '\n\ndef other():\n    pass\n')
    assert not [step for step in run_bench(Bench.begin(grid, tmp_path / 'out')) if step.error]
    module.write_text('def mine(real, ipc, seed):\n    return real.per_class(ipc, seed + 1)\n')
    with pytest.raises(
        PSRError, match='the function of mine. Put them back, or have its cells made again: --only mine'
    ):
        list(run_bench(Bench.open(tmp_path / 'out')))
    assert len(list(run_bench(Bench.open(tmp_path / 'out'), only='mine'))) == 1
    assert not list(run_bench(Bench.open(tmp_path / 'out')))


def test_a_teacher_may_not_change_under_its_cells(few_images, tmp_path):
    teacher = Path(shutil.copytree(assets() / 'fashion' / 'teachers' / 'a', tmp_path / 'teacher'))
    methods = dict(random_real=None)
    how = dict(
        data=str(few_images), seeds=1, ipc=1, epochs=1, labels='soft', soft_teacher=str(teacher), methods=methods
    )
    list(run_bench(Bench.begin(parse_grid(how, tmp_path), tmp_path / 'out')))
    assert not list(run_bench(Bench.open(tmp_path / 'out')))
    shutil.copytree(assets() / 'fashion' / 'teachers' / 'b', teacher, dirs_exist_ok=True)
    with pytest.raises(PSRError, match=f'others than those of the cells that are there: teacher {teacher}'):
        list(run_bench(Bench.open(tmp_path / 'out')))


def test_a_student_that_diverged_is_not_a_guess(few_images):
    test = load_data(few_images, 'test')
    wild = replace(PROTOCOLS['quick'], epochs=((float('inf'), 2),), lr={'*': 1e12})
    with pytest.warns(UserWarning, match='training of a student diverged'):
        report = evaluate(load_data(few_images, 'train').per_class(1), test, wild, seeds=1, progress=False)
    assert report.rows[0]['accuracy_last'] == 0  # its answers were the first class, and a tenth of them right
    logits = torch.tensor([[0.0, 1.0], [torch.nan, 0.0]])
    with pytest.warns(UserWarning, match='no numbers'):
        assert are_right(logits, torch.tensor([1, 0])).tolist() == [True, False]


@pytest.mark.parametrize('name', ['npz', 'parquet', 'webdataset', 'pt', 'safetensors'])
def test_soft_labels_come_back_from_each_form(tmp_path, name):
    "Also where the form has the classes in another order, or a part of them is wanted."
    made = a_set('d1ca', soft_labels=torch.softmax(torch.arange(32).reshape(8, 4) % 5 + 0.0, 1))
    write, ending = EXPORTS[name]
    write(made, tmp_path / f'set{ending}')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        read = load_data(tmp_path / f'set{ending}')
        some = load_data(tmp_path / f'set{ending}', classes=list(made.classes)[2:0:-1])
    order = [list(made.classes).index(c) for c in read.classes]
    rows = torch.argsort(read.labels, stable=True)
    for c in read.classes:
        mine = made.soft_labels[made.labels == list(made.classes).index(c)][:, order]
        assert torch.allclose(read.soft_labels[rows][read.labels[rows] == list(read.classes).index(c)], mine, atol=1e-3)
    assert some.soft_labels.shape == (4, 2) and torch.allclose(some.soft_labels.sum(1), torch.ones(4))


def test_soft_labels_that_cannot_be_kept(tmp_path):
    images, labels = np.zeros((2, 8, 8, 3), np.uint8), np.array([0, 1])
    np.savez(tmp_path / 'logits.npz', images=images, labels=labels, soft_labels=np.array([[3.0, 1.0], [1.0, 3.0]]))
    with pytest.raises(PSRError, match='expected probabilities.*softmax'):
        load_data(tmp_path / 'logits.npz')
    np.savez(tmp_path / 'short.npz', images=images, labels=labels + 1, soft_labels=np.array([[1.0], [1.0]]))
    with pytest.raises(PSRError, match='a number for each of 3 classes, found 1'):
        load_data(tmp_path / 'short.npz')
    np.savez(tmp_path / 'words.npz', images=images, labels=np.array(['b', 'a']), soft_labels=np.eye(2))
    with pytest.warns(UserWarning, match='left out 2 rows of soft labels, since nobody says which classes'):
        assert load_data(tmp_path / 'words.npz').soft_labels is None


def test_yes_and_no_for_each_class(tmp_path):
    torch.save(
        dict(images=torch.rand(4, 1, 8, 8), labels=torch.eye(4, dtype=torch.bool)[[2, 0, 3, 1]]), tmp_path / 'set.pt'
    )
    assert load_data(tmp_path / 'set.pt').labels.tolist() == [2, 0, 3, 1]


def test_images_that_occur_twice_are_not_chosen_twice():
    "And a number of images that is none is refused: -1 gave all but one."
    real = ImageData(
        torch.arange(3).repeat(4)[:, None, None, None].repeat(1, 1, 8, 8).byte() * 80, torch.zeros(12), ['a']
    )
    chosen = k_center_real(replace(real, names=np.arange(12)), 12)
    assert sorted(chosen.names) == list(range(12))
    for wrong in (-1, 0, 1.5):
        with pytest.raises(PSRError, match='argument ipc'):
            el2n_real(real, wrong, torch.zeros(12))


def test_a_set_and_a_baseline_of_one_name(few_images, tmp_path):
    few = load_data(few_images, 'train').per_class(1)
    made = DistilledSet(few.images, few.labels, few.classes, provenance=dict(method='random_real'))
    made.save(tmp_path / 'set')
    with pytest.raises(PSRError, match='a name of the set that no baseline has'):
        evaluate_set(tmp_path / 'set', str(few_images), baselines=['random_real'], progress=False)
    test = load_data(few_images, 'test')
    with pytest.raises(PSRError, match='another name than random_real and all_real'):
        robustness(made, few, test, full=0.5, name='all_real', progress=False)
    with pytest.raises(PSRError, match='a text as the name of each set, found 5'):
        evaluate({5: made}, test, progress=False)


def a_set(classes='abcd', **more):
    images, labels = torch.arange(8 * 64).reshape(8, 1, 8, 8).remainder(256).byte(), torch.arange(8) // 2
    return DistilledSet(images, labels, list(classes), **more)


def test_a_set_that_could_not_be_read_again_is_not_written(tmp_path):
    soft = torch.eye(4).repeat_interleave(2, 0) * 0.6 + 0.1
    with pytest.raises(PSRError, match='soft_dtype: expected "float32" or "float16"'):
        a_set(soft_labels=soft).save(tmp_path / 'set', soft_dtype='int8')  # all of them would have been 0
    for wrong in (dict(method=None), dict(notes='one'), dict(dataset=5), dict(images=[dict(seed='5')] * 8)):
        with pytest.raises(PSRError, match='provenance'):
            a_set(provenance=wrong).save(tmp_path / 'set')
    with pytest.raises(PSRError, match='at least one'):
        DistilledSet(torch.zeros(0, 1, 8, 8, dtype=torch.uint8), torch.zeros(0), ['a', 'b']).save(tmp_path / 'set')
    assert not list(tmp_path.iterdir())
    for wrong in (1.0, True, '1'):
        with pytest.raises(PSRError, match='argument ipc: expected 1 to 2'):
            a_set().take(wrong)


def test_numbers_and_records_with_which_nothing_can_be_verified(tmp_path):
    a_set(provenance=dict(images=[dict(index=i, seed=i) for i in range(8)])).save(tmp_path / 'set')
    for wrong in (dict(images=1.5), dict(images=0), dict(levels=-1), dict(seed=-1)):
        with pytest.raises(PSRError, match=f'argument {next(iter(wrong))}'):
            verify(tmp_path / 'set', **wrong)
    file = tmp_path / 'set' / 'provenance.json'
    about = json.loads(file.read_text())
    for wrong in (dict(seed='5'), dict(index='0'), dict(refine='yes')):
        file.write_text(json.dumps(about | dict(images=[r | wrong for r in about['images']])))
        with pytest.raises(PSRError, match=r'provenance.json \(image 0\)'):
            verify(tmp_path / 'set')
    file.write_text(json.dumps(about | dict(sampler=dict(steps=5))))
    with pytest.raises(PSRError, match=r"setting of sampling in .*set 'steps'"):
        verify(tmp_path / 'set', 'fashion')


def test_rules_of_others_whose_gains_are_no_numbers(monkeypatch):
    ready = prepared(0)
    for values in (np.full(30, np.nan), np.full(30, np.inf), np.zeros(29), np.zeros((30, 1)), np.float64(1)):
        rule = Selector(lambda p, k, seed, allowed, v=values: Priority(v), 'a test')
        monkeypatch.setitem(SELECTORS, 'mine', rule)
        with pytest.raises(PSRError, match='gains of the candidates'):
            quiet(lambda: ready.select(1, 'mine'))  # the first candidate was chosen
    assert greedy(Priority(np.array([1.0, 3.0, 2.0])), 2)[0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ('build', 'words'),
    [
        (lambda s, options: s.images[:].float().flatten(1)[1:], 'a row for each of 40 images, found shape'),
        (lambda s, options: s.images[:].float().flatten(1).repeat(2, 1), 'a row for each of 40 images, found shape'),
        (lambda s, options: s.images[:].float().mean((1, 2, 3)), 'a row for each of 40 images, found shape'),
        (lambda s, options: s.images[:].float().flatten(1) / 0, 'finite numbers'),
        (lambda s, options: None, 'a tensor'),
    ],
)
def test_spaces_of_others_that_give_no_features(few_images, monkeypatch, build, words):
    "One row too few had moved all that follow; rows too many had been passed over."
    monkeypatch.setitem(SPACES, 'mine', Space(build, 'a test'))
    pool = ImagePool(load_data(few_images, 'train'), 4)
    with pytest.raises(PSRError, match=f'feature space mine: expected {words}'):
        select(pool, 1, 'dpp', space='mine')


def test_a_space_that_was_changed_is_not_read_from_the_cache(tiny_copy, monkeypatch):
    def first(source, options):
        return source.images[:].float().flatten(1)

    def second(source, options):
        return source.images[:].float().mean((2, 3)) + 1

    widths, pool = [], Pool.open(tiny_copy)
    for build in (first, second, first, partial(second)):
        monkeypatch.setitem(SPACES, 'mine', Space(build, 'a test'))
        widths.append(embed(pool, 'mine').shape[1])
    assert widths[0] == widths[2] > widths[1] == widths[3]


def test_scores_of_others(tiny_copy, monkeypatch):
    "What one changes in its arguments is not what the next is given, and what is no number is refused."

    def changes(logits, labels):
        logits.zero_()
        labels.zero_()
        return logits[:, 0]

    pool = Pool.open(tiny_copy)
    right = score(pool, ['reliability'])['reliability'].tolist()
    monkeypatch.setitem(SCORES, 'mine', changes)
    assert score(pool, ['mine', 'reliability'])['reliability'].tolist() == right
    for wrong in (lambda logits: logits[1:, 0], lambda logits: 1.0, lambda logits: None, lambda logits: logits[:, :1]):
        monkeypatch.setitem(SCORES, 'mine', wrong)
        with pytest.raises(PSRError, match='score mine'):
            score(pool, ['mine'])
    monkeypatch.setitem(SCORES, 'mine', lambda logits: logits[:, 0].numpy())
    assert 'mine' in score(pool, ['mine'])


def test_numbers_of_a_selection_that_are_none(few_images):
    ready = prepared(0)
    for wrong in (9.5, '9', True):
        with pytest.raises(PSRError, match='argument budget: expected a whole number'):
            ready.select(method='first', budget=wrong)
    chosen = quiet(lambda: ready.select(3, 'k_means', seed=2**32 + 5))
    assert [i.tolist() for i in chosen.ids] == [i.tolist() for i in ready.select(3, 'k_means', seed=5).ids]
    with pytest.raises(PSRError, match='argument ipc: expected 1 to 3'):
        chosen.take(2.0)
    real = load_data(few_images, 'train')
    pool = ImagePool(real, 2)
    for wrong in (-1, 0, 1.5):  # -1 left the last image of each class out
        with pytest.raises(PSRError, match='argument max_reference'):
            select(pool, 1, reference=real, max_reference=wrong, space='pixels', gate=False)


def test_images_that_became_nan_are_not_accepted():
    "Also where a class has one image and nobody judges."
    before = torch.rand(3, 1, 32, 32)
    after = before.clone()
    after[1] = torch.nan
    assert accept(before, after, torch.arange(3), None).tolist() == [True, False, True]


def test_networks_of_a_refinement():
    for wrong in ('convnet3', (), (3,), ('convnett3',)):
        with pytest.raises(PSRError):
            replace(RefineSettings(), networks=wrong).check()
    replace(RefineSettings(), networks=('convnet3', 'resnet_ap10')).check()


def test_sets_that_students_cannot_compare(few_images):
    real, labels = load_data(few_images, 'train'), torch.arange(10)
    for sets, wrong in (
        (torch.rand(2, 10, 1, 32, 32) * 255, labels),
        (torch.full((2, 10, 1, 32, 32), torch.nan), labels),
        (torch.rand(2, 10, 1, 28, 28), labels),
        (torch.rand(2, 10, 1, 32, 32), labels + 1),
        (torch.rand(2, 10, 1, 32, 32), labels[:9]),
    ):
        with pytest.raises(PSRError, match='images|labels|sets'):
            compare_sets(sets, wrong, real, 1)


def test_each_number_of_a_page_is_under_its_own_heading():
    "Rows of two files have other columns, or the same in another order."
    from psr_nb.report import accuracy_section

    rows = [row('psr', 0, 0.5), {'pool': 1, **row('psr', 1, 0.25)}]
    told = accuracy_section(sum(Report([r]) for r in rows))
    shown = [dict(zip(told['columns'], values, strict=True)) for values in told['trainings']]
    assert [s['accuracy last'] for s in shown] == ['0.5000', '0.2500'] and [s['pool'] for s in shown] == ['', '1']
