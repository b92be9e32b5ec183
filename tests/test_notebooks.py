"The notebooks are the source: the modules are their export, and what is committed of them is clean. Both are tried on a copy."

import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
notebooks = sorted(
    p
    for p in (root / 'nbs').rglob('*.ipynb')
    if not any(part.startswith(('.', '_')) for part in p.relative_to(root).parts)
)
read = cache(lambda path: json.loads(path.read_text(encoding='utf-8')))
each = pytest.mark.parametrize('path', notebooks, ids=lambda p: p.relative_to(root / 'nbs').as_posix())


@pytest.fixture
def copy(tmp_path):
    "The notebooks, nbdev's settings and the package's version, without any module."
    shutil.copy(root / 'pyproject.toml', tmp_path)
    for p in notebooks:
        to = tmp_path / p.relative_to(root)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(p, to)
    (tmp_path / 'psr_nb').mkdir()
    shutil.copy(root / 'psr_nb' / '__init__.py', tmp_path / 'psr_nb')
    return tmp_path


def nbdev(command, folder):
    environment = {k: v for k, v in os.environ.items() if k != 'IN_TEST'}
    done = subprocess.run(
        [sys.executable, Path(sys.executable).parent / command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_modules_are_the_notebooks_export(copy):
    nbdev('nbdev-export', copy)
    made, here = (
        {p.relative_to(base / 'psr_nb').as_posix() for p in (base / 'psr_nb').rglob('*.py')} for base in (copy, root)
    )
    assert not here - made, f'modules that no notebook exports: {sorted(here - made)}'
    differ = sorted(
        n for n in made if n not in here or not filecmp.cmp(copy / 'psr_nb' / n, root / 'psr_nb' / n, shallow=False)
    )
    assert not differ, f'not what the notebooks export, run `make export`: {differ}'


def test_notebooks_are_clean(copy):
    nbdev('nbdev-clean', copy)
    dirty = [
        p.relative_to(root).as_posix() for p in notebooks if (copy / p.relative_to(root)).read_bytes() != p.read_bytes()
    ]
    assert not dirty, f'not clean, run `make export`: {dirty}'


@each
def test_committed_outputs(path):
    "No widget state, no error and no path of the machine that ran it."
    notebook = read(path)
    assert 'widgets' not in notebook['metadata'], 'widget state: turn off "Save Widget State Automatically"'
    for cell in notebook['cells']:
        for output in cell.get('outputs', []):
            assert output['output_type'] != 'error', f'cell {cell["id"]}: {output.get("ename")}: {output.get("evalue")}'
            text = ''.join(
                ''.join(v)
                for k, v in {**output.get('data', {}), 'text': output.get('text', '')}.items()
                if k.startswith('text')
            )
            assert not (found := re.search(r'(?<![\w.])/(home|root|tmp|Users)/\S+|[A-Z]:\\Users\\\S+', text)), (
                f'cell {cell["id"]} shows a path of one machine: {found.group()}'
            )


@each
def test_every_expected_error_is_tried(path):
    "`expect_fail` given a function does not call it; with `with` it tests, else `test_fail` does."
    for cell in read(path)['cells']:
        if cell['cell_type'] == 'code':
            idle = re.findall(r'^(?!\s*(?:with|from|import)\b).*\bexpect_fail\b.*$', ''.join(cell['source']), re.M)
            assert not idle, f'cell {cell["id"]}: {idle}'
