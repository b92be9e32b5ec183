"""Names that try to be more than names, in a real browser: nothing that they hold runs, and nothing is fetched.

The classes, the prior, the data, a method and a teacher have such names, in every page and every panel.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import tiny_teacher
from test_explore import READY, RUN, jupyterlab, watched

from psr_nb.bench import Bench, parse_grid, run_bench
from psr_nb.bench_page import bench_page
from psr_nb.core import read_json, to_json
from psr_nb.data import ImageData
from psr_nb.demo import demo
from psr_nb.describe import describe
from psr_nb.explorer import PoolExplorer
from psr_nb.pictures import to_pil
from psr_nb.pool import Pool
from psr_nb.prior import Prior
from psr_nb.teacher import Teacher

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CLASSES = [
    '"><img src=x onerror="window.hit=1">',
    '</script><script>window.hit=2</script>',
    "';window.hit=3;//{{ 7*7 }}${7*7}",
]
NAME = '<img src=x onerror=window.hit=4>'  # of folders: without a slash

OWN = ('file:', 'data:', 'blob:')  # what is in the page itself


def make_data(n: int, seed: int, name: str = NAME) -> ImageData:
    "Random grey images of the hostile classes."
    g = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (3 * n, 1, 32, 32), generator=g, dtype=torch.uint8)
    return ImageData(images, torch.arange(3 * n) % 3, CLASSES, name)


def make_teacher(name: str) -> Teacher:
    torch.manual_seed(1)
    return tiny_teacher(name, CLASSES)


@pytest.fixture(scope='module')
def hostile(tiny_prior, tmp_path_factory):
    "A folder with a prior whose name, and whose classes, are hostile."
    folder = tmp_path_factory.mktemp('hostile')
    prior = shutil.copytree(tiny_prior, folder / NAME)
    index = read_json(prior / 'model_index.json')
    index['id2label'] = {str(i): c for i, c in enumerate(CLASSES)}
    (prior / 'model_index.json').write_text(to_json(index))
    return folder


def write_folder(folder) -> None:
    "The same images as folders of classes: names of files lose their slash."
    for split, seed in (('train', 0), ('test', 1)):
        data = make_data(4, seed)
        for i, (image, label) in enumerate(zip(data.images, data.labels.tolist())):
            file = folder / split / CLASSES[label].replace('/', '') / f'{i}.png'
            file.parent.mkdir(parents=True, exist_ok=True)
            to_pil(image).save(file)


def write_grid(folder, data):
    "A grid of one method, and its page."
    grid = dict(data=str(data), seeds=1, ipc=[1], epochs=1, methods={NAME: dict(baseline='random_real')})
    bench = Bench.begin(parse_grid(grid), folder)
    for _ in run_bench(bench):
        pass
    return bench_page(bench)


def write_pages(folder) -> list:
    "Every page that the package writes: the demo's report, a set's card, the explorer, a data report, a grid."
    import mistune

    prior = Prior.from_pretrained(folder / NAME, device='cpu', dtype=torch.float32)
    small = dict(seeds=1, ipc=1, n_per_class=4, progress=False, map_method='pca', refine_options=dict(steps=1))
    small |= dict(teachers=[make_teacher(f'{letter}{NAME}') for letter in 'abc'])
    demo(folder / 'demo', prior=prior, data=make_data(6, 0), test=make_data(4, 1), **small)
    explorer = PoolExplorer(Pool.open(folder / 'demo' / 'pool'), make_data(6, 0), keep=False, map='pca')
    explorer.to_html(folder / 'explorer.html', title=NAME)
    card = (folder / 'demo' / 'distilled' / 'README.md').read_text(encoding='utf-8').split('---', 2)[2]
    (folder / 'card.html').write_text(mistune.create_markdown(escape=False)(card), encoding='utf-8')
    write_folder(folder / 'data' / NAME)
    report = describe(folder / 'data' / NAME)._repr_html_()
    (folder / 'data.html').write_text(f'<!doctype html><body>{report}', encoding='utf-8')
    pages = [folder / 'demo' / 'report.html', *(folder / f'{n}.html' for n in ('explorer', 'card', 'data'))]
    return [*pages, write_grid(folder / 'grid', folder / 'data' / NAME)]


def check(page, where: str) -> None:
    page.wait_for_timeout(500)
    assert page.evaluate('window.hit') is None, where
    assert not page.bad, f'{where}: {page.bad}'


def test_pages(hostile, browser):
    for file in write_pages(hostile):
        page = watched(browser.new_page())
        page.on('request', lambda r, page=page: None if r.url.startswith(OWN) else page.bad.append(r.url))
        page.goto(file.as_uri())
        page.wait_for_load_state()
        check(page, file.name)
        shown = page.inner_text('body')
        assert CLASSES[0] in shown or NAME in shown, f'{file.name} shows the name as it is'
        page.close()


CELL = """import sys
sys.path.insert(0, {tests!r})
import torch
from test_hostile import make_data, make_teacher
from psr_nb.describe import describe
from psr_nb.explorer import PoolExplorer
from psr_nb.pictures import to_pil
from psr_nb.pool import Pool
from psr_nb.prior import Prior
from psr_nb.select import select
from psr_nb.studio import PoolSampler, RefineStudio
from IPython.display import display
prior = Prior.from_pretrained({name!r}, device='cpu', dtype=torch.float32)
pool = Pool.sample(prior, [make_teacher('a')], 4, path='live', progress=False)
chosen, real = select(pool, 1), make_data(20, 0)
parts = dict(teacher=make_teacher('b'), real=real, judge=make_teacher('c'), steps=1)
display(pool, chosen, real, PoolExplorer(pool, real, keep=False, map='pca'))
display(RefineStudio(chosen, prior, **parts), PoolSampler(prior, [], 2, path='more'))
"""


def test_panels(hostile, browser):
    "The panels and the reprs in a JupyterLab."
    blank = dict(cell_type='code', metadata={}, execution_count=None, outputs=[], id='c0')
    notebook = dict(
        cells=[dict(blank, source=CELL.format(name=NAME, tests=str(Path(__file__).parent)))],
        metadata={},
        nbformat=4,
        nbformat_minor=5,
    )
    notebook['metadata'] = dict(kernelspec=dict(display_name='python3', language='python', name='python3'))
    (hostile / 'live.ipynb').write_text(json.dumps(notebook), encoding='utf-8')
    with jupyterlab(hostile) as (address, token):
        page = watched(browser.new_page(viewport=dict(width=1400, height=1000)))
        page.goto(f'{address}/lab/tree/live.ipynb?token={token}')
        page.wait_for_function(READY)
        page.bad.clear()
        page.on('request', lambda r: None if r.url.startswith((address, *OWN)) else page.bad.append(r.url))
        page.evaluate(RUN)
        page.wait_for_selector('.psr.explorer[data-drawn]')
        page.wait_for_function("() => document.querySelectorAll('.psr[role=region]').length >= 3")
        page.locator('.psr.explorer .tile').first.hover()
        page.wait_for_selector('.psr.explorer .card[data-id]')
        page.locator('.psr.explorer button[data-do=snapshot]').click()
        page.wait_for_selector('.psr .strip tr[data-which=A]')
        check(page, 'the panels')
        assert CLASSES[0] in page.inner_text('.psr.explorer')
        page.close()
