"Every numbered notebook and every how-to is a page: it shows what it talks about, and what it shows was made by what it says."

import json
import re
import sys
from functools import cache
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
sys.path.insert(0, str(root / 'tools'))
import notebooks as tool  # noqa: E402

each = pytest.mark.parametrize('path', tool.pages(), ids=lambda p: p.stem)
SECRET = re.compile(r'\bhf_[A-Za-z0-9]{30,}|\bgh[pousr]_[A-Za-z0-9]{30,}|\bsk-[A-Za-z0-9-]{30,}|\bAKIA[0-9A-Z]{16}\b')


@cache
def read(path):
    return json.loads(path.read_text(encoding='utf-8'))


def outputs(notebook):
    "Pairs of a code cell and one of its outputs."
    return [(c, o) for c in notebook['cells'] for o in c.get('outputs', [])]


@each
def test_it_shows_a_picture_or_a_table(path):
    kinds = {k for _, o in outputs(read(path)) for k in o.get('data', {})}
    html = ''.join(tool.text_of(o.get('data', {}).get('text/html', '')) for _, o in outputs(read(path)))
    shows = any(k.startswith('image/') for k in kinds) or any(tag in html for tag in ('<table', '<img', '<svg'))
    assert shows, f'{path.name} shows neither a picture nor a table. Run: make notebooks NB={path.stem}'


@each
def test_outputs_are_of_their_source(path):
    "An output that is older than the code above it misleads."
    reason = tool.stale(path)
    assert not reason, f'{path.name}: {reason}. Run: make notebooks NB={path.stem}'


@each
def test_outputs_are_still_and_small(path):
    "Nothing that needs a kernel or a library to be seen, no error, nothing of the machine, nothing secret."
    assert path.stat().st_size <= tool.LARGEST
    for cell, output in outputs(read(path)):
        here = f'cell {cell["id"]}'
        assert output['output_type'] != 'error', here
        assert output.get('name') != 'stderr', f'{here} shows warnings'
        data = output.get('data', {})
        assert set(data) <= set(tool.KEPT), f'{here} has {set(data) - set(tool.KEPT)}'
        text = ''.join(tool.text_of(v) for k, v in {**data, 'text': output.get('text', '')}.items() if k[:4] == 'text')
        assert not (found := tool.PATHS.search(text)), f'{here} shows a path of one machine: {found.group()}'
        assert not SECRET.search(text), f'{here} shows what looks like a key'


def test_what_is_kept_is_scrubbed():
    assert tool.scrub(f'{tool.ROOT}/runs/x and /tmp/abc/pool') == 'runs/x and …/pool'
    assert tool.scrub('\x1b[31mred\x1b[0m and a/tmp/b') == 'red and a/tmp/b'
    assert tool.skipped('#| eval: false\n1') and tool.skipped('#| slow\n1') and not tool.skipped('#| hide\n1')


def test_a_stale_page_is_found(tmp_path):
    "By the code of the cell itself, and by code above it; prose may change."
    cell = lambda kind, id, source, **more: dict(cell_type=kind, id=id, metadata={}, source=[source], **more)
    above, text = cell('code', 'a', 'x = 1', outputs=[]), cell('markdown', 'b', 'words')
    shown = cell('code', 'c', 'print(x)', outputs=[dict(output_type='stream', name='stdout', text='1')])
    shown['metadata']['made_from'] = tool.source_hash('print(x)')
    page, path = dict(cells=[above, text, shown], metadata={}), tmp_path / 'page.ipynb'
    page['metadata']['made_from'] = tool.page_hash(page['cells'])
    look = lambda: (path.write_text(json.dumps(page)), tool.stale(path))[1]
    assert look() == ''
    text['source'] = ['other words']
    assert look() == ''
    above['source'] = ['x = 2']
    assert 'code above' in look()
    shown['source'] = ['print(-x)']
    assert 'cells c' in look()
    shown['outputs'] = []
    assert 'shows nothing' in look()
