"""The packages of the workshop with their hashes, in nbs/tutorials/locked.txt.

    python tools/lock.py     asks uv for today's versions, for every system and Python from 3.10 on

torch, torchvision and what only they bring along are left out: without CUDA they come from an index of their own, whose
hashes are others. Whoever installs takes them from nbs/tutorials/cpu.txt first.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKED = ROOT / 'nbs' / 'tutorials' / 'locked.txt'
FROM_TORCH = re.compile(r'(torch|torchvision|triton|nvidia-.+|cuda-.+)==')
HEAD = """# The packages of the workshop, each with its hashes; made by `python tools/lock.py`. torch is not among them:
#   pip install -r nbs/tutorials/cpu.txt
#   pip install --no-deps --require-hashes -r nbs/tutorials/locked.txt
#   pip install --no-deps .
"""


def compiled(*options: str) -> str:
    "What uv finds for the requirements in settings.ini."
    command = ['uv', 'pip', 'compile', 'setup.py', '--universal', '--python-version', '3.10', '--quiet']
    command += ['--no-header', '--no-annotate', *options]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def main() -> None:
    names = {line.split('==')[0] for line in compiled().splitlines() if FROM_TORCH.match(line)}
    without = [word for name in sorted(names) for word in ('--no-emit-package', name)]
    LOCKED.write_text(HEAD + compiled('--generate-hashes', *without), encoding='utf-8')
    print(f'{LOCKED.relative_to(ROOT)}: {LOCKED.stat().st_size / 1000:.0f} kB', file=sys.stderr)


if __name__ == '__main__':
    main()
