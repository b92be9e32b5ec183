"The documentation site: built without a network, no link leads nowhere, nothing is fetched from elsewhere."

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

root = Path(__file__).parent.parent
pytestmark = pytest.mark.slow
FETCHED = {
    'link': 'href',
    'script': 'src',
    'img': 'src',
    'iframe': 'src',
    'source': 'src',
    'video': 'src',
    'use': 'href',
}


class Links(HTMLParser):
    "Names of a page's places, where it leads, and what it fetches."

    def __init__(self, page):
        super().__init__()
        self.names, self.leads, self.fetches = set(), [], []
        self.feed(page.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.names |= {values.get('id'), values.get('name')}
        if tag == 'a' and values.get('href'):
            self.leads.append(values['href'])
        if (target := values.get(FETCHED.get(tag, ''))) and values.get('rel') != 'canonical':
            self.fetches.append(target)


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "All pages by path."
    out = tmp_path_factory.mktemp('site') / 'site'
    done = subprocess.run(
        [sys.executable, root / 'tools' / 'docs.py', out], cwd=root, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out, {p: Links(p) for p in out.rglob('*.html') if p.name != '404.html'}


def test_every_room_has_its_pages(site):
    out, _ = site
    for notebook in (root / 'nbs').glob('[0-9][0-9]_*.ipynb'):
        assert (out / 'stages' / f'{notebook.stem}.html').exists()
    modules = {p.stem for p in (root / 'psr_nb').glob('*.py')} - {'__init__', '_modidx'}
    assert modules == {p.stem for p in (out / 'reference').glob('*.html')} - {'index'}


def test_links_lead_somewhere(site):
    broken = []
    for page, links in site[1].items():
        for target in links.leads + links.fetches:
            if re.match(r'[a-z+]+:|//', target):
                continue
            path, _, name = target.partition('#')
            to = (page.parent / unquote(path)).resolve() if path else page
            to = to / 'index.html' if to.is_dir() else to
            if not to.exists():
                broken.append(f'{page.name}: {target}')
            elif name and to in site[1] and unquote(name) not in site[1][to].names:
                broken.append(f'{page.name}: {target}, no such place')
    assert not broken, broken


def test_nothing_is_fetched_from_elsewhere(site):
    outside = {f'{p.name}: {t}' for p, links in site[1].items() for t in links.fetches if re.match(r'https?:|//', t)}
    assert not outside
    styles = ''.join(p.read_text(encoding='utf-8') for p in site[0].rglob('*.css'))
    assert not re.findall(r'url\(["\']?(?:https?:)?//[^)]*\)|@import', styles)


@pytest.mark.browser
def test_pages_in_a_browser(site, browser):
    "Opened from disk with the network off: pictures are there, and no request leaves."
    context, requests, bad = browser.new_context(offline=True), [], []
    page = context.new_page()
    page.on('request', lambda r: None if r.url.startswith(('file:', 'data:', 'blob:')) else requests.append(r.url))
    page.on('pageerror', lambda e: bad.append(str(e)))
    for name in ('index.html', 'way.html', 'stages/00_core.html', 'reference/core.html'):
        page.goto((site[0] / name).as_uri())
        assert page.locator('h1').count() == 1
    page.goto((site[0] / 'index.html').as_uri())
    assert page.locator('article img').first.evaluate('i => i.complete && i.naturalWidth > 100')
    assert not requests and not bad, (requests, bad)
    context.close()


def test_how_to_pages_are_whatever_lies_there(tmp_path, monkeypatch):
    "A notebook in nbs/how_to is a page, in place of a text of the same name; its links to rooms lead to their pages."
    import nbformat

    sys.path.insert(0, str(root / 'tools'))
    import docs

    cells = [nbformat.v4.new_markdown_cell('# Images of mine\n\nSee [data](../03_data.ipynb).')]
    cells.append(nbformat.v4.new_code_cell('1 + 1'))
    (tmp_path / 'nbs' / 'how_to').mkdir(parents=True)
    (tmp_path / 'nbs' / '03_data.ipynb').write_text('{}')
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / 'nbs' / 'how_to' / 'own_images.ipynb')
    pages = tmp_path / 'pages'
    (pages / 'how-to').mkdir(parents=True)
    for name, title in (('own-images', 'Old'), ('cluster', 'A cluster'), ('site', 'These pages'), ('zoo', 'A zoo')):
        (pages / 'how-to' / f'{name}.md').write_text(f'# {title}\n')
    monkeypatch.setattr(docs, 'ROOT', tmp_path)
    assert [title for title, _ in docs.how_to(pages)] == ['Images of mine', 'A cluster', 'A zoo', 'These pages']
    text = (pages / 'how-to' / 'own-images.md').read_text(encoding='utf-8')
    assert '[data](../stages/03_data.md)' in text and '1 + 1' in text
