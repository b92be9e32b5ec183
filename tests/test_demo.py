"`psr demo` in small: its files, its table, and its page in a real browser."

import json
import math
import re
from dataclasses import replace

import pytest
from commands import worked_here
from test_cli import COLUMNS

from psr_nb.protocols import PROTOCOLS

pytestmark = pytest.mark.slow

METHODS = ['random_real', 'generate_and_use', 'random', 'random+refine', 'psr_select', 'psr']


@pytest.fixture(scope='module')
def demo(few_images, tmp_path_factory):
    "The folder that a demo left, and what it printed."
    out = tmp_path_factory.mktemp('demo') / 'out'
    brief = replace(PROTOCOLS['quick'], epochs=((math.inf, 20),))
    with pytest.MonkeyPatch.context() as at:
        at.setitem(PROTOCOLS, 'quick', brief)
        done = small_demo(out, few_images)
    return out, done


def small_demo(out, data):
    return worked_here(
        'demo',
        '--out',
        out,
        '--data',
        data,
        '--ipc',
        1,
        '--n-per-class',
        6,
        '--seeds',
        2,
        '--steps',
        2,
        '--map',
        'pca',
    )


def test_results(demo):
    "Tidy rows: six methods with the same seeds, accuracies as fractions."
    rows = json.loads((demo[0] / 'results.json').read_text())
    assert list(dict.fromkeys(r['method'] for r in rows)) == METHODS
    for r in rows:
        assert (
            set(r) == COLUMNS
            and 0 < r['accuracy_last'] <= r['accuracy_best'] < 1
            and r['ipc'] == 1
            and re.fullmatch(r'fashion [0-9a-f]{8}', r['dataset'])  # not the bundled set: named by its content too
            and r['labels'] == 'hard'
            and r['seconds'] > 0
        )
    assert all(sorted(r['seed'] for r in rows if r['method'] == m) == [0, 1] for m in METHODS)


def test_set_and_pool(demo):
    from psr_nb.distilled import DistilledSet
    from psr_nb.pool import Pool

    distilled, pool = DistilledSet.open(demo[0] / 'distilled'), Pool.open(demo[0] / 'pool', verify=True)
    assert len(distilled) == 10 and len(pool) == 60 and distilled.provenance['pool'] == pool.fingerprint
    assert 'Accuracy on real test images' in (demo[0] / 'distilled' / 'README.md').read_text()


def test_printed_table(demo):
    lines = demo[1].stdout.splitlines()
    assert [line.split()[0] for line in lines if line.split() and line.split()[0] in METHODS] == METHODS
    assert 'against random_real' in demo[1].stdout and str(demo[0] / 'report.html') in demo[1].stdout
    for stage in ('load', 'pool', 'select', 'refine', 'evaluate', 'report'):
        assert re.search(rf'^{stage} +[\d.]+ s', demo[1].stderr, re.M), demo[1].stderr


def test_page_is_one_file(demo):
    "Nothing is fetched, nothing is missing."
    import plotly.offline

    page = (demo[0] / 'report.html').read_text()
    assert len(page) < 10_000_000
    own = page.replace(plotly.offline.get_plotlyjs(), '')
    assert not re.search(r"""(src|href)=["']?(https?:|//|file:)|@import|url\(["']?https?:""", own)
    for words in (*METHODS, 'What was done', 'before and after refinement', 'Provenance', 'arXiv 2606.01920', '95 %'):
        assert words in own
    assert str(demo[0]) not in own  # no path of this machine


@pytest.mark.browser
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_page_in_a_browser(demo, browser, scheme):
    "It draws without an error and without a request; pointing at a candidate shows its picture."
    page, bad, requests = browser.new_page(viewport=dict(width=1280, height=900), color_scheme=scheme), [], []
    page.on('console', lambda m: bad.append(m.text) if m.type in ('error', 'warning') else None)
    page.on('pageerror', lambda e: bad.append(str(e)))
    page.on('request', lambda r: None if r.url.startswith(('file:', 'data:', 'blob:')) else requests.append(r.url))
    page.goto((demo[0] / 'report.html').as_uri())
    page.wait_for_selector('#map .scatterlayer .point', timeout=60_000)
    assert page.locator('#map .scatterlayer .point').count() == 60
    assert page.locator('#accuracy-plot .scatterlayer .point').count() > 6 and page.locator('#card').is_hidden()
    where = """() => {
        const m = document.getElementById('map'), t = m.data.findIndex(t => t.meta == 'selected'), f = m._fullLayout;
        m.scrollIntoView({block: 'center'});
        const r = m.getBoundingClientRect(), { x, y } = m._fullData[t];
        return [r.left + f.xaxis._offset + f.xaxis.l2p(x[0]), r.top + f.yaxis._offset + f.yaxis.l2p(y[0])];
    }"""
    x, y = page.evaluate(where)
    page.wait_for_timeout(300)
    x, y = page.evaluate(where)
    page.mouse.move(x - 4, y)
    page.mouse.move(x, y)
    page.wait_for_selector('#card', state='visible', timeout=10_000)
    text = page.locator('#card').inner_text()
    assert 'selected' in text and 'reliability' in text
    assert 'data:image' in page.evaluate("getComputedStyle(document.querySelector('#card .thumb')).backgroundImage")
    page.select_option('#only', '3')
    page.wait_for_function(
        "() => document.getElementById('map')._fullData.some(t => Array.isArray(t.marker.opacity) && t.marker.opacity.includes(0.07))",
        timeout=10_000,
    )
    assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')
    assert not bad and not requests, (bad, requests)
    page.close()
