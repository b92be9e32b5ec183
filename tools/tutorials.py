"""Make the workshop's notebooks from their masters, run them, and measure what a learner's machine needs.

    python tools/tutorials.py              writes the learner's notebooks and the solutions from the masters
    python tools/tutorials.py --run [NAME] runs the masters (or one), keeps their outputs, then writes the others
    python tools/tutorials.py --time [NAME ...] [--together 4] [--short]  runs solutions and prints seconds and memory of each

A master in nbs/tutorials/masters has every cell of a tutorial. Tags say who gets a cell: `stub` (the learner and the
page: an exercise with dots to fill in), `solution` (the solutions and, folded, the page), `check` (everybody; the
learner gets it without its output). A cell without a tag is for everybody.
"""

import argparse
import asyncio
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))
import notebooks  # noqa: E402

FOLDER = ROOT / 'nbs' / 'tutorials'
ROLES = ('stub', 'solution', 'check')


def masters() -> list[Path]:
    return sorted((FOLDER / 'masters').glob('*.ipynb'))


def tags(cell: dict) -> list[str]:
    return cell['metadata'].get('tags', [])


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding='utf-8'))


def part(master: dict, solved: bool) -> dict:
    "The learner's notebook, or the solutions."
    made = copy.deepcopy(master)
    left_out = 'stub' if solved else 'solution'
    made['cells'] = [c for c in made['cells'] if left_out not in tags(c)]
    for cell in made['cells']:
        if not solved and 'check' in tags(cell) and cell['cell_type'] == 'code':
            cell['outputs'] = []
        cell['metadata'] = {}
        cell['source'] = [line.replace('](../../', '](../' if not solved else '](../../') for line in cell['source']]
    made['metadata'].pop('made_from', None)
    return made


def places(master: Path) -> dict[Path, bool]:  # path -> whether it is solved
    "Where the two notebooks of a master go."
    return {FOLDER / master.name: False, FOLDER / 'solutions' / master.name: True}


def text(notebook: dict) -> str:
    "As nbdev writes it."
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + '\n'


def out_of_step() -> list[str]:
    "Notebooks that are not what their master makes."
    return [
        str(path.relative_to(ROOT))
        for master in masters()
        for path, solved in places(master).items()
        if not path.exists() or path.read_text(encoding='utf-8') != text(part(read(master), solved))
    ]


def write() -> None:
    for master in masters():
        for path, solved in places(master).items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text(part(read(master), solved)), encoding='utf-8')


async def timed(
    path: Path,
    short: bool = False,  # smaller numbers
    pools: Path | None = None,  # where it keeps pools; None: a new folder
) -> list:  # name, seconds, processor seconds, GB
    "Runs a notebook in a kernel of its own."
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    began, sockets, fresh = time.perf_counter(), tempfile.TemporaryDirectory(), tempfile.TemporaryDirectory()
    ipc = dict(transport='ipc', ip=f'{sockets.name}/kernel')
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name='python3',
        resources={'metadata': {'path': str(path.parent)}},
        config=Config(KernelManager=ipc),
    )
    own = dict(MALLOC_ARENA_MAX='2')  # as `make lab` does: threads share the memory that they free
    own |= dict(PYTHONPATH=str(ROOT), PSR_LESSONS='short' if short else '', PSR_LESSONS_FOLDER=str(pools or fresh.name))
    async with client.async_setup_kernel(env={**os.environ, **own}):
        for number, cell in enumerate(notebook.cells):
            if cell.cell_type == 'code':
                await client.async_execute_cell(cell, number)
        used, memory = await notebooks.usage(client.kc)
    return [path.stem, time.perf_counter() - began, used, memory]


async def measure(names: list[str], together: int, short: bool) -> None:
    "Prints a table; `together` copies of each run side by side, as in a room."
    paths = [p for p in sorted((FOLDER / 'solutions').glob('*.ipynb')) if not names or p.stem in names]
    print(f'| notebook | seconds | processor seconds | memory, GB |\n|---|---|---|---|   load {os.getloadavg()[0]:.1f}')
    for path in paths:
        for row in await asyncio.gather(*(timed(path, short) for _ in range(together))):
            print('| {} | {:.0f} | {:.0f} | {:.2f} |'.format(*row), f'  load {os.getloadavg()[0]:.1f}', flush=True)


async def run(names: list[str]) -> bool:
    "Runs masters, one after another, with new pools; whether one of them failed."
    drawer, wrong, folder = notebooks.Drawer(), False, tempfile.TemporaryDirectory()
    os.environ['PSR_LESSONS_FOLDER'] = folder.name
    for path in masters():
        if not names or path.stem in names:
            try:
                print(await notebooks.remake(path, drawer), flush=True)
            except Exception as e:  # the others are run all the same
                wrong = True
                print(f'{path.name}: {type(e).__name__}: {str(e)[-2500:]}', flush=True)
    await drawer.close()
    return wrong


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help='tutorials by name; all if none is given')
    parser.add_argument('--run', action='store_true', help='run the masters and keep their outputs')
    parser.add_argument('--time', action='store_true', help='run the solutions and print seconds and memory')
    parser.add_argument('--short', action='store_true', help='smaller numbers, with --time')
    parser.add_argument('--together', type=int, default=1, help='kernels side by side, with --time')
    given = parser.parse_args()
    if given.time:
        sys.exit(asyncio.run(measure(given.names, given.together, given.short)))
    failed = given.run and asyncio.run(run(given.names))
    subprocess.run([sys.executable, Path(sys.executable).parent / 'nbdev-clean'], cwd=ROOT, check=True)
    write()
    sys.exit(bool(failed))
