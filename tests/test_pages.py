"Every numbered notebook is a page: it shows what it talks about, and what it shows was made by what it says."

import json
import re
import sys
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
sys.path.insert(0, str(root / 'tools'))
import notebooks as tool  # noqa: E402

numbered = sorted((root / 'nbs').glob('[0-9][0-9]_*.ipynb'))
each = pytest.mark.parametrize('path', numbered, ids=lambda p: p.stem)
SECRET = re.compile(r'\bhf_[A-Za-z0-9]{30,}|\bgh[pousr]_[A-Za-z0-9]{30,}|\bsk-[A-Za-z0-9-]{30,}|\bAKIA[0-9A-Z]{16}\b')


def read(path):
    return json.loads(path.read_text(encoding='utf-8'))


def outputs(notebook):
    "Pairs of a code cell and one of its outputs."
    return [(c, o) for c in notebook['cells'] for o in c.get('outputs', [])]


@each
def test_it_shows_a_picture_or_a_table(path):
    kinds = {k for _, o in outputs(read(path)) for k in o.get('data', {})}
    html = ''.join(tool.text_of(o.get('data', {}).get('text/html', '')) for _, o in outputs(read(path)))
    assert any(k.startswith('image/') for k in kinds) or '<table' in html or '<img' in html or '<svg' in html


@each
def test_outputs_are_of_their_source(path):
    "An output that is older than its cell misleads: make notebooks NB=…"
    for cell in read(path)['cells']:
        said = cell['metadata'].get('made_from')
        if cell.get('outputs') or said:
            assert said == tool.source_hash(''.join(cell['source'])), (
                f'cell {cell["id"]}: make notebooks NB={path.name}'
            )


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
