"A grid: killed and resumed, shared, with methods that fail and files that are wrong."

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from commands import server
from PIL import Image

from psr_nb import bench as bench_room
from psr_nb import sets as sets_room
from psr_nb.bench import Bench, cells_of, parse_grid, read_grid, run_bench
from psr_nb.bench_page import figure_sections, table_sections
from psr_nb.bench_table import collect, tabulate, write_results
from psr_nb.core import PSRError
from psr_nb.results import Report
from psr_nb.worth import Worth

SMALL = dict(data='fashion-mini', seeds=2, ipc=[1, 2], epochs=2, methods=['random_real', 'herding_real'])


@pytest.fixture
def small(few_images):
    return SMALL | dict(data=str(few_images))


def accuracies(path):
    return [{k: r[k] for k in ('method', 'ipc', 'seed', 'accuracy_last')} for r in json.loads(path.read_text())['rows']]


@pytest.mark.slow
def test_killed_and_resumed_is_the_same_table(small, tmp_path):
    whole, broken = (Bench.begin(parse_grid(small), tmp_path / name) for name in ('whole', 'broken'))
    assert len(list(run_bench(whole))) == 4
    first = run_bench(broken)
    next(first)
    first.close()  # as if it were killed
    again = Bench.begin(parse_grid(small), tmp_path / 'broken')
    assert len(list(run_bench(again))) == 3
    tables = [write_results(b).cells() for b in (whole, again)]
    assert tables[0] == tables[1]
    assert accuracies(whole.path / 'results.json') == accuracies(again.path / 'results.json')


def _run(grid, path, queue):
    torch.set_num_threads(1)
    queue.put([s.cell.name for s in run_bench(Bench.begin(parse_grid(grid), path))])


@pytest.mark.slow
def test_two_processes_share_a_grid(small, tmp_path):
    queue = server.Queue()
    both = [server.Process(target=_run, args=(small, tmp_path / 'grid', queue)) for _ in range(2)]
    for process in both:
        process.start()
    done = queue.get(timeout=200) + queue.get(timeout=200)
    for process in both:
        process.join(60)
    names = [c.name for c in cells_of(parse_grid(small))]
    assert sorted(done) == sorted(names)  # each cell once


def test_many_begin_one_grid_at_once(tmp_path):
    for turn in range(20):
        start = threading.Barrier(8)

        def begin(_, path=tmp_path / f'{turn}', start=start):
            start.wait()
            return Bench.begin(parse_grid(dict(methods=['random_real'])), path).grid.key

        with ThreadPoolExecutor(8) as workers:
            assert len(set(workers.map(begin, range(8)))) == 1


def test_what_many_add_at_once_is_all_kept(tmp_path):
    bench = Bench.begin(parse_grid(dict(methods=['random_real'])), tmp_path)
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda n: bench.add(f'mine {n}', dict(folder=f'{n}')), range(8)))
    kept = Bench.open(tmp_path).grid.methods
    assert set(kept) == {'random_real'} | {f'mine {n}' for n in range(8)}
    with pytest.raises(PSRError, match='a name that'):
        bench.add('mine 3', dict(folder='3'))  # this grid does not know it, the folder does


@pytest.mark.slow
def test_a_method_that_fails(few_images, tmp_path):
    (tmp_path / 'mine.py').write_text(
        'def make_set(real, ipc, seed):\n    return real.per_class(ipc, seed)\n\n\n'
        'def broken(real, ipc, seed):\n    raise ValueError("no images today")\n'
    )
    (tmp_path / 'grid.yaml').write_text(
        f'data: {few_images}\nseeds: 2\nipc: 1\nepochs: 2\nmethods:\n  random_real:\n'
        '  mine: {function: "mine:make_set"}\n  broken: {function: "mine:broken"}\n  gone: {folder: nowhere}\n'
    )
    grid = Bench.begin(read_grid(tmp_path / 'grid.yaml'), tmp_path / 'out')
    assert len(list(run_bench(grid))) == 4
    report, failed = collect(grid)
    assert report.methods == ['random_real', 'mine'] and [c['method'] for c, _ in failed] == ['broken', 'gone']
    text = write_results(grid).text()
    assert 'no images today' in text and 'nothing there' in text
    mine = tabulate(report, 'random_real').rows[1]
    assert mine['difference'] == pytest.approx(0)  # the same draws, the same students


def test_the_exit_code_says_that_cells_failed(tmp_path):
    from commands import here

    (tmp_path / 'grid.yaml').write_text('data: nowhere\nmethods: [random_real]\n')
    done = here('bench', tmp_path / 'grid.yaml', '--out', tmp_path / 'out', '-q')
    assert done.returncode == 1 and "failed: random_real, 10 per class, convnet3: data set 'nowhere'" in done.stdout


def test_damaged_and_newer_files_of_a_grid(tmp_path):
    bench = Bench.begin(parse_grid(dict(methods=['random_real'])), tmp_path / 'out')
    file = tmp_path / 'out' / 'grid.json'
    whole = json.loads(file.read_text())
    grid = whole['grid']
    wrong = [dict(format=99), dict(grid=None), dict(order=['other']), dict(order=5), dict(added=[3])]
    for key, values in (
        ('methods', (None, [], {}, {'random_real': 5})),
        ('data', (None, 5)),
        ('ipc', (None, [], [0], ['1'], [True])),
        ('students', ('convnet3', [3])),
        ('seeds', (None, 0, '3', True)),
        ('epochs', (0, '3')),
        ('labels', (3,)),
    ):
        wrong += [dict(grid={**grid, key: value}) for value in values if value != [] or key == 'methods']
    for change in wrong:
        file.write_text(json.dumps(whole | change))
        with pytest.raises(PSRError, match='grid.json'):
            Bench.open(tmp_path / 'out')
    file.write_text(json.dumps(whole))
    [cell] = cells_of(Bench.open(tmp_path / 'out').grid)
    row = dict(
        method='random_real', dataset='d', ipc=10, protocol='quick', student='s', labels='hard', seed=0, seconds=1
    )
    row |= dict(accuracy_best=0.5, accuracy_last=0.5)
    rows = [3], [{}], [row | dict(accuracy_last='high')], [row | dict(accuracy_last=40)]
    wrong = [[], {}, dict(rows=5, error=''), dict(rows=[]), dict(rows=[], error='', format=99)]
    for content in (*wrong, *(dict(rows=r, error='') for r in rows)):
        bench.file(cell).write_text(json.dumps(content))
        with pytest.raises(PSRError, match=bench.file(cell).name):
            Bench.open(tmp_path / 'out').done(cell)
    bench.file(cell).write_text('{"rows": [')
    with pytest.raises(PSRError, match='JSON.*Remove it, and its cell'):
        bench.done(cell)


def test_what_is_behind_the_names_may_not_change(few_images, tmp_path):
    "Other real images under the same path, a pool that was extended or put there by somebody, a picture of before."
    from psr_nb.stages import make_pool

    data = shutil.copytree(few_images, tmp_path / 'data')
    methods = dict(first=None, mine=dict(baseline='random_real'))
    grid = dict(data=str(data), prior='fashion', n_per_class=2, ipc=1, seeds=1, epochs=1, methods=methods)
    bench = Bench.begin(parse_grid(grid), tmp_path / 'out')
    list(run_bench(bench))
    pool, cells = tmp_path / 'out' / 'pools' / '0', cells_of(bench.grid)
    small = json.loads(bench.file(cells[0]).read_text())['rows'][0]['accuracy_last']
    make_pool(pool, n_per_class=4, progress=False)
    pictures = {c.method: bench.sheet(c).read_bytes() for c in cells}
    grid['methods'] = dict(first=None, mine=dict(selector='herding'))
    again = Bench.begin(parse_grid(grid), tmp_path / 'out')
    assert sets_room.pool_of(again, 0).n_per_class == 2
    list(run_bench(again, only='-'))
    assert json.loads(bench.file(cells[0]).read_text())['rows'][0]['accuracy_last'] == small
    assert {m: bench.sheet(c).read_bytes() == pictures[m] for c in cells for m in [c.method]} == dict(
        first=True, mine=False
    )
    shutil.rmtree(pool)
    make_pool(pool, 'fashion', n_per_class=2, seed=5, progress=False)
    with pytest.raises(PSRError, match='pool 0 of the grid: seed 0, .* found seed 5. Remove it'):
        sets_room.pool_of(Bench.open(tmp_path / 'out'), 0)
    shutil.copy(data / 'test.parquet', data / 'train.parquet')
    with pytest.raises(PSRError, match='others than those of the cells that are there: training images. Put them back'):
        list(run_bench(Bench.open(tmp_path / 'out')))


def test_a_set_on_disk_may_not_change_under_its_cells(small, tmp_path):
    "It is refused, unless its cells are to be made again; a set that failed may be mended."
    labels, file = torch.arange(10), tmp_path / 'mine.pt'
    torch.save([torch.rand(10, 1, 32, 32), labels], file)
    torch.save([torch.rand(9, 1, 32, 32), labels[:9]], tmp_path / 'late.pt')
    methods = dict(random_real=None, mine=dict(folder=str(file)), late=dict(folder=str(tmp_path / 'late.pt')))
    grid = parse_grid(small | dict(ipc=1, students=['convnet3', 'convnet4'], methods=methods))
    out = tmp_path / 'out'
    steps = {s.cell.name: s.error for s in run_bench(Bench.begin(grid, out))}
    assert sorted(name.split('-')[0] for name, error in steps.items() if error) == ['late', 'late']
    torch.save([torch.rand(10, 1, 32, 32), labels], file)
    with pytest.raises(PSRError, match=r'the set of mine, ipc 1, pool 0. Put them back, or have .* again: --only mine'):
        list(run_bench(Bench.open(out)))
    again = [s for s in run_bench(Bench.open(out), only='mine') if not s.error]
    assert len(again) == 2
    torch.save([torch.rand(10, 1, 32, 32), labels], tmp_path / 'late.pt')
    assert not any(s.error for s in run_bench(Bench.open(out), only='late'))
    assert not list(run_bench(Bench.open(out)))


def test_a_set_with_missing_classes(small, tmp_path):
    torch.save([torch.rand(9, 1, 32, 32), torch.arange(9)], tmp_path / 'nine.pt')
    methods = dict(random_real=None, nine=dict(folder=str(tmp_path / 'nine.pt')))
    grid = Bench.begin(parse_grid(small | dict(ipc=1, methods=methods)), tmp_path / 'out')
    [error] = [s.error for s in run_bench(grid) if s.error]
    assert '9 classes' in error


def test_out_of_memory_on_one_pool(tmp_path, monkeypatch):
    "The cell says so, and the grid goes on with the other pools; a full disk is another matter."
    methods = dict(mine=dict(function='json:dumps'))
    grid = Bench.begin(parse_grid(SMALL | dict(ipc=1, pools=3, methods=methods)), tmp_path / 'out')
    errors = {0: torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 GiB'), 2: OSError(12, 'no memory')}

    def sets_of(bench, cell):
        if cell.pool in errors:
            raise errors[cell.pool]
        real = bench.images('train').per_class(1)
        return {0: real}, bench.images('test').per_class(2)

    monkeypatch.setattr(bench_room, 'sets_of', sets_of)
    steps = list(run_bench(grid, device='cpu'))
    assert [s.error.split(':')[0] for s in steps] == ['out of memory', '', 'out of memory']
    assert 'Tried to allocate 20.00 GiB' in write_results(grid).text()
    errors[1] = OSError(28, 'No space left on device')
    with pytest.raises(OSError, match='No space left'):
        list(run_bench(grid, only='pool1', device='cpu'))


@pytest.mark.slow
def test_disk_full(small, tmp_path, monkeypatch):
    "What is done stays; the next run goes on."
    grid = Bench.begin(parse_grid(small), tmp_path / 'out')
    write, count = bench_room.write_atomic, []

    def full(path, content):
        count.append(path)
        if len(count) == 2:
            raise PSRError(f'{path}', 'room on the disk', 'none')
        return write(path, content)

    monkeypatch.setattr(bench_room, 'write_atomic', full)
    with pytest.raises(PSRError, match='room on the disk'):
        list(run_bench(grid))
    monkeypatch.undo()
    assert len(list(run_bench(grid))) == 3


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(sudents=['convnet3']), "Did you mean 'students'"),
        (dict(methods=['randomreal']), "Did you mean 'random_real'"),
        (dict(protocols='minimaxx'), "Did you mean 'minimax'"),
        (dict(seeds=0), 'from 1 up'),
        (dict(methods={}), 'at least one method'),
        (dict(methods={'a': dict(folder='x', selector='psr')}), 'one of selector'),
    ],
)
def test_wrong_words(change, words):
    with pytest.raises(PSRError, match=words):
        parse_grid(SMALL | change)


def test_another_grid_in_the_folder(tmp_path):
    Bench.begin(parse_grid(SMALL), tmp_path / 'out')
    with pytest.raises(PSRError, match='another one'):
        Bench.begin(parse_grid(SMALL | dict(seeds=3)), tmp_path / 'out')
    with pytest.raises(PSRError, match='a folder with out'):
        Bench.begin(parse_grid(SMALL), tmp_path)


@pytest.mark.slow
def test_students_of_all_methods_as_one_network(small, tmp_path):
    "The same cells with the same rows, whether students are trained alone or abreast; a method that fails fails alone."
    methods = dict(
        random_real=dict(baseline='random_real', draws=2), herding_real=None, bad=dict(function='json:dumps')
    )
    grids = [Bench.begin(parse_grid(small | dict(ipc=2, methods=methods)), tmp_path / str(i)) for i in range(2)]
    steps = [list(run_bench(b, abreast=abreast, device='cpu')) for b, abreast in zip(grids, (False, True))]
    assert [[s.cell for s in found] for found in steps][0] == [s.cell for s in steps[1]]
    assert [bool(s.error) for s in steps[1]] == [False, False, True]
    alone, abreast = (collect(b)[0].rows for b in grids)
    same = ('method', 'pool', 'draw', 'seed', 'ipc', 'protocol', 'network_evaluations')
    assert [[r[k] for k in same] for r in alone] == [[r[k] for k in same] for r in abreast]
    assert all(abs(a['accuracy_last'] - b['accuracy_last']) < 0.01 for a, b in zip(alone, abreast))


@pytest.mark.slow
def test_a_grid_grows_and_keeps_its_cells(small, tmp_path):
    grid = small | dict(ipc=1, methods=['random_real'])
    list(run_bench(Bench.begin(parse_grid(grid), tmp_path / 'out')))
    more = Bench.begin(parse_grid(grid | dict(ipc=[1, 2], methods=['random_real', 'k_center_real'])), tmp_path / 'out')
    assert len(list(run_bench(more))) == 3
    other = dict(k_center_real=dict(baseline='herding_real'), random_real=None)  # the name means something else now
    changed = Bench.begin(parse_grid(grid | dict(ipc=[1, 2], methods=other)), tmp_path / 'out')
    assert {s.cell.method for s in run_bench(changed)} == {'k_center_real'}
    with pytest.raises(PSRError, match='methods or numbers'):
        Bench.begin(parse_grid(grid), tmp_path / 'out')


@pytest.mark.slow
def test_worth_is_asked_for_by_its_weight(few_images, tmp_path, monkeypatch):
    "A method that weighs worth fails with a sentence where the pool has none, and chooses by it where the grid measures it."
    grid = dict(data=str(few_images), prior='fashion', n_per_class=4, seeds=1, ipc=2, epochs=1)
    grid |= dict(
        methods=dict(plain=dict(selector='psr', weights=dict(worth=0)), by=dict(selector='psr', weights=dict(worth=3)))
    )
    without = Bench.begin(parse_grid(grid), tmp_path / 'without')
    assert [('worth was measured' in s.error) for s in run_bench(without)] == [False, True]
    values = np.random.default_rng(0).normal(size=(10, 4))
    worth = SimpleNamespace(values=values, counts=1.0, about=dict(ipc=2))
    worth.give_to = partial(Worth.give_to, worth)
    measured = SimpleNamespace(worth=worth)
    monkeypatch.setattr(sets_room, 'measure_worth', lambda *how, **more: iter([measured]))
    with_worth = Bench.begin(parse_grid(grid | dict(worth=16)), tmp_path / 'with')
    shutil.copytree(without.path / 'pools', with_worth.path / 'pools')
    assert not any(s.error for s in run_bench(with_worth))
    plain, by = (bench_room.set_of(with_worth, cell)[0].images for cell in cells_of(with_worth.grid))
    assert not torch.equal(plain, by)


def test_a_method_chooses_from_the_first_of_a_pool(few_images, tmp_path):
    "As if no more had been sampled, and what it asks of the prior is counted so."
    words = dict(data=str(few_images), prior='fashion', n_per_class=6, seeds=1, ipc=2, epochs=1)
    methods = dict(few=dict(selector='psr', n_per_class=4), all=dict(selector='psr', n_per_class=6), psr=None)
    larger = Bench.begin(parse_grid(words | dict(methods=methods)), tmp_path / 'larger')
    few, whole, usual = cells_of(larger.grid)
    images = lambda bench, cell: sets_room.set_of(bench, cell)[0].images
    assert sets_room.denoising_steps(larger, few) * 6 == sets_room.denoising_steps(larger, whole) * 4
    smaller = Bench.begin(parse_grid(words | dict(n_per_class=4, methods=['psr'])), tmp_path / 'smaller')
    assert torch.equal(images(larger, few), images(smaller, *cells_of(smaller.grid)))
    assert torch.equal(images(larger, whole), images(larger, usual))
    assert not torch.equal(images(larger, whole), images(larger, few))


@pytest.mark.slow
def test_add_and_page_as_commands(few_images, tmp_path):
    "A set on disk becomes a row of a grid's file or folder; what was there is not made again."
    from typer.testing import CliRunner

    from psr_nb.cli import app

    run = lambda *words: CliRunner().invoke(app, ['bench', *map(str, words)])
    file, out = tmp_path / 'grid.yaml', tmp_path / 'out'
    file.write_text(f'data: {few_images}\nseeds: 1\nipc: 1\nepochs: 1\nmethods:\n  random_real:  # drawn\n')
    assert run(file, '--out', out, '-q').exit_code == 0
    before = {f: f.read_text() for f in (out / 'cells').glob('*.json')}
    torch.save([torch.rand(10, 1, 32, 32), torch.arange(10)], tmp_path / 'mine.pt')
    found = run('add', file, 'mine', 'mine.pt', '--out', out)
    assert found.exit_code == 0 and '2 cells, 1 to do' in found.stdout, found.stdout
    assert file.read_text().splitlines()[5:] == ['  random_real:  # drawn', '  mine: {folder: mine.pt}']
    found = run('add', out, 'herding', 'herding_real')
    assert '3 cells, 1 to do' in found.stdout and 'herding' in found.stdout
    assert all(f.read_text() == text for f, text in before.items())
    assert run('page', out).exit_code == 0
    page = (out / 'bench.html').read_text()
    assert '<strong>' not in page  # nothing is clear after so few students
    before = (out / 'grid.json').read_text()
    wrong = run('page', out, '--out', out / 'grid.json')
    assert wrong.exit_code == 1 and (out / 'grid.json').read_text() == before
    assert page.count('data:image/webp') == 3 and 'Set of mine' in page
    taken = run('add', out, 'mine', 'herding_real')
    assert taken.exit_code == 1


@pytest.mark.slow
def test_teachers_of_a_refined_method(few_images, tmp_path):
    "One scores, another refines, a third judges, unless the grid says that one does it all."
    brief = dict(steps=1, width=8, warm_up=1, unroll=1, student_real=32)
    circular = dict(selector='psr', refine=brief | dict(teacher='fashion/a', judge='fashion/a'))
    methods = dict(transfer=dict(selector='psr', refine=brief), circular=circular, plain=dict(selector='psr'))
    words = dict(data=str(few_images), prior='fashion', teacher='fashion/a', n_per_class=1, ipc=1)
    grid = Bench.begin(parse_grid(words | dict(methods=methods)), tmp_path / 'out')
    asked = []
    refine = sets_room.run_refine
    with pytest.MonkeyPatch.context() as patch:
        see = lambda chosen, prior, roles, *more: (asked.append(roles), refine(chosen, prior, roles, *more))[1]
        patch.setattr(sets_room, 'run_refine', see)
        sets = {cell.method: bench_room.set_of(grid, cell)[0].images for cell in cells_of(grid.grid)}
    names = [(r.refining.name, r.judging.name) for r in asked]
    assert names == [('fashion/b', 'fashion/c'), ('fashion/a', 'fashion/a')]
    assert (
        sets['transfer'].shape == sets['plain'].shape and sets['plain'].dtype == sets['transfer'].dtype == torch.uint8
    )
    with pytest.raises(PSRError, match="Did you mean 'steps'"):
        parse_grid(words | dict(methods=dict(mine=dict(selector='psr', refine=dict(step=1)))))


@pytest.mark.slow
def test_a_contest_is_a_method(few_images, tmp_path, monkeypatch):
    "Its winner is trained like any other set; where the grid measures worth, rules with worth take part."
    words = dict(data=str(few_images), prior='fashion', n_per_class=4, seeds=1, ipc=2, epochs=1)
    best = dict(contest=dict(students=1, rounds=2))
    grid = Bench.begin(parse_grid(words | dict(methods=dict(psr=None, best=best))), tmp_path / 'grid')
    assert [s.error for s in run_bench(grid)] == ['', '']
    cells = {cell.method: cell for cell in cells_of(grid.grid)}
    found = bench_room.contest_of(grid, cells['best'])
    assert torch.equal(bench_room.set_of(grid, cells['best'])[0].images, found.best.images)
    rows = {r['method']: r for r in collect(grid)[0].rows}
    assert (rows['psr']['set_students'], rows['best']['set_students']) == (0, found.students)
    assert found.students > len(found.selections)
    values = np.random.default_rng(0).normal(size=(10, 4))
    worth = SimpleNamespace(values=values, counts=1.0, about=dict(ipc=2), calibration=None)  # too few for exchanges
    worth.give_to = partial(Worth.give_to, worth)
    monkeypatch.setattr(sets_room, 'measure_worth', lambda *how, **more: iter([SimpleNamespace(worth=worth)]))
    with_worth = Bench.begin(parse_grid(words | dict(worth=16, methods=dict(best=best))), tmp_path / 'with')
    shutil.copytree(grid.path / 'pools', with_worth.path / 'pools')
    [step] = run_bench(with_worth)
    by = bench_room.contest_of(with_worth, step.cell)
    assert len(by.selections) > len(found.selections) and any('worth 0.5' in name for name in by.selections)
    assert collect(with_worth)[0].rows[0]['set_students'] == 16 + by.students


@pytest.mark.slow
def test_soft_labels_come_from_a_teacher(few_images, tmp_path):
    "Sets without soft labels get them from a teacher that did not score, or from the one that the grid names."
    words = dict(data=str(few_images), prior='fashion', n_per_class=2, seeds=1, ipc=1, epochs=1)
    words |= dict(labels='soft', methods=['first', 'random_real'])
    grid = Bench.begin(parse_grid(words), tmp_path / 'grid')
    assert [s.error for s in run_bench(grid)] == ['', '']
    assert {r['labels'] for r in collect(grid)[0].rows} == {'soft'}
    assert grid.soft_teacher('quick').name == 'fashion/b'
    named = Bench(parse_grid(words | dict(soft_teacher='fashion/c')), tmp_path)
    assert named.soft_teacher('quick').name == 'fashion/c'
    assert Bench(parse_grid(words | dict(labels='hard')), tmp_path).soft_teacher('rded') is None
    nobody = Bench(parse_grid(dict(data=str(few_images), labels='soft', methods=['random_real'])), tmp_path)
    with pytest.raises(PSRError, match='key soft_teacher of the grid'):
        nobody.soft_teacher('quick')


def test_a_function_gives_as_many_images_as_the_cell_says(few_images, tmp_path):
    (tmp_path / 'theirs.py').write_text('def make_set(real, ipc, seed):\n    return real.per_class(5, seed)\n')
    (tmp_path / 'grid.yaml').write_text(
        f'data: {few_images}\nseeds: 1\nipc: 1\nmethods:\n  theirs: {{function: "theirs:make_set"}}\n'
    )
    grid = Bench.begin(read_grid(tmp_path / 'grid.yaml'), tmp_path / 'out')
    [step] = run_bench(grid)
    assert 'function of method theirs: expected 1 images of each of 10 classes, found 5 to 5' in step.error


def test_images_of_several_sizes_need_the_key_size(tmp_path):
    for split in ('train', 'test'):
        for i, name in enumerate(('cat', 'dog')):
            for n, side in enumerate((20, 30)):
                folder = tmp_path / 'data' / split / name
                folder.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng([i, n, len(split)]).integers(0, 256, (side, side, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f'{n}.png')
    words = dict(data=str(tmp_path / 'data'), methods=['random_real'], ipc=1, seeds=1, epochs=1)
    with pytest.raises(PSRError, match='Give the grid the key size'):
        Bench(parse_grid(words), tmp_path).images('test')
    sized = Bench(parse_grid(words | dict(size=24)), tmp_path)
    assert tuple(sized.images('test').images.shape[1:]) == (3, 24, 24)
    assert 'size' not in parse_grid(words).fixed() and sized.grid.fixed()['size'] == 24


def test_a_figure_is_of_one_protocol():
    row = dict(
        method='ours', dataset='d', ipc=1, student='convnet3', labels='hard', seed=0, set_seconds=1.0, seconds=1.0
    )
    rows = [row | dict(protocol=p, accuracy_last=a, accuracy_best=a) for p, a in (('quick', 0.2), ('minimax', 0.8))]
    sections = figure_sections(Report(rows))
    assert [s['student'] for s in sections] == ['convnet3, quick', 'convnet3, minimax']
    table = tabulate(Report(rows), 'ours', [(row | dict(protocol='rded', pool=0), 'no labels')])
    titles = {s['title']: [r['failed'] for r in s['rows']] for s in table_sections(table, ['a', 'b'])}
    assert [failed for title, failed in titles.items() if 'rded' in title] == [['no labels']]
    assert [failed for title, failed in titles.items() if 'quick' in title] == [['']]


def test_draws_are_no_seeds():
    row = dict(
        method='ours', dataset='d', ipc=1, student='convnet3', protocol='quick', labels='hard', accuracy_best=0.5
    )
    rows = [row | dict(pool=p, seed=s, draw=d, accuracy_last=0.5) for p in range(2) for s in range(3) for d in range(4)]
    assert '2 pools × 3 seeds' in tabulate(Report(rows), 'ours').words[0]


def test_draws_of_one_seed_are_kept_in_a_file(tmp_path):
    row = dict(dataset='d', ipc=1, student='convnet3', protocol='quick', labels='hard', accuracy_best=0.5, seconds=1.0)
    drawn = [
        row | dict(method='random', pool=p, seed=1000 * p + s, draw=d, accuracy_last=0.1 * (s + 1) + 0.2 * d)
        for p in range(2)
        for s in range(2)
        for d in range(3)
    ]
    ours = [row | dict(method='ours', pool=p, seed=1000 * p + s, accuracy_last=0.6) for p in range(2) for s in range(2)]
    Report(drawn + ours).save(tmp_path / 'results.json')
    again = Report.open(tmp_path / 'results.json')
    assert again.rows == drawn + ours and len(again + again) == 16
    assert again.compare('ours', 'random').difference == pytest.approx(0.6 - 0.35)


def test_what_authors_print_stands_apart_from_the_interval(tmp_path):
    "Mean of the best epochs and the deviation of the population; the page has the same numbers."
    row = dict(dataset='d', ipc=1, student='convnet3', protocol='quick', labels='hard', seconds=1.0, method='ours')
    best = [0.5, 0.6, 0.64]
    rows = [row | dict(seed=s, accuracy_best=b, accuracy_last=0.39 + 0.01 * s) for s, b in enumerate(best)]
    table = tabulate(Report(rows), 'ours')
    head, cells = table.cells()
    assert head[-1] == 'best ± SD' and cells[0][-1] == '58.0 ± 5.9'  # 7.2 with ddof 1
    assert cells[0][4:6] == ['40.0', '37.5 to 42.5']
    assert '58.0 ± 5.9' in table.text() and 'the deviation is no interval' in table.text()
    shown = table_sections(table, ['a', 'b'])[0]['rows'][0]
    assert (shown['best'], shown['sd']) == ('58.0', '5.9')
    assert tabulate(Report(rows[:1]), 'ours').cells()[1][0][-1] == '50.0'
