"What CONTRIBUTING.md says works: its examples run, and its commands are there."

import re
from pathlib import Path

import pytest

root = Path(__file__).parent.parent
text = (root / 'CONTRIBUTING.md').read_text(encoding='utf-8')


@pytest.fixture
def registries():
    "What is added to a registry is taken out again."
    from psr_nb import evaluate, score, select

    all_of_them = [score.SCORES, select.SELECTORS, select.SPACES, evaluate.PROTOCOLS, evaluate.STUDENTS]
    before = [dict(r) for r in all_of_them]
    yield all_of_them
    for registry, entries in zip(all_of_them, before):
        registry.clear()
        registry.update(entries)


def test_the_examples_run(registries, tiny_copy, fashion_mini, capsys):
    from psr_nb.data import load_data
    from psr_nb.pool import Pool

    sizes = [len(r) for r in registries]
    known = dict(
        pool=Pool.open(tiny_copy), real=fashion_mini.per_class(2), test=load_data('fashion-mini', 'test').per_class(5)
    )
    examples = re.findall(r'```python\n(.*?)```', text, re.S)
    assert len(examples) == 5
    for i, code in enumerate(examples):
        exec(compile(code, f'CONTRIBUTING.md, example {i + 1}', 'exec'), known)
    assert [len(r) for r in registries] == [n + 1 for n in sizes]  # one entry in one registry each
    assert 'second_guess' in capsys.readouterr().out


def test_every_command_is_a_target():
    makefile = (root / 'Makefile').read_text(encoding='utf-8')
    targets = set(re.findall(r'^([a-z-]+):', makefile, re.M))
    assert set(re.findall(r'(?:^|`)make ([a-z-]+)', text, re.M)) <= targets
