"""How fast the panels answer, in a real JupyterLab and a real browser; and their pictures in the documentation.

    python tools/interaction.py             every figure beside its goal, as a table
    python tools/interaction.py canvas      only these: canvas (10,000 candidates), large (100,000), training
    python tools/interaction.py --pictures  docs/explorer.webp and docs/explorer-dark.webp, from a pool with worth

Pools are made once, in runs/interaction; that takes minutes and is not part of any figure. Times are taken in the page,
by its own clock, from the event to the frame after the change. They are about a machine that does nothing else.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tests'))
RUNS = ROOT / 'runs' / 'interaction'

WEBGL = ['--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader']

# name: (first cell, second cell, which is timed until the panel has been drawn)
NOTEBOOKS = dict(
    canvas=(
        """from psr_nb.data import load_data
from psr_nb.decisions import Decisions
from psr_nb.explorer import PoolExplorer
from psr_nb.pool import Pool
real = load_data('fashion-mini')""",
        "explorer = PoolExplorer(Pool.open('pool'), real, start=Decisions(ipc=10), keep=False)\nexplorer",
    ),
    large=(
        """import torch
from psr_nb.data import ImageData, load_data
from psr_nb.decisions import Decisions
from psr_nb.explorer import PoolExplorer
from psr_nb.select import ImagePool
real = load_data('fashion-mini')
chosen = torch.arange(100_000) % len(real)
ways = torch.randint(-3, 4, (1000, 2), generator=torch.Generator().manual_seed(0)).tolist()
images = torch.cat([real.images[part].roll(way, (2, 3)) for part, way in zip(chosen.split(100), ways)])
pool = ImagePool(ImageData(images, real.labels[chosen], real.classes, 'shifted'))""",
        """start = Decisions(ipc=10, gate=False)
explorer = PoolExplorer(pool, real, space='pixels', map='pca', start=start, max_reference=200)
explorer""",
    ),
    training=(
        """from psr_nb.data import load_data
from psr_nb.decisions import Decisions
from psr_nb.explorer import PoolExplorer
from psr_nb.pool import Pool
real = load_data('fashion-mini')""",
        "explorer = PoolExplorer(Pool.open('demo'), real, start=Decisions(ipc=10), keep=False)\nexplorer",
    ),
)

# `since` starts at an event and ends in the first task after the frame that follows the change: the page is painted.
# With `latest` the time counts from the last event: a pointer may find nothing, a key may change nothing.
CLOCK = """
window.laps = [];
window.since = (target, event, node, options, holds) => {
  let start = null, before = null;
  target.addEventListener(event, () => {
    if (start !== null && !holds.latest) return;
    start = performance.now();
    before = holds.before ? holds.before() : null;
  }, true);
  new MutationObserver(() => {
    if (start === null || !holds.now(before)) return;
    const began = start;
    start = null;
    const painted = new MessageChannel();
    painted.port1.onmessage = () => window.laps.push(performance.now() - began);
    requestAnimationFrame(() => painted.port2.postMessage(0));
  }).observe(node, options);
};
"""
KEY = """(() => {
  const box = document.querySelector('.psr.explorer'), drawn = { attributes: true, attributeFilter: ['data-drawn'] };
  since(document, 'keydown', box, drawn,
    { latest: true, before: () => box.dataset.drawn, now: old => box.dataset.drawn !== old });
})()"""
GUESS = """(() => {
  const cell = document.querySelector('.psr .strip tr[data-which=selection] td.number');
  since(document, 'keydown', cell, { childList: true, characterData: true, subtree: true },
    { latest: true, before: () => cell.textContent, now: old => cell.textContent !== old });
})()"""
HOVER = """(() => {
  const card = document.querySelector('.psr.explorer .card');
  const over = [...document.querySelectorAll('.psr.explorer .plot canvas')].at(-1);
  since(over, 'pointermove', card, { attributes: true, attributeFilter: ['data-id'] },
    { latest: true, before: () => card.dataset.id, now: old => card.dataset.id !== old });
})()"""
LASSO = """(() => {
  const box = document.querySelector('.psr.explorer'), sheet = box.querySelector('.sheet');
  const over = [...box.querySelectorAll('.plot canvas')].at(-1);
  const painted = () => {
    const first = [...sheet.querySelectorAll('.tile img')].slice(0, 40);
    return first.length && first.every(x => x.complete && x.naturalWidth);
  };
  since(over, 'pointerup', box, { attributes: true, subtree: true, childList: true }, { now: painted });
})()"""


def write(folder: Path, notebooks: dict = NOTEBOOKS) -> None:
    "The notebooks that are measured."
    folder.mkdir(parents=True, exist_ok=True)
    kernel = dict(kernelspec=dict(display_name='python3', language='python', name='python3'))
    for name, sources in notebooks.items():
        blank = dict(cell_type='code', metadata={}, execution_count=None, outputs=[])
        cells = [dict(blank, id=f'c{i}', source=source) for i, source in enumerate(sources)]
        notebook = dict(cells=cells, metadata=kernel, nbformat=4, nbformat_minor=5)
        (folder / f'{name}.ipynb').write_text(json.dumps(notebook), encoding='utf-8')


def made(folder: Path, n_per_class: int, ipc: int, students: int, brief: bool, **options) -> None:
    "A pool of the bundled prior with scores, a map and measured worth, once. `brief`: worth of two epochs, for times."
    if (folder / 'ready').exists():
        return
    from psr_nb.data import load_data
    from psr_nb.pool import Pool
    from psr_nb.prior import Prior
    from psr_nb.protocols import PROTOCOLS
    from psr_nb.score import score
    from psr_nb.select import prepare
    from psr_nb.teacher import Teacher
    from psr_nb.views import pool_umap
    from psr_nb.worth import measure_worth

    print(f'{folder.relative_to(ROOT)} is made, once …', flush=True)
    real, prior = load_data('fashion-mini'), Prior.from_pretrained('fashion')
    teachers = [Teacher.from_pretrained(f'fashion/{n}') for n in 'ab']
    pool = Pool.sample(prior, teachers, n_per_class, path=folder, progress=False, **options)
    score(pool, ['reliability', 'margin', 'entropy', 'typicality'])
    prepare(pool, real)
    pool_umap(pool)
    protocol = replace(PROTOCOLS['quick'], epochs=((1e9, 2),)) if brief else 'quick'
    for _ in measure_worth(pool, real, ipc, students, protocol, trials=100 if brief else 1500):
        pass
    (folder / 'ready').touch()


def pools(names: list[str]) -> None:
    if 'canvas' in names:
        made(RUNS / 'pool', 1000, 10, 24, True, num_inference_steps=4, shard_size=250)
    if 'training' in names:
        made(RUNS / 'demo', 50, 10, 24, True)


def opened(page, address: str, token: str, name: str, ready: str = '.psr.explorer[data-drawn]') -> float:  # seconds
    "Runs the first cell, then times the second until `ready` is there."
    from test_explore import READY

    page.goto(f'{address}/lab/tree/{name}.ipynb?token={token}&reset')
    page.wait_for_function(READY)
    page.evaluate("""async () => {
      await window.jupyterapp.shell.currentWidget.context.sessionContext.ready;
      await window.jupyterapp.commands.execute('notebook:run-cell-and-select-next');
    }""")
    first = 'window.jupyterapp.shell.currentWidget.content.widgets[0].promptNode.textContent'
    page.wait_for_function(f"() => !{first}.includes('*')", timeout=600_000)
    page.wait_for_timeout(1000)
    started = time.perf_counter()
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
    page.wait_for_selector(ready, timeout=600_000)
    return time.perf_counter() - started


def shut(page) -> None:
    "Ends the notebook's kernel."
    page.evaluate('async () => { await jupyterapp.shell.currentWidget.context.sessionContext.shutdown(); }')


def first_drawn(page, address: str, token: str, name: str, times: int) -> float:  # seconds
    "The median over kernels that are new each time; the last one stays."
    found = [opened(page, address, token, name)]
    while len(found) < times:
        shut(page)
        found.append(opened(page, address, token, name))
    return float(np.median(found))


def laps(page, act, times: int, pause: int = 250, tries: int = 40) -> list[float]:  # milliseconds
    "Several repetitions; what has changed nothing is done again."
    out = []
    while len(out) < times and tries:
        before = page.evaluate('laps.length')
        act(len(out))
        with contextlib.suppress(Exception):
            # Asked ten times a second: to ask in every frame would make the page draw frames without an end meanwhile.
            page.wait_for_function(f'() => laps.length > {before}', timeout=3000, polling=100)
        page.wait_for_timeout(pause)
        if page.evaluate('laps.length') > before:
            out.append(page.evaluate('laps.at(-1)'))
        else:
            tries -= 1
    return out


def by_keys(page, clock: str, control: str = 'uncertainty', times: int = 20) -> list[float]:
    "From a key on a slider to what `clock` watches."
    page.evaluate(CLOCK + clock)
    page.locator(f'.psr.explorer input[type=range][data-control={control}]').focus()
    return laps(page, lambda i: page.keyboard.press('ArrowRight'), times)


def by_pointer(page) -> tuple[list[float], list[float]]:  # hover, lasso
    "From the pointer to the card, and from the end of a box around everything to the sheet."
    page.evaluate(CLOCK + HOVER)
    box, rng = page.locator('.psr.explorer .plot canvas').last.bounding_box(), np.random.default_rng(0)
    at = lambda x, y: page.mouse.move(box['x'] + x, box['y'] + y)

    def move(i):
        at(box['width'] * rng.uniform(0.1, 0.9), box['height'] * rng.uniform(0.1, 0.9))
        page.wait_for_timeout(300)

    def drag(i):
        at(8 + i, 8)
        page.mouse.down()
        at(box['width'] / 2, box['height'] / 2)
        at(box['width'] - 8, box['height'] - 8)
        page.mouse.up()

    hover = []
    while len(hover) < 15:  # candidates on the map are found by chance
        before = page.evaluate('laps.length')
        move(0)
        if page.evaluate('laps.length') > before:
            hover.append(page.evaluate('laps.at(-1)'))
    page.locator('.psr.explorer button[data-do=box]').click()
    page.evaluate(CLOCK + LASSO)
    return hover, laps(page, drag, 3, 800)


def trained(page) -> tuple[float, list[float]]:  # seconds for eight students, milliseconds of keys meanwhile
    "Trains eight students and moves a slider while they train."
    strip = page.locator('.psr .strip')
    page.evaluate(CLOCK + KEY)
    strip.locator('button[data-do=train]').click()
    started = time.perf_counter()
    stop = strip.locator('button[data-do=stop]')
    page.wait_for_timeout(1500)
    page.locator('.psr.explorer input[type=range][data-control=uncertainty]').focus()
    out = []
    while stop.is_enabled():
        way = 'ArrowRight' if len(out) % 20 < 10 else 'ArrowLeft'
        out += laps(page, lambda i, way=way: page.keyboard.press(way), 1, 200, 1)
    return time.perf_counter() - started, out


@contextlib.contextmanager
def lab(folder: Path, webgl: bool = False):
    "A JupyterLab over a folder, and a page of a browser; WebGL is drawn without a GPU."
    from playwright.sync_api import sync_playwright
    from test_explore import jupyterlab

    found = (shutil.which(n) for n in ('chromium', 'chromium-browser', 'google-chrome'))
    with jupyterlab(folder) as (address, token), sync_playwright() as p:
        browser = p.chromium.launch(
            executable_path=next(filter(None, found)), args=['--no-sandbox', *(WEBGL if webgl else [])]
        )
        page = browser.new_page(viewport=dict(width=1600, height=1100))
        page.set_default_timeout(600_000)
        yield page, address, token
        browser.close()


def row(words: str, value: float, goal: float, unit: str, more: str = '') -> None:
    print(f'| {words} | {value:.{1 if unit == "s" else 0}f} {unit}{more} | {goal:g} {unit} |', flush=True)


def median_row(words: str, values: list[float], goal: float) -> None:
    if not values:
        print(f'| {words} | not seen | {goal:g} ms |', flush=True)
        return
    row(words, float(np.median(values)), goal, 'ms', f' (95 %: {np.quantile(values, 0.95):.0f})')


def measure(names: list[str]) -> None:
    "Prints the table."
    pools(names)
    write(RUNS)
    print(
        f'load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; median\n\n| figure | measured | goal |\n|---|---|---|'
    )
    with lab(RUNS) as (page, address, token):
        for name in names:
            seconds = first_drawn(page, address, token, name, 5 if name == 'canvas' else 1)
            page.wait_for_timeout(3000)
            page.locator('.psr.explorer').scroll_into_view_if_needed()
            if name == 'canvas':
                row('10,000 candidates open', seconds, 1.1, 's')
                median_row('10,000: key to points', by_keys(page, KEY), 58)
                median_row('10,000: key to predicted accuracy', by_keys(page, GUESS), 100)
                hover, lasso = by_pointer(page)
                median_row('10,000: pointer to picture', hover, 39)
                median_row('10,000: lasso to sheet', lasso, 151)
            elif name == 'large':
                row('100,000 candidates open', seconds, 8, 's')
                median_row('100,000: key to points', by_keys(page, KEY, 'representativeness', 8), 1000)
            else:
                seconds, keys = trained(page)
                row('eight students, pool of the demo', seconds, 20, 's')
                median_row('key to points while they train', keys, 200)
                row('the slowest of these', max(keys, default=float('nan')), 200, 'ms')
            shut(page)
    print(f'\nload at the end {os.getloadavg()[0]:.1f}')


def pictures() -> None:
    "The explorer in the light theme, and in the dark one with two snapshots compared."
    from PIL import Image

    made(RUNS / 'pictured', 20, 5, 64, False)
    call = "explorer = PoolExplorer(Pool.open('pictured'), real, start=Decisions(ipc=5), keep=False)\nexplorer"
    write(RUNS, dict(pictured=(NOTEBOOKS['canvas'][0], call)))
    with lab(RUNS) as (page, address, token):
        page.set_viewport_size(dict(width=1500, height=2000))
        opened(page, address, token, 'pictured')
        page.wait_for_timeout(4000)
        panel, strip = page.locator('.psr.explorer'), page.locator('.psr .strip')

        def picture(name: str) -> None:
            panel.scroll_into_view_if_needed()
            page.locator('.psr.explorer .row').nth(1).locator('.tile').first.hover()
            page.wait_for_timeout(1500)
            image = Image.open(io.BytesIO(panel.screenshot())).convert('RGB')
            image.save(ROOT / 'docs' / name, quality=82, method=6)
            print(f'docs/{name}: {(ROOT / "docs" / name).stat().st_size / 1000:.0f} kB, {image.size}')

        strip.locator('button[data-do=train]').click()
        page.wait_for_timeout(2000)
        page.wait_for_function("() => document.querySelector('.psr .strip button[data-do=stop]').disabled")
        strip.locator('button[data-do=sweep]').click()
        page.wait_for_timeout(1000)
        page.wait_for_function("() => !document.querySelector('.psr .strip button[data-do=sweep]').disabled")
        picture('explorer.webp')
        page.locator('.psr.explorer button[data-do=snapshot]').click()
        box = page.locator('.psr.explorer input[aria-label="Uncertainty, typed"]')
        box.fill('-1')
        box.press('Enter')
        page.wait_for_timeout(2000)
        page.locator('.psr.explorer button[data-do=snapshot]').click()
        for which in 'AB':
            strip.locator(f'tr[data-which={which}] input[type=checkbox]').check()
        theme = "() => { jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' }); }"
        page.evaluate(theme)
        page.wait_for_selector('body[data-jp-theme-light=false]', state='attached')
        page.wait_for_timeout(3000)
        picture('explorer-dark.webp')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', choices=[*NOTEBOOKS, []], help='what to measure; all if none is given')
    parser.add_argument('--pictures', action='store_true', help='make the pictures of the documentation')
    given = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    pictures() if given.pictures else measure(given.names or list(NOTEBOOKS))
