"The README's Python example runs as it is written, with smaller numbers."

import re
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_ten_lines_run(tmp_path, monkeypatch, capsys):
    code = re.findall(
        r'```python\n(.*?)```', (Path(__file__).parent.parent / 'README.md').read_text(encoding='utf-8'), re.S
    )
    assert len(code) == 1
    for number, smaller in (('n_per_class=25', 'n_per_class=6'), ('ipc=5', 'ipc=2'), ('steps=10', 'steps=1')):
        assert number in code[0]
        code[0] = code[0].replace(number, smaller)
    monkeypatch.chdir(tmp_path)
    exec(compile(code[0], 'README.md', 'exec'), {})
    assert 'of the refined images kept' in capsys.readouterr().out
