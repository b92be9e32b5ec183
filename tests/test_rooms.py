"The rooms of the house: imports go down only, private names stay inside, and CONTRIBUTING.md has the table."

import ast
import re
import sys
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
sys.path.insert(0, str(root / 'tools'))
import rooms  # noqa: E402


@pytest.fixture(scope='module')
def house():
    return rooms.rooms()


def test_imports_go_down_and_private_names_stay_inside(house):
    assert not rooms.faults(house)


def test_the_table_is_todays(house):
    text = (root / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    assert rooms.with_table(text, house) == text, 'make export'


def test_every_module_is_a_room(house):
    modules = {p.stem for p in (root / 'psr_nb').glob('*.py')} - {'__init__', '_modidx'}
    assert modules == {r.module for r in house}


def test_what_is_a_fault():
    "Wherever an import stands, except in a module's `__getattr__` for old names."
    tree = ast.parse(
        'from .core import PSRError, _hash\n'
        'from . import pool as p\n'
        'def f():\n    from psr_nb.select import select\n    return p._pack\n'
        'def __getattr__(name):\n    from .explorer import PoolExplorer\n'
    )
    found, private = rooms.imported(tree)
    assert found == {'core': ['PSRError', '_hash'], 'pool': [], 'select': ['select']}
    assert sorted(private) == ['core._hash', 'pool._pack']
    room = lambda notebook, module, *imports: rooms.Room(notebook, module, '', {m: [] for m in imports}, [])
    assert not rooms.faults([room('00_core', 'core'), room('10_pool', 'pool', 'core')])
    assert 'comes later' in rooms.faults([room('00_core', 'core', 'pool'), room('10_pool', 'pool')])[0]


HTML = re.compile(r'</?(?:a|b|caption|div|figure|h[1-6]|i|img|li|ol|p|pre|script|span|style|table|td|th|tr|ul)\b[ />]')


@pytest.mark.parametrize('path', sorted((root / 'psr_nb').glob('*.py')), ids=lambda p: p.stem)
def test_no_html_is_built_from_strings(path):
    "HTML comes from the templates in psr_nb/static, which escape what is put into them. (A line break in plotly's own hover text is none.)"
    tree = ast.parse(path.read_text(encoding='utf-8'))
    said = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    found = [f'line {n.lineno}: {n.value[:60]!r}' for n in said if HTML.search(n.value)]
    assert not found, f'{path.name}: a template is the place for it: {found}'
