"The workshop: notebooks in step with their masters, solutions that run and pass, dots that do not, hints for what is wrong."

import json
import re
import sys
import time
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
sys.path.insert(0, str(root / 'tools'))
import notebooks  # noqa: E402
import tutorials as tool  # noqa: E402

each = pytest.mark.parametrize('path', tool.masters(), ids=lambda p: p.stem)
source = lambda cell: ''.join(cell['source'])


def code(notebook, *tags):
    "Cells of code with one of these tags, or all."
    return [c for c in notebook['cells'] if c['cell_type'] == 'code' and (not tags or set(tags) & set(tool.tags(c)))]


def test_learners_and_solutions_are_what_the_masters_make():
    assert not tool.out_of_step(), 'run: python tools/tutorials.py'
    made = {p for m in tool.masters() for p in tool.places(m)}
    there = set(tool.FOLDER.glob('*.ipynb')) | set((tool.FOLDER / 'solutions').glob('*.ipynb'))
    assert made == there, 'a notebook without a master'


@each
def test_who_gets_which_cell(path):
    master = tool.read(path)
    learner, solved = (tool.part(master, s) for s in (False, True))
    assert {t for c in master['cells'] for t in tool.tags(c)} <= set(tool.ROLES)
    sources = [source(c) for c in learner['cells']]
    assert not any(source(c) in sources for c in code(master, 'solution')), 'the learner sees a solution'
    assert not any(source(c) in [source(s) for s in solved['cells']] for c in code(master, 'stub'))
    assert all(not c['outputs'] for c in learner['cells'] if 'check(' in source(c) and c['cell_type'] == 'code')
    assert any(
        k.startswith('image/') for c in learner['cells'] for o in c.get('outputs', []) for k in o.get('data', {})
    )


@each
def test_the_form_of_a_tutorial(path):
    "A title and a line, goals, minutes of each section that end within the time, exercises, a question, what we saw."
    cells = tool.read(path)['cells']
    text = '\n\n'.join(source(c) for c in cells if c['cell_type'] == 'markdown')
    assert re.match(r'# [^\n]+\n\n> [^\n]+', text)
    minutes = [int(m) for m in re.findall(r'^\| \d [^|]+\| (\d+) \|$', text, re.M)]
    assert minutes and sum(minutes) <= 15
    assert '**You will**' in text and '**For the group.**' in text and '## What we saw' in text
    assert text.count('**Exercise ') == len(code({'cells': cells}, 'check'))
    assert all(len(source(c).splitlines()) <= 25 for c in cells if c['cell_type'] == 'code')


NUMBERS = re.compile(r"check\('(\w+)', (\w+)\)")


@each
def test_dots_are_not_right(path):
    "Every exercise as the learner finds it, filled with nothing."
    import numpy as np

    from psr_nb.exercises import check

    master, tried = tool.read(path), 0
    known = {'np': np}
    for cell in code(master, 'stub'):
        exec(source(cell), known)  # only the project's own cells
    for cell in code(master, 'check'):
        name, answer = NUMBERS.search(source(cell)).groups()
        if answer in known:
            verdict, tried = check(name, known[answer]), tried + 1
            assert not verdict and len(verdict.words) > 20, (name, verdict)
    assert tried == len(code(master, 'stub')) > 0


def test_wrong_answers_get_their_hints():
    from psr_nb.exercises import check
    from psr_nb.lessons import EXERCISES

    used = {NUMBERS.search(source(c))[1] for p in tool.masters() for c in code(tool.read(p), 'check')}
    assert used <= set(EXERCISES)
    for name, exercise in EXERCISES.items():
        for wrong, hint in exercise.wrong:
            verdict = check(name, wrong)
            assert not verdict and verdict.words == hint, (name, verdict)
        assert 'Put your answer' in check(name, ...).words
        assert not check(name, 'nonsense') and not check(name, object())


def test_right_answers_are_right_however_they_are_written():
    import numpy as np

    from psr_nb.exercises import check, next_herded
    from psr_nb.results import interval

    def herded(features, chosen):  # puts its choice where the chosen ones are
        chosen.append(next_herded(features, chosen))
        return chosen[-1]

    def row_by_row(similarity, chosen):
        return np.float32(sum(max(row[j] for j in chosen) for row in similarity) / len(similarity))

    answers = dict(
        herding=herded,
        coverage=row_by_row,
        better=lambda a, b: np.bool_(interval(a - b)[1] > 0),
        take_back=lambda a, b, t: [x - y > t for x, y in zip(a, b)],
        gap=lambda a, b: max(a) - b[list(a).index(max(a))],
        chance='0.1',
        luck=' B ',
    )
    for name, answer in answers.items():
        assert check(name, answer), name


def test_entries_of_the_board_are_whole(tmp_path):
    import numpy as np
    import torch

    from psr_nb.board import Entry, ScoreBoard
    from psr_nb.core import PSRError

    numbers = np.float32([0.5, 0.25])
    for accuracies in (list(numbers), torch.from_numpy(numbers)):
        entry = Entry('me', accuracies, ids=np.array([[1, 2]]))
        assert Entry.from_code(entry.code()) == entry == Entry('me', (0.5, 0.25), ids=((1, 2),))
    for wrong in (dict(accuracies=0.5), dict(ids=None), dict(ids=(1, 2)), dict(pool=None), dict(name='\ud800')):
        with pytest.raises(PSRError, match='entry'):
            Entry(**{**dict(name='me', accuracies=(0.5,)), **wrong})
    draw = np.random.default_rng(0)
    large = Entry('large', (0.5,), ids=draw.integers(999_999, size=(100, 50)))
    with pytest.raises(PSRError, match='at most 20,000 characters.*Share a folder'):
        large.code()
    ScoreBoard(tmp_path).add(large)
    assert len(ScoreBoard(tmp_path).rows()) == 1


@pytest.mark.parametrize(
    'name, answer',
    [
        ('better', lambda a, b: (a > b).all()),
        ('better', lambda a, b: (a > b).mean() > 0.8),
        ('better', lambda a, b: (a - b).mean() > 0.005),
        ('better', lambda a, b: (a - b).mean() > (a - b).std(ddof=1)),
        ('take_back', lambda a, b, t: a - b >= t),
        ('gap', lambda a, b: abs(a.max() - b[a.argmax()])),
    ],
)
def test_answers_that_are_right_by_chance_are_not_right(name, answer):
    from psr_nb.exercises import check

    assert not check(name, answer)


@pytest.fixture(scope='module')
def pools(tmp_path_factory):
    "What is sampled by one notebook is opened by the next; each passes alone as well."
    return tmp_path_factory.mktemp('pools')


@pytest.mark.slow
@each
def test_solutions_run_and_pass(path, tmp_path, pools, monkeypatch):
    "From top to bottom, the same code with smaller numbers; in this process, which has imported what they import."
    from nbdev.test import test_nb

    import psr_nb.data

    whole = psr_nb.data.load_data
    few = lambda name, split='train': whole(name, split).per_class(30 if split == 'test' else 200)
    monkeypatch.setattr(psr_nb.data, 'load_data', few)  # a student takes longer to be asked than to be trained
    monkeypatch.setenv('PSR_LESSONS', 'short')
    monkeypatch.setenv('PSR_LESSONS_FOLDER', str(pools))
    solved = tool.part(tool.read(path), True)
    for cell, kind in zip(
        solved['cells'], [tool.tags(c) for c in tool.read(path)['cells'] if 'stub' not in tool.tags(c)]
    ):
        if 'check' in kind and cell['cell_type'] == 'code':
            cell['source'] = [f'assert {source(cell)}']
    (tmp_path / path.name).write_text(json.dumps(solved), encoding='utf-8')
    began = time.process_time()
    passed, _ = test_nb(tmp_path / path.name, profile=False)
    assert passed, 'what is wrong stands above, as the notebook says it'
    print(f'{path.stem}: {time.process_time() - began:.0f} s of processor')


@each
def test_outputs_are_of_the_masters_code(path):
    assert not notebooks.stale(path), f'run: python tools/tutorials.py --run {path.stem}'


@pytest.mark.browser
def test_no_barrier_in_what_the_tutorials_show(browser):
    "Every table and verdict of the tutorials, and an empty score board, as axe-core sees them; panels: test_explore."
    from test_explore import AXE

    from psr_nb.board import ScoreBoard
    from psr_nb.lessons import Verdict

    if not AXE.is_file():
        pytest.skip('axe-core is not installed: npm ci')
    html = [Verdict('a', right, 'words')._repr_html_() for right in (True, False)] + [ScoreBoard()._repr_html_()]
    shown = [o.get('data', {}) for p in tool.masters() for c in code(tool.read(p)) for o in c['outputs']]
    html += [''.join(data['text/html']) for data in shown if 'text/html' in data]
    page = browser.new_page()
    parts = ''.join(f'<section>{h}</section>' for h in html)
    page.set_content(f'<!doctype html><html lang="en"><title>Shown</title><body><main>{parts}</main></body></html>')
    page.evaluate(AXE.read_text(encoding='utf-8'))
    found = page.evaluate("""async () => (await axe.run('main', { resultTypes: ['violations'] })).violations.map(
        v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 120)).join(' | ')}`)""")
    page.close()
    assert len(html) > 10 and not found, found


ASK = """async code => {
    const { kernel } = window.jupyterapp.shell.currentWidget.context.sessionContext.session;
    const asked = kernel.requestExecute({ code });
    let said = '';
    asked.onIOPub = m => { if (m.header.msg_type === 'stream') said += m.content.text; };
    await asked.done;
    return said.trim();
}"""


@pytest.mark.slow
@pytest.mark.browser
def test_picking_by_hand_in_a_browser(browser, tmp_path, monkeypatch):
    "The learner's notebook 3 in JupyterLab: pin by click and by key, ban, and the check sees it."
    from test_explore import READY, RUN, jupyterlab, watched

    monkeypatch.setenv('PSR_LESSONS', 'short')
    monkeypatch.setenv('PSR_LESSONS_FOLDER', str(tmp_path / 'pools'))
    learner = tool.part(tool.read(tool.FOLDER / 'masters' / '3_select_you_against_it.ipynb'), False)
    end = next(i for i, c in enumerate(learner['cells']) if source(c).startswith("check('picks'"))
    learner['cells'] = [{**c, 'outputs': []} if 'outputs' in c else c for c in learner['cells'][:end]]
    (tmp_path / 'pick.ipynb').write_text(json.dumps(learner), encoding='utf-8')
    state = "print(bool(check('picks', explorer)), len(explorer.pins), len(explorer.bans))"
    with jupyterlab(tmp_path) as (address, token):
        page = watched(browser.new_page(viewport=dict(width=1500, height=1000)))
        page.goto(f'{address}/lab/tree/pick.ipynb?token={token}')
        page.wait_for_function(READY)
        page.evaluate(RUN)
        page.wait_for_selector('.psr.explorer[data-drawn]')
        assert page.evaluate(ASK, state) == 'False 0 0'
        row = lambda n: page.locator('.psr.explorer .row').nth(n).locator('.tile:not(.gone)')
        row(0).nth(1).click()
        page.wait_for_selector('.psr.explorer .tile.pinned')
        assert page.evaluate(ASK, state) == 'False 1 0'
        gone = row(2).nth(0).get_attribute('data-id')
        page.locator(f'.psr.explorer .tile[data-id="{gone}"]').focus()
        page.keyboard.press('b')
        page.wait_for_function(
            'id => ![...document.querySelectorAll(".psr.explorer .tile:not(.gone)")].some(t => t.dataset.id === id)',
            arg=gone,
        )
        assert page.evaluate(ASK, state) == 'True 1 1'
        assert row(2).count() == 3 and not page.bad
        page.close()
