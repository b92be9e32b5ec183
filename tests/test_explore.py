"The panels of nbs/tour.ipynb in a real JupyterLab and a real browser, and the page that they write, without a network."

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
pytestmark = [pytest.mark.browser, pytest.mark.slow]
slow = 180_000  # ms; the machine may be busy with other things


def write_tour(place: Path) -> None:
    "The notebook's tour, as `make lab` opens it, without what an earlier run has saved in it."
    notebook = json.loads((root / 'nbs' / 'tour.ipynb').read_text(encoding='utf-8'))
    for cell in notebook['cells']:
        if cell['cell_type'] == 'code':
            cell['outputs'], cell['execution_count'] = [], None
    (place / 'nbs' / 'tour.ipynb').write_text(json.dumps(notebook), encoding='utf-8')


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    "A copy of the tour in a folder of its own."
    place = tmp_path_factory.mktemp('lab')
    (place / 'nbs').mkdir()
    shutil.copytree(root / 'docs', place / 'docs')
    write_tour(place)
    return place


@contextlib.contextmanager
def jupyterlab(folder, app='LabApp'):
    """A JupyterLab (or, with `JupyterNotebookApp`, Notebook 7) server on loopback over a folder, with settings of its own.

    Gives its address and token."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    token, private = secrets.token_hex(16), folder / '.jupyter'
    news = private / 'settings' / '@jupyterlab' / 'apputils-extension' / 'notification.jupyterlab-settings'
    news.parent.mkdir(parents=True, exist_ok=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    cells = private / 'settings' / '@jupyterlab' / 'notebook-extension' / 'tracker.jupyterlab-settings'
    cells.parent.mkdir(parents=True, exist_ok=True)
    cells.write_text('{"windowingMode": "none"}')  # a cell that is out of sight stays in the page
    environment = {
        **os.environ,
        'PYTHONPATH': os.pathsep.join(filter(None, [str(root), os.environ.get('PYTHONPATH')])),
        'JUPYTER_CONFIG_DIR': str(private / 'config'),
        'JUPYTERLAB_SETTINGS_DIR': str(private / 'settings'),
        'JUPYTERLAB_WORKSPACES_DIR': str(private / 'workspaces'),
    }
    command = [
        sys.executable,
        '-m',
        'jupyterlab' if app == 'LabApp' else 'notebook',
        '--no-browser',
        '--allow-root',
        '--ServerApp.ip=127.0.0.1',
        f'--ServerApp.port={port}',
        '--ServerApp.port_retries=0',
        f'--IdentityProvider.token={token}',
        f'--ServerApp.root_dir={folder}',
        f'--{app}.expose_app_in_browser=True',
        '--LabApp.extension_manager=readonly',
        '--LanguageServerManager.autodetect=False',  # the one for types would read the whole environment meanwhile
    ]
    with (private / 'lab.log').open('w') as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        try:
            address, end = f'http://127.0.0.1:{port}', time.monotonic() + 240
            while True:
                try:
                    urllib.request.urlopen(f'{address}/api/status?token={token}', timeout=5)
                    break
                except OSError:
                    if server.poll() is not None or time.monotonic() > end:
                        raise RuntimeError((private / 'lab.log').read_text()) from None
                    time.sleep(0.2)
            yield address, token
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture(scope='module')
def lab(place):
    "Address of the tour in a server."
    with jupyterlab(place) as (address, token):
        yield f'{address}/lab/tree/nbs/tour.ipynb?token={token}'


def watched(page):
    "Collects failed requests and errors of a page."
    page.bad = []
    page.on(
        'requestfailed', lambda r: page.bad.append(f'{r.url}: {r.failure}') if 'ERR_ABORTED' not in r.failure else None
    )  # aborted: JupyterLab gives a picture its final address while the browser still asks for the first
    page.on('response', lambda r: page.bad.append(f'{r.url}: {r.status}') if r.status >= 400 else None)
    page.on('console', lambda m: page.bad.append(m.text) if m.type == 'error' else None)
    page.on('pageerror', lambda e: page.bad.append(str(e)))
    page.set_default_timeout(slow)
    return page


RUN = """async () => {
    await window.jupyterapp.shell.currentWidget.context.sessionContext.ready;
    await window.jupyterapp.commands.execute('notebook:run-all-cells');
}"""
IDLE = """() => {
    const prompts = [...document.querySelectorAll('.jp-InputArea-prompt')].map(e => e.textContent);
    return prompts.some(text => /\\d/.test(text)) && !prompts.some(text => text.includes('*'));
}"""
READY = """() => {
    const p = window.jupyterapp && window.jupyterapp.shell.currentWidget;
    return p && p.context && p.context.isReady && p.context.sessionContext.session;
}"""


KERNEL = """() => {
    const p = window.jupyterapp && window.jupyterapp.shell.currentWidget;
    const session = p && p.context && p.context.isReady && p.context.sessionContext.session;
    const kernel = session && session.kernel;
    return Boolean(kernel) && kernel.connectionStatus === 'connected' && kernel.status === 'idle';
}"""


def kernel_is_there(page):
    "Waits for a kernel that answers: what is run before is lost."
    end = time.monotonic() + slow / 1000
    while not page.evaluate(KERNEL):
        assert time.monotonic() < end, 'no kernel'
        which = page.locator('.jp-Dialog button.jp-mod-accept')  # which kernel? it is asked where one starts slowly
        which.first.click() if which.count() else None
        page.wait_for_timeout(200)


@pytest.fixture(scope='module')
def tour(lab, browser):
    "The tour, run once."
    page = watched(browser.new_page(viewport=dict(width=1600, height=1000)))
    page.goto(lab)
    page.wait_for_function(READY)
    page.evaluate(RUN)
    page.wait_for_selector('.psr.explorer[data-drawn]')
    page.wait_for_function(IDLE)
    yield page
    page.close()


AS_AT_FIRST = """async () => {
    const { kernel } = window.jupyterapp.shell.currentWidget.context.sessionContext.session;
    const forget = 'for s in list(explorer.snapshots): explorer.forget(s["name"])';
    const code = forget + '\\nexplorer.mapping.join(); explorer.decisions = Decisions(ipc=5)';
    await kernel.requestExecute({ code }).done;
}"""


@pytest.fixture
def page(tour):
    "The tour with its explorer as at first, whatever a test before did; afterwards nothing may have gone wrong."
    tour.evaluate(AS_AT_FIRST)
    tour.locator('.psr.explorer').scroll_into_view_if_needed()
    tour.locator('.psr.explorer button[data-do=show-selection]').click()
    until(tour, lambda: len(ids(tour)) == 5 and not tour.locator('.psr.explorer .tile.pinned').count(), 'as at first')
    yield tour
    bad, tour.bad[:] = list(tour.bad), []
    assert not bad, bad


drawn = lambda page: int(page.locator('.psr.explorer').get_attribute('data-drawn'))
ids = lambda page, row=0: (
    page.locator('.psr.explorer .row')
    .nth(row)
    .locator('.tile:not(.gone)')
    .evaluate_all('tiles => tiles.map(t => +t.dataset.id)')
)
meters = lambda page: page.locator('.psr.explorer .meter b').all_inner_texts()
pixels = lambda page, selector: page.locator(selector).first.evaluate('canvas => canvas.toDataURL()')


def until(page, condition, what, seconds=60):
    "Waits for a Python condition about the page."
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what + '; ' + page.locator('.psr .note').first.inner_text()
        page.wait_for_timeout(50)


def test_slider_by_keyboard(page):
    "Arrow keys move a weight; map, sheet and meters follow, and nothing jumps."
    page.locator('.psr.explorer').scroll_into_view_if_needed()
    plot, before = '.psr.explorer .plot canvas', (ids(page, 2), meters(page), drawn(page))
    picture, height = pixels(page, plot), page.locator('.psr.explorer').bounding_box()['height']
    page.locator('.psr.explorer input[type=range][data-control=uncertainty]').focus()
    for _ in range(30):
        page.keyboard.press('ArrowLeft')
    until(
        page,
        lambda: (
            page.locator('.psr.explorer input[aria-label="Uncertainty, typed"]').input_value() == '-1.50'
            and ids(page, 2) != before[0]
            and meters(page) != before[1]
            and drawn(page) > before[2]
        ),
        'the selection follows',
    )
    assert pixels(page, plot) != picture and page.locator('.psr.explorer').bounding_box()['height'] == height
    page.locator('.psr.explorer input[type=range][data-control=uncertainty]').dblclick()
    until(page, lambda: ids(page, 2) == before[0] and meters(page) == before[1], 'a double click resets')


def test_typed_budget_and_selector(page):
    box = page.locator('.psr.explorer input[aria-label="Images per class, typed"]')
    box.fill('7')
    box.press('Enter')
    until(page, lambda: len(ids(page)) == 7, 'seven images')
    page.select_option('.psr.explorer select[data-control=method]', 'k_center')
    until(
        page,
        lambda: page.locator('.psr.explorer input[data-control=uncertainty]').is_disabled(),
        'k_center takes no weights',
    )
    page.select_option('.psr.explorer select[data-control=method]', 'psr')
    box.fill('5')
    box.press('Enter')
    until(page, lambda: len(ids(page)) == 5, 'five images')


def test_an_emptied_number_is_as_it_was(page):
    box = page.locator('.psr.explorer input[aria-label="Images per class, typed"]')
    box.fill('')
    box.press('Enter')
    assert box.input_value() == '5' and len(ids(page)) == 5
    students = page.locator('.psr .training input[type=number]')
    students.fill('')
    students.press('Enter')
    assert students.input_value() == '8'


def test_the_wheel_belongs_to_the_page_until_somebody_enters_the_map(page):
    canvas = page.locator('.psr.explorer .plot canvas').last
    canvas.scroll_into_view_if_needed()
    box, plot = canvas.bounding_box(), '.psr.explorer .plot canvas'
    before = pixels(page, plot)
    page.mouse.move(box['x'] + box['width'] / 2, box['y'] + box['height'] / 2)
    page.mouse.wheel(0, -40)
    page.wait_for_timeout(300)
    assert pixels(page, plot) == before
    page.keyboard.down('Control')
    page.mouse.wheel(0, -200)
    until(page, lambda: pixels(page, plot) != before, 'Control with the wheel zooms')
    page.keyboard.up('Control')
    canvas.focus()
    page.keyboard.press('0')
    until(page, lambda: pixels(page, plot) == before, 'all is shown again')


def test_the_legend_filters(page):
    entry = page.locator('.psr .legend button', has_text='selected')
    number = lambda: int(re.search(r'undecided ([\d,]+)', page.locator('.psr .legend').inner_text())[1])
    entry.click()
    until(page, lambda: entry.get_attribute('aria-pressed') == 'true', 'one state alone')
    page.locator('.psr .legend button', has_text='undecided').click(modifiers=['Shift'])
    assert page.locator('.psr .legend button[aria-pressed=true]').count() == 2
    page.locator('.psr .legendtools .all').click()
    assert not page.locator('.psr .legend button[aria-pressed=true]').count()
    before = number()
    page.select_option('.psr.explorer select[data-control=class]', '1')
    until(page, lambda: number() < before, 'counts follow the class')
    page.select_option('.psr.explorer select[data-control=class]', '-1')


def test_students_are_trained_while_the_panel_answers(page):
    "A dot appears, and a click on it brings its weights back."
    page.evaluate(AS_AT_FIRST)
    strip, uncertainty = page.locator('.psr .strip'), '.psr.explorer input[aria-label="Uncertainty, typed"]'
    dots = strip.locator('.chart .dot').count()
    page.locator(uncertainty).fill('-0.4')
    page.locator(uncertainty).press('Enter')
    strip.locator('.training input[type=number]').fill('2')
    strip.locator('button[data-do=train]').click()
    until(page, lambda: strip.locator('button[data-do=stop]').is_enabled(), 'it trains')
    page.locator(uncertainty).fill('0.8')  # the panel answers meanwhile
    page.locator(uncertainty).press('Enter')
    before = drawn(page)
    until(page, lambda: drawn(page) >= before and strip.locator('button[data-do=stop]').is_enabled(), 'still live')
    until(page, lambda: strip.locator('.chart .dot').count() > dots, 'a dot', 180)
    strip.locator('.chart .dot').last.focus()
    page.keyboard.press('Enter')
    until(page, lambda: page.locator(uncertainty).input_value() == '-0.40', 'the weights of the dot')
    own = strip.locator('tr[data-which=selection]')
    until(page, lambda: '\u00b1' in own.inner_text(), 'measured beside predicted')
    assert 'Test images are never used' in strip.inner_text()
    strip.locator('.training input[type=number]').fill('8')


def test_snapshots_are_compared_by_keyboard_alone(page):
    press = page.keyboard.press
    page.locator('.psr.explorer button[data-do=snapshot]').focus()
    press('Enter')
    until(page, lambda: page.locator('.psr .strip tr[data-which=A]').count() == 1, 'A')
    page.locator('.psr.explorer select[data-control=method]').focus()
    page.keyboard.type('k center')
    press('Enter')
    until(
        page, lambda: page.locator('.psr.explorer select[data-control=method]').input_value() == 'k_center', 'k center'
    )
    for which in ('selection', 'A'):
        page.locator(f'.psr .strip tr[data-which={which}] input[type=checkbox]').focus()
        press('Space')
    until(page, lambda: page.locator('.psr .sheet .only').count() > 2, 'two rows of images for a class')
    assert 'only in A' in page.locator('.psr .sheet').inner_text()
    page.locator('.psr .strip tr[data-which=A] button[data-do=restore]').focus()
    press('Enter')
    until(page, lambda: 'The same images' in page.locator('.psr .sheet').inner_text(), 'brought back')
    page.locator('.psr .strip tr[data-which=A] button[data-do=forget]').focus()
    press('Enter')
    until(page, lambda: page.locator('.psr .strip tr[data-which=A]').count() == 0, 'forgotten')


def tab_to(page, selector, back=False):
    "Presses Tab until the focus is there."
    there = page.locator(selector).first
    for _ in range(80):
        if there.evaluate('e => e === document.activeElement'):
            return
        page.keyboard.press('Shift+Tab' if back else 'Tab')
    raise AssertionError(f'Tab does not lead to {selector}')


def test_all_by_keyboard_alone(page):
    "From the first button to the sheet: snapshot, slider, map and card, legend, training. Comparing has a test above."
    press, strip = page.keyboard.press, '.psr .strip'
    page.locator('.psr.explorer button').first.focus()  # where Tab comes into the panel
    press('Enter')
    until(page, lambda: page.locator(f'{strip} tr[data-which=A]').count() == 1, 'a snapshot')
    tab_to(page, '.psr.explorer input[type=range][data-control=uncertainty]')
    before = meters(page)
    for _ in range(20):
        press('ArrowRight')
    until(page, lambda: meters(page) != before, 'the slider')
    tab_to(page, '.psr.explorer .plot canvas[tabindex="0"]')
    press('ArrowRight')
    page.wait_for_selector('.psr.explorer .card[data-id]')
    pinned = page.locator('.psr .legend button', has_text='pinned')
    press('Enter')
    until(page, lambda: 'pinned 1' in pinned.inner_text(), 'pinned on the map')
    tab_to(page, '.psr .legend button')
    press('Space')
    until(page, lambda: page.locator('.psr .legend button[aria-pressed=true]').count() == 1, 'the legend filters')
    press('Space')
    until(page, lambda: not page.locator('.psr .legend button[aria-pressed=true]').count(), 'all again')
    tab_to(page, f'{strip} button[data-do=train]')
    press('Enter')
    until(page, lambda: page.locator(f'{strip} button[data-do=stop]').is_enabled(), 'it trains')
    tab_to(page, f'{strip} button[data-do=stop]')
    press('Enter')
    until(page, lambda: page.locator(f'{strip} button[data-do=train]').is_enabled(), 'it stops', 240)
    tab_to(page, '.psr .sheet .tile[tabindex="0"]')
    tab_to(page, '.psr.explorer button[data-do=reset]', back=True)
    press('Enter')
    until(page, lambda: meters(page) != before and 'pinned 1' in pinned.inner_text(), 'reset; what is pinned stays')


AXE = root / 'node_modules' / 'axe-core' / 'axe.min.js'
FAULTS = """async () => {
    const found = await axe.run('.psr', { resultTypes: ['violations'] });
    return found.violations.map(v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 120)).join(' | ')}`);
}"""


@pytest.mark.skipif(not AXE.is_file(), reason='axe-core is not installed: npm ci')
def test_no_barrier_that_axe_finds(page):
    "At rest, with a card, two snapshots compared, a sweep, dark, in forced colours, and 360 pixels wide."
    page.evaluate(AXE.read_text(encoding='utf-8'))
    clean = lambda state: (faults := page.evaluate(FAULTS)) == [] or pytest.fail(f'{state}: {faults}')
    run = lambda command, more: page.evaluate('([c, m]) => window.jupyterapp.commands.execute(c, m)', [command, more])
    clean('at rest')
    page.locator('.psr.explorer .tile').nth(3).hover()
    page.wait_for_selector('.psr.explorer .card[data-id]')
    clean('with a card')
    page.locator('.psr.explorer button[data-do=snapshot]').click()
    until(page, lambda: page.locator('.psr .strip tr[data-which=A]').count() == 1, 'A')
    for which in ('selection', 'A'):
        page.locator(f'.psr .strip tr[data-which={which}] input[type=checkbox]').check()
    page.locator('.psr details.numbers summary').click()
    page.locator('.psr .strip button[data-do=sweep]').click()
    until(page, lambda: page.locator('.psr .strip button[data-do=sweep]').is_enabled(), 'swept')
    clean('two settings compared')
    try:
        run('apputils:change-theme', dict(theme='JupyterLab Dark'))
        page.wait_for_selector('body[data-jp-theme-light=false]', state='attached')
        page.wait_for_timeout(1000)
        clean('dark')
        page.emulate_media(forced_colors='active')
        clean('forced colours')
    finally:
        page.emulate_media(forced_colors='none')
        run('apputils:change-theme', dict(theme='JupyterLab Light'))
    wide = "width => { document.querySelector('.psr.explorer').parentElement.style.width = width; }"
    page.evaluate(wide, '360px')
    page.wait_for_timeout(500)
    clean('360 pixels wide')
    assert page.evaluate("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('.psr.explorer'))")
    page.evaluate(wide, '')
    page.locator('.psr details.numbers summary').click()
    page.locator('.psr .strip tr[data-which=A] button[data-do=forget]').click()


def test_hover_shows_card(page):
    canvas = page.locator('.psr.explorer .plot canvas').last
    box = canvas.bounding_box()
    for i in range(400):  # somewhere there is a candidate
        page.mouse.move(
            box['x'] + box['width'] * (0.2 + 0.6 * (i % 20) / 20),
            box['y'] + box['height'] * (0.2 + 0.6 * (i // 20) / 20),
        )
        if page.locator('.psr.explorer .card[data-id]').count():
            break
    page.wait_for_selector('.psr.explorer .card[data-id]')
    text = page.locator('.psr.explorer .card').inner_text()
    assert 'reliability' in text and ('is not chosen' in text or 'is place' in text) and 'similarity' in text
    canvas.focus()
    before = page.locator('.psr.explorer .card').get_attribute('data-id')
    page.keyboard.press('ArrowRight')
    until(
        page,
        lambda: page.locator('.psr.explorer .card').get_attribute('data-id') != before,
        'arrow keys walk over the map',
    )


def test_pin_by_click_ban_by_key_undo(page):
    tile, cells = (
        page.locator('.psr.explorer .row').nth(2).locator('.tile'),
        page.locator('.jp-Notebook .jp-Cell').count(),
    )
    first, second = ids(page, 2)[:2]
    tile.nth(1).click()
    until(
        page,
        lambda: ids(page, 2)[0] == second and 'pinned' in tile.first.get_attribute('class'),
        'the pinned image comes first',
    )
    assert '1/5 pinned' in page.locator('.psr.explorer .row').nth(2).inner_text()
    page.locator(f'.psr.explorer .tile[data-id="{first}"]').focus()
    page.keyboard.press('b')
    until(
        page,
        lambda: first not in ids(page, 2) and len(ids(page, 2)) == 5,
        'the next best takes the place of the banned',
    )
    assert page.locator('.jp-Notebook .jp-Cell').count() == cells  # the notebook did not take the key for its own
    page.keyboard.press('Control+z')
    until(page, lambda: first in ids(page, 2), 'undo')
    page.keyboard.press('Control+Shift+z')
    until(page, lambda: first not in ids(page, 2), 'redo')


def test_lasso(page):
    page.locator('.psr.explorer button[data-do=lasso]').click()
    box = page.locator('.psr.explorer .plot canvas').last.bounding_box()
    at = lambda x, y: page.mouse.move(box['x'] + box['width'] * x, box['y'] + box['height'] * y)
    at(0.15, 0.15)
    page.mouse.down()
    at(0.5, 0.1)
    at(0.9, 0.2)
    at(0.9, 0.85)
    at(0.2, 0.9)
    at(0.12, 0.5)
    page.mouse.up()
    tab = page.locator('.psr.explorer button[data-do=show-lasso]')
    until(
        page,
        lambda: tab.get_attribute('aria-pressed') == 'true' and int(re.search(r'\d+', tab.inner_text())[0]) > 20,
        'the sheet holds what is inside',
    )
    count = int(re.search(r'\d+', tab.inner_text())[0])
    assert page.locator('.psr.explorer .sheet .tile').count() == count
    until(
        page,
        lambda: (
            len(set(page.locator('.psr.explorer .sheet .tile img').evaluate_all('all => all.map(c => c.src)')))
            > count / 2
        ),
        'pictures arrive',
    )
    page.locator('.psr.explorer button[data-do=clear]').click()
    page.locator('.psr.explorer button[data-do=move]').click()


def test_what_changed_and_overlay(page):
    page.locator('.psr.explorer button[data-do=keep]').click()
    until(
        page,
        lambda: page.locator('.psr.explorer input[data-control=changed]').is_enabled(),
        'a selection to compare with',
    )
    page.check('.psr.explorer input[data-control=changed]')
    page.select_option('.psr.explorer select[data-control=preset]', label='coverage of real images')
    until(
        page,
        lambda: (
            page.locator('.psr.explorer .tile.new').count() > 0 and page.locator('.psr.explorer .tile.gone').count() > 0
        ),
        'what came and what went',
    )
    page.locator('.psr.explorer button[data-do=undo]').click()
    until(page, lambda: page.locator('.psr.explorer .tile.new').count() == 0, 'as it was kept')
    page.uncheck('.psr.explorer input[data-control=changed]')
    before = pixels(page, '.psr.explorer .plot canvas')
    page.check('.psr.explorer input[data-control=real]')
    assert (
        'missed' in page.locator('.psr.explorer .legend').inner_text()
        and pixels(page, '.psr.explorer .plot canvas') != before
    )
    page.uncheck('.psr.explorer input[data-control=real]')
    for colour in ('class', 'reliability', 'marginal gain'):
        before = drawn(page)
        page.select_option('.psr.explorer select[data-control=colour_by]', colour)
        until(page, lambda before=before: drawn(page) > before, f'coloured by {colour}')
    page.select_option('.psr.explorer select[data-control=colour_by]', 'state')


def test_every_control_has_a_name(page):
    "For screen readers; and the keyboard reaches it."
    unnamed = page.evaluate(
        """() => {
        const name = e => e.getAttribute('aria-label') || e.innerText || (e.labels && e.labels.length && e.labels[0].innerText);
        const controls = document.querySelectorAll('.psr button, .psr input, .psr select, .psr canvas[tabindex]');
        return [...controls].filter(e => !name(e) || e.tabIndex < 0 && !e.matches('.tile')).map(e => e.outerHTML);
    }"""
    )
    assert not unnamed


def test_the_sheet_is_one_tab_stop_and_arrow_keys_go_on(page):
    at = lambda: page.evaluate('() => +document.activeElement.dataset.id')
    tiles = page.evaluate("() => [...document.querySelectorAll('.psr .sheet .tile')].map(t => +t.dataset.id)")
    page.locator('.psr .sheet .tile[tabindex="0"]').focus()
    start = tiles.index(at())
    page.keyboard.press('ArrowRight')
    assert at() == tiles[start + 1]
    page.keyboard.press('End')
    assert at() == tiles[-1]
    page.keyboard.press('ArrowUp')
    assert at() // 20 == tiles[-1] // 20 - 1  # 20 candidates per class: the row above
    assert page.locator('.psr .sheet .tile[tabindex="0"]').count() == 1
    page.keyboard.press('Home')
    assert at() == tiles[0]


def test_decisions_survive_a_restart(page):
    second = ids(page, 2)[1]
    page.locator('.psr.explorer .row').nth(2).locator('.tile').nth(1).click()
    until(page, lambda: ids(page, 2)[0] == second, 'the pinned image comes first')
    chosen = ids(page, 2)
    page.evaluate(
        'async () => { await window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.restart(); }'
    )
    page.locator('.psr.explorer .row').nth(3).locator('.tile').first.click()
    until(
        page,
        lambda: 'lost its kernel' in page.locator('.psr.explorer .note').inner_text(),
        'the panel says that its kernel has gone',
    )
    page.evaluate("async () => { await window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs'); }")
    page.wait_for_function("() => !document.querySelector('.psr.explorer')")
    page.evaluate(RUN)
    page.wait_for_selector('.psr.explorer[data-drawn]')
    assert ids(page, 2) == chosen and 'pinned' in page.locator('.psr.explorer .row').nth(2).locator(
        '.tile'
    ).first.get_attribute('class')


def test_studio(page):
    "Runs, shows, stops within a step; one image is accepted, another rolled back."
    page.wait_for_selector('.psr .studio')
    studio = page.locator('.psr:has(.studio)')
    studio.scroll_into_view_if_needed()
    do = lambda name: studio.locator(f'button[data-do={name}]').first.click()
    status, preview = studio.locator('.status'), studio.locator('.preview')
    before = preview.nth(0).locator('canvas').nth(1).evaluate('c => c.toDataURL()')
    do('start')
    until(
        page,
        lambda: preview.nth(0).locator('canvas').nth(1).evaluate('c => c.toDataURL()') != before,
        'the preview changes',
        120,
    )
    started = time.monotonic()
    do('stop')
    until(page, lambda: 'stopped' in status.inner_text(), 'it stops', 60)
    print(f'stopped after {time.monotonic() - started:.2f} s')
    reached = int(re.search(r'step (\d+)', status.inner_text())[1])
    page.wait_for_timeout(500)
    assert 0 < reached < 60 and int(re.search(r'step (\d+)', status.inner_text())[1]) == reached
    preview.nth(1).locator('button[data-do=accept]').click()
    preview.nth(2).locator('button[data-do=roll_back]').click()
    until(
        page,
        lambda: (
            'accepted' in preview.nth(1).get_attribute('class')
            and 'back' in preview.nth(2).get_attribute('class').split()
        ),
        'decided',
    )
    same = lambda i: preview.nth(i).evaluate(
        "p => { const c = p.querySelectorAll('canvas'); return c[0].toDataURL() === c[1].toDataURL(); }"
    )
    until(page, lambda: same(2) and not same(1), 'the one rolled back is the original')
    do('back')
    until(page, lambda: f'step {reached - 1} of' in status.inner_text(), 'a step back')
    do('one')
    until(page, lambda: f'step {reached} of 60, paused' in status.inner_text(), 'one step')
    do('stop')
    assert same(2) and studio.locator('.curves path').count() >= 3


def test_studio_goes_back_to_any_step(page):
    studio = page.locator('.psr:has(.studio)')
    studio.scroll_into_view_if_needed()
    status = studio.locator('.status').first
    if studio.locator('button[data-do=restart]').is_enabled():
        studio.locator('button[data-do=restart]').click()
        until(page, lambda: 'step 0 of 60' in status.inner_text(), 'from the beginning', 120)
    for step in (1, 2):
        studio.locator('button[data-do=one]').first.click()
        until(page, lambda step=step: f'step {step} of 60, paused' in status.inner_text(), f'step {step}', 180)
    bar = studio.locator('.steps input[type=range]')
    bar.focus()
    page.keyboard.press('ArrowLeft')
    until(page, lambda: 'step 1 of 60' in status.inner_text(), 'an earlier step')
    page.keyboard.press('ArrowRight')
    until(page, lambda: 'step 2 of 60' in status.inner_text(), 'and back')
    studio.locator('button[data-do=stop]').first.click()


def test_sampler(page):
    sampler = page.locator('.psr:has(.previews.plain)')
    sampler.scroll_into_view_if_needed()
    sampler.locator('button[data-do=one]').click()
    until(
        page,
        lambda: sampler.locator('canvas').count() == 10 and 'paused' in sampler.locator('.status').inner_text(),
        'a denoising step',
        120,
    )
    before = sampler.locator('canvas').first.evaluate('c => c.toDataURL()')
    sampler.locator('button[data-do=start]').click()
    until(
        page,
        lambda: sampler.locator('canvas').first.evaluate('c => c.toDataURL()') != before,
        'the estimate changes',
        120,
    )
    sampler.locator('button[data-do=stop]').click() if sampler.locator('button[data-do=stop]').is_enabled() else None
    until(
        page,
        lambda: (
            'stopped' in sampler.locator('.status').inner_text()
            or 'complete' in sampler.locator('.status').inner_text()
        ),
        'it stops',
        60,
    )


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_page_without_a_network(place, page, browser, scheme):
    "The page that the notebook wrote, opened from disk with the network switched off."
    context = browser.new_context(viewport=dict(width=1280, height=900), color_scheme=scheme, offline=True)
    still, requests = watched(context.new_page()), []
    still.on('request', lambda r: None if r.url.startswith(('file:', 'data:', 'blob:')) else requests.append(r.url))
    still.goto((place / 'runs' / 'explore' / 'page.html').as_uri())
    still.wait_for_selector('.psr.explorer[data-drawn]')
    assert (
        still.locator('.psr.explorer .tile').count() >= 50
        and still.locator('.psr.explorer input[type=range]').count() == 0
    )
    until(
        still,
        lambda: len(set(still.locator('.psr.explorer .tile img').evaluate_all('all => all.map(c => c.src)'))) > 25,
        'thumbnails',
    )
    still.locator('.psr.explorer .tile').nth(7).hover()
    until(still, lambda: 'is place' in still.locator('.psr.explorer .card').inner_text(), 'why it was chosen')
    before = pixels(still, '.psr.explorer .plot canvas')
    still.select_option('.psr.explorer select[data-control=colour_by]', 'reliability')
    until(still, lambda: pixels(still, '.psr.explorer .plot canvas') != before, 'colours')
    assert still.evaluate('document.documentElement.scrollWidth <= innerWidth') and not still.bad and not requests, (
        still.bad,
        requests,
    )
    for width in (640, 360):  # the window at a zoom of 200 %, and a telephone
        still.set_viewport_size(dict(width=width, height=450))
        still.wait_for_timeout(200)
        assert still.evaluate('document.documentElement.scrollWidth <= innerWidth'), width
    context.close()


def test_notebook_7(place, browser):
    "The same panels in Notebook 7."
    write_tour(place)  # JupyterLab saves by itself, and saved numbers look like cells that run
    with jupyterlab(place, 'JupyterNotebookApp') as (address, token):
        page = watched(browser.new_page(viewport=dict(width=1280, height=900)))
        page.goto(f'{address}/notebooks/nbs/tour.ipynb?token={token}')
        kernel_is_there(page)
        page.bad.clear()  # what Notebook says of itself
        page.evaluate(RUN)
        page.wait_for_selector('.psr.explorer[data-drawn]')
        page.wait_for_function(
            "() => [...document.querySelectorAll('.jp-InputArea-prompt')].every(e => !e.textContent.includes('*'))"
        )
        page.locator('.psr.explorer').scroll_into_view_if_needed()
        before = drawn(page), meters(page)
        page.locator('.psr.explorer input[type=range][data-control=uncertainty]').focus()
        for _ in range(20):
            page.keyboard.press('ArrowRight')
        until(page, lambda: drawn(page) > before[0] and meters(page) != before[1], 'map and meters follow')
        tile = page.locator('.psr.explorer .row').nth(1).locator('.tile').first
        tile.click()
        until(
            page,
            lambda: 'pinned' in page.locator('.psr.explorer .row').nth(1).locator('.tile').first.get_attribute('class'),
            'a click pins',
        )
        page.locator('.psr.explorer button[data-do=undo]').click()
        until(page, lambda: page.locator('.psr[role=region]').count() == 3, 'explorer, studio and sampler')
        assert not page.get_by_text('Error displaying widget').count()
        # while Notebook asks the kernel for older widgets, it may log one that it has not got yet, and shows it later
        assert not [words for words in page.bad if 'widget model not found' not in words], page.bad
        page.close()
