"""The rooms of the house: what each notebook exports, what it is about, and what it imports.

python tools/rooms.py          writes the table of CONTRIBUTING.md
python tools/rooms.py --check  says what is wrong, and writes nothing
"""

import ast
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = '<!-- rooms: made by tools/rooms.py -->', '<!-- end of rooms -->'
PACKAGE = 'psr_nb'


@dataclass
class Room:
    "A numbered notebook and the module that it exports."

    notebook: str
    module: str
    about: str
    imports: dict[str, list[str]]  # module -> names, wherever in the module they are imported
    private: list[str]  # what it takes of others that begins with an underscore


def rooms(root: Path = ROOT) -> list[Room]:
    "In reading order."
    return [room(p, root) for p in sorted((root / 'nbs').glob('[0-9][0-9]_*.ipynb'))]


def room(path: Path, root: Path = ROOT) -> Room:
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    sources = [''.join(c['source']) for c in cells]
    module = next(m[1] for s in sources if (m := re.search(r'^#\| *default_exp:? +(\S+)', s, re.M)))
    about = next((m[1] for s in sources[:3] if (m := re.search(r'^> *(.+)$', s, re.M))), '')
    tree = ast.parse((root / PACKAGE / f'{module}.py').read_text(encoding='utf-8'))
    imports, private = imported(tree, module)
    return Room(path.stem, module, about, imports, private)


def imported(tree: ast.Module, module: str = '') -> tuple[dict[str, list[str]], list[str]]:
    """Names that a module takes from others of the package, and the private ones among them.

    What stands in a module's own `__getattr__` serves old import paths and does not count."""
    found, private, aliases = {}, [], {}
    body = [n for n in tree.body if not (isinstance(n, ast.FunctionDef) and n.name == '__getattr__')]
    for node in (n for part in body for n in ast.walk(part)):
        if isinstance(node, ast.ImportFrom):
            source = node.module or ''
            if node.level == 0 and source.split('.')[0] != PACKAGE:
                continue
            source = source.removeprefix(PACKAGE).lstrip('.') if node.level == 0 else source
            for name in node.names:
                if source:
                    found.setdefault(source, []).append(name.name)
                    if name.name.startswith('_'):
                        private.append(f'{source}.{name.name}')
                elif not name.name.startswith('_'):  # a module itself
                    found.setdefault(name.name, [])
                    aliases[name.asname or name.name] = name.name
        elif isinstance(node, ast.Import):
            for name in node.names:
                if name.name.startswith(PACKAGE + '.'):
                    source = name.name[len(PACKAGE) + 1 :]
                    found.setdefault(source, [])
                    if name.asname:
                        aliases[name.asname] = source
    for node in (n for part in body for n in ast.walk(part)):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in aliases
            and node.attr.startswith('_')
            and not node.attr.startswith('__')
        ):
            private.append(f'{aliases[node.value.id]}.{node.attr}')
    return found, private


def faults(found: list[Room]) -> list[str]:
    "Imports that go up or in a circle, and private names that are taken from another room."
    place = {r.module: i for i, r in enumerate(found)}
    out = [f'{r.notebook} takes {name}, which is private' for r in found for name in r.private]
    for i, r in enumerate(found):
        for m in r.imports:
            if m not in place:
                out.append(f'{r.notebook} imports {m}, which no numbered notebook exports')
            elif place[m] >= i:
                out.append(f'{r.notebook} imports {m}, which comes later ({found[place[m]].notebook})')
    return out


def table(found: list[Room]) -> str:
    order = {r.module: i for i, r in enumerate(found)}
    rows = ['| notebook | module | what it is about | imports |', '|---|---|---|---|']
    for r in found:
        uses = ', '.join(f'`{m}`' for m in sorted(r.imports, key=lambda m: order.get(m, 99)))
        about = r.about.replace('|', '\\|')
        rows.append(f'| `{r.notebook}` | `{r.module}` | {about} | {uses or "–"} |')
    return '\n'.join(rows)


def with_table(text: str, found: list[Room]) -> str:
    "The text of CONTRIBUTING.md with the table of today."
    before, _, rest = text.partition(BEGIN)
    return f'{before}{BEGIN}\n{table(found)}\n{END}{rest.partition(END)[2]}'


if __name__ == '__main__':
    path, now = ROOT / 'CONTRIBUTING.md', rooms()
    text = path.read_text(encoding='utf-8')
    if '--check' not in sys.argv:
        path.write_text(with_table(text, now), encoding='utf-8')
    wrong = faults(now)
    if '--check' in sys.argv and with_table(text, now) != text:
        wrong.append('the table of CONTRIBUTING.md is another: make export')
    print('\n'.join(wrong) or f'{len(now)} rooms, imports go down only')
    sys.exit(bool(wrong))
