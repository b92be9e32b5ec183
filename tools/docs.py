"""Build the documentation site, offline: notebooks and docstrings to Markdown, Markdown to HTML.

python tools/docs.py [FOLDER]   default: _site
"""

import ast
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))
import rooms  # noqa: E402
import tutorials  # noqa: E402

PICTURES = {'image/png': 'png', 'image/jpeg': 'jpg', 'image/svg+xml': 'svg', 'image/webp': 'webp'}

CONFIG = """\
[project]
site_name = "psr_nb"
site_description = "Pool, select, refine: dataset distillation with diffusion priors, in notebooks"
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
nav = [
  {{ "Start" = "index.md" }},
  {{ "The way" = [
    "way.md",
{stages}
  ] }},
  {{ "Workshop" = [
{tutorials}
  ] }},
  {{ "How to" = [
{how_to}
    {{ "Contributing" = "contributing.md" }},
    {{ "Changes" = "changes.md" }},
  ] }},
  {{ "Reference" = [
    "reference/index.md",
{reference}
  ] }},
]

[project.theme]
language = "en"
font = false
features = ["navigation.indexes", "navigation.footer", "navigation.top", "content.code.copy", "toc.follow"]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Switch to dark mode"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Switch to light mode"

[project.markdown_extensions]
attr_list = {{}}
md_in_html = {{}}
tables = {{}}
toc.permalink = true
pymdownx.highlight.pygments_lang_class = true
pymdownx.superfences = {{}}
"""


# ---- pages of notebooks


def stage(room: rooms.Room, pages: Path) -> str | None:
    "Writes the page of a room's notebook; its largest picture, a path or a data URI."
    return page(ROOT / 'nbs' / f'{room.notebook}.ipynb', pages / 'stages', room.notebook)


def page(path: Path, folder: Path, name: str) -> str | None:
    "Writes a notebook as the page NAME.md of a folder; its largest picture, a path or a data URI."
    import nbformat
    from nbconvert import MarkdownExporter
    from traitlets.config import Config

    notebook = folded(nbformat.read(path, as_version=4))
    notebook.metadata['language_info'] = {'name': 'python'}
    notebook.cells = [c for c in notebook.cells if not re.search(r'^#\|.*\bhide\b', c.source, re.M)]
    for cell in notebook.cells:
        if cell.cell_type == 'code':
            cell.source = re.sub(r'^#\|.*\n?', '', cell.source, flags=re.M).strip('\n')
            for output in cell.outputs:  # text beside a picture or a table says less than that
                data = output.get('data', {})
                if len(data) > 1:
                    data.pop('text/plain', None)
                if 'text/html' in data:
                    data['text/html'] = bare(data['text/html'])
    notebook.cells = [c for c in notebook.cells if c.source.strip()]
    order = ['text/html', 'text/markdown', *PICTURES, 'text/plain']
    exporter = MarkdownExporter(config=Config(NbConvertBase=dict(display_data_priority=order)))
    text, resources = exporter.from_notebook_node(notebook, resources=dict(unique_key=name))
    folder.mkdir(exist_ok=True)
    for picture, content in resources['outputs'].items():
        (folder / picture).write_bytes(content)
    text = links(text, folder.name).replace('../../docs/', '../').replace('../docs/', '../')
    (folder / f'{name}.md').write_text(text, encoding='utf-8')
    pictures = re.findall(r'!\[[^\]]*\]\(([^)\s]+)', text) + re.findall(
        r'<img[^>]+src="(data:image/\w+;base64,[A-Za-z0-9+/=]{99,})"', text
    )
    weight = lambda p: len(p) * 3 // 4 if p.startswith('data:') else (folder / p).stat().st_size
    return max((p for p in pictures if p.startswith('data:') or (folder / p).exists()), key=weight, default=None)


def folded(notebook):
    "A tutorial's page has its exercises with dots; the solutions are folded, and checks are what the reader runs."
    import nbformat

    for i, cell in enumerate(notebook.cells):
        role = cell.metadata.get('tags', [])
        if 'solution' in role and cell.cell_type == 'code':
            text = f'<details markdown="1"><summary>A solution</summary>\n\n```python\n{cell.source}\n```\n\n</details>'
            notebook.cells[i] = nbformat.v4.new_markdown_cell(text)
        elif 'check' in role and cell.cell_type == 'code':
            cell.outputs = []
    return notebook


def workshop(pages: Path) -> list[tuple[str, str]]:
    "The tutorials and the page for the instructor: titles and paths."
    folder, found = pages / 'tutorials', []
    for path in tutorials.masters():
        page(path, folder, path.stem)
        text = (folder / f'{path.stem}.md').read_text(encoding='utf-8')
        found.append((f'{path.stem[0]} {re.search(r"^# (.+)$", text, re.M)[1]}', f'tutorials/{path.stem}.md'))
    guide = tutorials.FOLDER / 'README.md'
    if guide.exists():
        (folder / 'in-front.md').write_text(links(guide.read_text(encoding='utf-8'), 'tutorials'), encoding='utf-8')
        found.insert(0, ('For the instructor', 'tutorials/in-front.md'))
    return found


def how_to(pages: Path) -> list[tuple[str, str]]:
    "The how-to pages, whatever lies there: titles and paths. A notebook takes the place of a text of the same name."
    folder = pages / 'how-to'
    folder.mkdir(exist_ok=True)
    for path in sorted((ROOT / 'nbs' / 'how_to').glob('*.ipynb')):
        page(path, folder, path.stem.replace('_', '-'))
    if (tour := ROOT / 'nbs' / 'tour.ipynb').exists():
        page(tour, folder, 'tour')
    title = lambda p: re.search(r'^# (.+)$', p.read_text(encoding='utf-8'), re.M)
    found = [(m[1].strip() if (m := title(p)) else p.stem, f'how-to/{p.name}') for p in folder.glob('*.md')]
    first = [
        'tour',
        'own-images',
        'own-prior',
        'cluster',
        'glossary',
    ]  # the others by name, the one about this site last
    place = lambda entry: first.index(n) if (n := Path(entry[1]).stem) in first else 99 if n == 'site' else 50
    return sorted(found, key=lambda entry: (place(entry), entry[0]))


def bare(html: str) -> str:
    "A table's HTML without blank lines, which would end it in Markdown, and without the indent of a code block."
    return '\n'.join(line.strip() for line in html.splitlines() if line.strip())


def links(text: str, folder: str = '') -> str:
    "Links to files of the repository become links to pages; where there is no page, words."
    to_stage = '' if folder == 'stages' else '../stages/' if folder else 'stages/'
    known = {p.stem for p in (ROOT / 'nbs').glob('[0-9][0-9]_*.ipynb')}
    lessons = {p.stem for p in tutorials.masters()} if folder == 'tutorials' else set()
    guides = {'tour', *(p.stem for p in (ROOT / 'nbs' / 'how_to').glob('*.ipynb'))} if folder == 'tutorials' else set()

    def one(match):
        words, target = match[1], match[2]
        name = Path(target.partition('#')[0]).stem
        if target.endswith('.ipynb') and name in lessons:
            return match[0] if target.startswith('http') else f'[{words}]({name}.md)'
        if target.endswith('.ipynb') and name in guides:
            return f'[{words}](../how-to/{name.replace("_", "-")}.md)'
        if target.endswith('.ipynb') and name in known:
            return f'[{words}]({to_stage}{name}.md)'
        outside = target.startswith(('http', '#', 'mailto:', 'data:'))
        return match[0] if outside else words

    return re.sub(r'(?<!!)\[([^\]]*)\]\(([^)\s]+)\)', one, text)


def way(found: list[rooms.Room], pictures: dict[str, str | None], pages: Path) -> None:
    "One picture and one sentence for each stage."
    lines = ['# The way', '', 'Each stage is a notebook that explains, runs and tests itself. Read in this order.', '']
    for room in found:
        lines += [f'## [{room.notebook[3:]}](stages/{room.notebook}.md)', '', room.about, '']
        if picture := pictures[room.notebook]:
            if picture.startswith('data:'):
                kind, _, data = picture.partition(',')
                name = f'{room.notebook}_picture.{PICTURES.get(kind[5:].partition(";")[0], "png")}'
                (pages / 'stages' / name).write_bytes(base64.b64decode(data))
                picture = name
            lines += [f'![{room.about}](stages/{picture}){{ loading=lazy style="max-height:22em" }}', '']
    (pages / 'way.md').write_text('\n'.join(lines), encoding='utf-8')


# ---- reference


def reference(room: rooms.Room, pages: Path) -> int:
    "Writes the page of a module: what it exports, as its source says it. The number of entries."
    source = (ROOT / 'psr_nb' / f'{room.module}.py').read_text(encoding='utf-8')
    tree, lines = ast.parse(source), source.splitlines()
    exported = next(
        (
            ast.literal_eval(n.value)
            for n in tree.body
            if isinstance(n, ast.Assign) and getattr(n.targets[0], 'id', '') == '__all__'
        ),
        [],
    )
    text = [f'# psr_nb.{room.module}', '', room.about, '', f'From [{room.notebook}](../stages/{room.notebook}.md).', '']
    count = 0
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in exported:
            count += 1
            text += [f'## {node.name}', '', *entry(node, lines)]
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and not method.name.startswith('_'):
                        text += [f'### {node.name}.{method.name}', '', *entry(method, lines)]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id in exported:
                count += 1
                body = lines[node.lineno - 1 : node.end_lineno][:40]
                text += [f'## {target.id}', '', '```python', *body, '```', '']
    (pages / 'reference').mkdir(exist_ok=True)
    (pages / 'reference' / f'{room.module}.md').write_text('\n'.join(text), encoding='utf-8')
    return count


def entry(node, lines: list[str]) -> list[str]:
    "Signature with the comments beside its parameters, then the docstring."
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    body, doc = node.body, ast.get_docstring(node)
    end = body[0].lineno - 1
    if isinstance(node, ast.ClassDef):  # its fields, when it is plain data
        fields = [n for n in body if isinstance(n, ast.AnnAssign)]
        end = (
            fields[-1].end_lineno if fields and any('dataclass' in ast.unparse(d) for d in node.decorator_list) else end
        )
    code = lines[first - 1 : max(end, node.lineno)]
    if doc and isinstance(node, ast.ClassDef) and end > body[0].lineno:
        inside = range(body[0].lineno - first, body[0].end_lineno - first + 1)
        code = [line for i, line in enumerate(code) if i not in inside]
    code = re.sub(r':\n\n+', ':\n', textwrap.dedent('\n'.join(code)).strip('\n'))
    return ['```python', code, '```', '', doc or '', '']


# ---- all of it


def build(out: Path) -> None:
    found = rooms.rooms()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        pages = work / 'pages'
        shutil.copytree(ROOT / 'docs', pages)
        pictures = {r.notebook: stage(r, pages) for r in found}
        way(found, pictures, pages)
        guides, lessons = how_to(pages), workshop(pages)
        counts = {r.module: reference(r, pages) for r in found}
        rows = [f'| [psr_nb.{r.module}]({r.module}.md) | {r.about} | {counts[r.module]} |' for r in found]
        index = ['# Reference', '', '| module | what it is about | entries |', '|---|---|---|', *rows, '']
        (pages / 'reference' / 'index.md').write_text('\n'.join(index), encoding='utf-8')
        for source, name in (('CONTRIBUTING.md', 'contributing.md'), ('CHANGELOG.md', 'changes.md')):
            (pages / name).write_text(links((ROOT / source).read_text(encoding='utf-8')), encoding='utf-8')
        config = CONFIG.format(
            stages='\n'.join(f'    {{ "{r.notebook[3:]}" = "stages/{r.notebook}.md" }},' for r in found),
            tutorials='\n'.join(f'    {{ {json.dumps(name)} = "{path}" }},' for name, path in lessons),
            how_to='\n'.join(f'    {{ {json.dumps(name)} = "{path}" }},' for name, path in guides),
            reference='\n'.join(f'    {{ "{r.module}" = "reference/{r.module}.md" }},' for r in found),
        )
        (work / 'zensical.toml').write_text(config, encoding='utf-8')
        done = subprocess.run(
            [sys.executable, '-m', 'zensical', 'build', '--clean'], cwd=work, capture_output=True, text=True
        )
        print(done.stdout + done.stderr, end='')
        if done.returncode or not (work / 'site' / 'index.html').exists():
            sys.exit('the site was not built')
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(work / 'site', out)
    size = sum(p.stat().st_size for p in out.rglob('*') if p.is_file())
    print(f'{len(list(out.rglob("*.html")))} pages, {size / 1e6:.1f} MB: {os.path.relpath(out)}/index.html')


if __name__ == '__main__':
    build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / '_site').resolve())
