"""Run notebooks and keep their outputs, so that each is a page that can be read where no kernel runs.

    python tools/notebooks.py                   the pages whose code has changed since they were made
    python tools/notebooks.py 10_pool 24_views  these
    python tools/notebooks.py --all             every page
    python tools/notebooks.py --slow NAME       this, with the cells that are marked slow: those of how_to/own_images
    python tools/notebooks.py --list            says which pages are stale, and why; runs nothing

What is kept is small and still: pictures, tables, printed words. A plotly figure and a widget are drawn in Chromium and
kept as a picture. An output depends on all the code above it, so a page remembers the hash of all its code (`made_from`
in its metadata), and each cell with outputs that of its own. tests/test_pages.py finds the pages that are stale.
"""

import argparse
import asyncio
import base64
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 1_500_000  # bytes of a notebook
PLOTLY, WIDGET = 'application/vnd.plotly.v1+json', 'application/vnd.jupyter.widget-view+json'
KEPT = ('image/png', 'image/jpeg', 'image/svg+xml', 'text/html', 'text/markdown', 'text/plain')
PATHS = re.compile(r'(?<![\w.])/(?:home|root|tmp|Users|private)/[^\s\'"<>),:;]*')
WIDTH = 1180  # CSS pixels of the page that widgets are drawn in

# The widget's side of the page: a model with what anywidget's views ask for. What a view sends goes to the kernel.
MODEL = """async ({ state, css, esm }) => {
  const listeners = {}, values = {};
  for (const [k, v] of Object.entries(state)) {
    const bytes = v && v.base64 !== undefined;
    values[k] = bytes ? new DataView(Uint8Array.from(atob(v.base64), c => c.charCodeAt(0)).buffer) : v;
  }
  const fire = (name, ...words) => (listeners[name] || []).forEach(f => f(...words));
  const model = {
    get: k => values[k],
    set: (k, v) => { values[k] = v; fire('change:' + k, model, v); fire('change', model); },
    save_changes: () => {},
    on: (names, f) => names.split(' ').forEach(n => (listeners[n] ||= []).push(f)),
    off: (name, f) => { if (name) listeners[name] = (listeners[name] || []).filter(g => f && g !== f); },
    send: async content => {
      for (const [answer, buffers] of await window.toKernel(JSON.stringify(content)))
        fire('msg:custom', answer,
          buffers.map(b => new DataView(Uint8Array.from(atob(b), c => c.charCodeAt(0)).buffer)));
    },
    widget_manager: {},
  };
  const style = document.createElement('style');
  style.textContent = css;
  document.head.append(style);
  const module = await import(URL.createObjectURL(new Blob([esm], { type: 'text/javascript' })));
  const widget = typeof module.default === 'function' ? await module.default() : module.default || module;
  const el = document.getElementById('el');
  if (widget.initialize) await widget.initialize({ model });
  await widget.render({ model, el });
}"""

# Run in the kernel: a widget's synced traits, bytes as base64; and its answer to what its view sent.
STATE = """
import base64 as _b, json as _j, ipywidgets.widgets.widget as _w
_p = _w._instances[{id!r}]
print(_j.dumps({{k: {{'base64': _b.b64encode(v).decode()}} if isinstance(v, (bytes, memoryview, bytearray)) else v
                 for k, v in _p.get_state().items() if isinstance(v, (bytes, memoryview, bytearray))
                 or not callable(v)}}, default=str))
"""
ANSWER = """
import base64 as _b, json as _j, ipywidgets.widgets.widget as _w
_p, _said = _w._instances[{id!r}], []
_p.send = lambda content, buffers=None: _said.append((content, [_b.b64encode(x).decode() for x in buffers or []]))
try:
    _p._handle_custom_msg(_j.loads({content!r}), [])
finally:
    del _p.send
print(_j.dumps(_said))
"""

# Run in the kernel: processor seconds and the largest memory in GB.
USAGE = """
import json as _j, resource as _r, sys as _s
_u = _r.getrusage(_r.RUSAGE_SELF)
print(_j.dumps([_u.ru_utime + _u.ru_stime, _u.ru_maxrss / (1e9 if _s.platform == 'darwin' else 1e6)]))
"""


def source_hash(source: str) -> str:
    "Of a cell's source, as `made_from` records it."
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def page_hash(cells: list) -> str:
    "Of the source of all code cells, in their order. Prose may change without the outputs."
    return source_hash('\0'.join(text_of(c['source']) for c in cells if c['cell_type'] == 'code'))


def pages() -> list[Path]:
    "The notebooks that are pages: the rooms, the how-to pages and the tutorials' masters. Benchmarks are records."
    folder = ROOT / 'nbs'
    return (
        sorted(folder.glob('[0-9][0-9]_*.ipynb'))
        + [folder / 'tour.ipynb']
        + sorted(p for part in ('how_to', 'tutorials/masters') for p in (folder / part).glob('*.ipynb'))
    )


def stale(path: Path) -> str:  # empty: its outputs were made by its code
    "Why a page has to be made again."
    notebook = json.loads(path.read_text(encoding='utf-8'))
    if not any(c.get('outputs') for c in notebook['cells']):
        return 'it shows nothing'
    changed = [
        c['id']
        for c in notebook['cells']
        if (c.get('outputs') or c['metadata'].get('made_from'))
        and c['metadata'].get('made_from') != source_hash(text_of(c['source']))
    ]
    if changed:
        return f'changed since they were run: cells {", ".join(changed)}'
    if notebook['metadata'].get('made_from') != page_hash(notebook['cells']):
        return 'code above its outputs has changed since they were made'
    return ''


def text_of(value) -> str:
    return value if isinstance(value, str) else ''.join(value)


def skipped(source: str, slow: bool = False) -> bool:
    "Whether the tests do not run this cell either, With `slow`, cells marked so are run."
    directives = ' '.join(re.findall(r'^#\|(.*)$', source, re.M))
    words = r'eval: *false|\bnotest\b' + ('' if slow else r'|\bslow\b')
    return bool(re.search(words, directives))


def chromium() -> str | None:
    names = ('chromium', 'chromium-browser', 'google-chrome')
    return next((path for name in names if (path := shutil.which(name))), None)


def scrub(text: str) -> str:
    "Without what belongs to the machine: its folders, and the colours of its terminal."
    text = re.sub(r'\x1b\[[0-9;]*m', '', text)
    text = text.replace(f'{ROOT}/nbs/../', '').replace(f'{ROOT}/', '').replace(str(ROOT), '.')
    return PATHS.sub(lambda m: '…/' + m.group().rstrip('/').rsplit('/', 1)[-1], text)


def smaller(data: dict) -> dict:
    "One picture of each output: the PNG while it is small, a JPEG otherwise."
    from PIL import Image

    if 'image/png' not in data:
        return data
    png = base64.b64decode(text_of(data['image/png']))
    if len(png) > 60_000:
        picture = Image.open(io.BytesIO(png))
        if picture.mode in ('RGBA', 'LA', 'P'):
            picture = picture.convert('RGBA')
            picture = Image.alpha_composite(Image.new('RGBA', picture.size, 'white'), picture)
        out = io.BytesIO()
        picture.convert('RGB').save(out, 'JPEG', quality=85, optimize=True)
        if len(out.getvalue()) < len(png):
            data = {k: v for k, v in data.items() if k != 'image/png'}
            return {**data, 'image/jpeg': base64.b64encode(out.getvalue()).decode()}
    return {k: v for k, v in data.items() if k != 'image/jpeg'}


class Drawer:
    "Draws figures and widgets in one Chromium, started at the first of them."

    def __init__(self):
        self.browser = self.playwright = None

    async def page(self):
        from playwright.async_api import async_playwright

        if self.browser is None:
            if not (path := chromium()):
                sys.exit(
                    'plotly figures and widgets are drawn by Chromium, and there is none: apt-get install chromium'
                )
            self.playwright = await async_playwright().start()
            self.browser = await self.playwright.chromium.launch(executable_path=path, args=['--no-sandbox'])
        page = await self.browser.new_page(viewport=dict(width=WIDTH, height=900))
        await page.set_content(
            '<body style="margin:0;background:white;font-family:sans-serif">'
            f'<div id="el" class="jp-OutputArea-output" style="width:{WIDTH}px"></div></body>'
        )
        return page

    async def close(self):
        if self.browser:
            await self.browser.close()
            await self.playwright.stop()

    async def figure(self, figure: dict) -> str:
        import plotly.offline

        page = await self.page()
        await page.add_script_tag(content=plotly.offline.get_plotlyjs())
        layout = figure.get('layout', {})
        size = dict(width=layout.get('width') or 900, height=layout.get('height') or 450)
        uri = await page.evaluate(
            '([figure, size]) => Plotly.toImage({...figure, config: {}}, {format: "png", ...size})', [figure, size]
        )
        await page.close()
        return uri.partition(',')[2]

    async def widget(self, kernel, model: str) -> str | None:
        async def ask(code):
            said = []
            await kernel.execute_interactive(
                code,
                silent=False,
                store_history=False,
                output_hook=lambda m: said.append(m['content'].get('text', '')) if m['msg_type'] == 'stream' else None,
            )
            lines = ''.join(said).strip().splitlines()
            return json.loads(lines[-1]) if lines else None

        before, state = None, await ask(STATE.format(id=model))
        for _ in range(15):  # a map that is computed beside it arrives later
            if state is None or state == before:
                break
            await asyncio.sleep(2)
            before, state = state, await ask(STATE.format(id=model))
        if state is None or '_esm' not in state:
            return None
        page, errors, one = await self.page(), [], asyncio.Lock()
        page.on('pageerror', lambda e: errors.append(str(e)))

        async def to_kernel(content):
            async with one:
                return await ask(ANSWER.format(id=model, content=content)) or []

        await page.expose_function('toKernel', to_kernel)
        esm, css = state.pop('_esm'), state.pop('_css', '') or ''
        await page.evaluate(MODEL, dict(state=state, css=css, esm=esm))
        await page.wait_for_timeout(2500)
        for e in errors:
            print('   the page says:', e.splitlines()[0])
        picture = await page.locator('#el').screenshot(type='png')
        await page.close()
        return base64.b64encode(picture).decode()


async def keep(output: dict, drawer: Drawer, kernel) -> dict | None:
    "What is kept of one output, or nothing."
    if output['output_type'] == 'stream':
        text = scrub(text_of(output['text']))
        return {**output, 'text': text} if output['name'] == 'stdout' and text.strip() else None
    if output['output_type'] not in ('display_data', 'execute_result'):
        return output
    data = dict(output['data'])
    if PLOTLY in data:
        data = {'image/png': await drawer.figure(data[PLOTLY]), 'text/plain': 'A figure'}
    if WIDGET in data:
        picture = await drawer.widget(kernel, data[WIDGET]['model_id'])
        if picture:
            data['image/png'] = picture
        elif 'image/png' not in data:
            return None  # a progress bar
    data = smaller({k: data[k] for k in KEPT if k in data})
    data = {k: scrub(text_of(v)) if k.startswith('text') else v for k, v in data.items()}
    return {**output, 'data': data, 'metadata': {}}


async def usage(kernel) -> list[float]:  # processor seconds, GB
    "What a kernel has used."
    said = []
    hear = lambda m: said.append(m['content'].get('text', '')) if m['msg_type'] == 'stream' else None
    await kernel.execute_interactive(USAGE, store_history=False, output_hook=hear)
    return json.loads(''.join(said).strip().splitlines()[-1])


async def remake(path: Path, drawer: Drawer, slow: bool = False) -> str:
    "Run one notebook and write it with its outputs; a line about it."
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    began, notebook = time.perf_counter(), nbformat.read(path, as_version=4)
    old = {c.id: (c.get('outputs', []), c.metadata.get('made_from')) for c in notebook.cells}
    tags = {c.id: list(c.metadata.get('tags', [])) for c in notebook.cells}
    left = {c.id for c in notebook.cells if c.cell_type == 'code' and (skipped(c.source, slow) or 'stub' in tags[c.id])}
    for cell in notebook.cells:
        if cell.id in left:
            cell.metadata['tags'] = ['skip-execution']
    sockets = tempfile.TemporaryDirectory()
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name='python3',
        resources={'metadata': {'path': str(path.parent)}},
        skip_cells_with_tag='skip-execution',
        # Not by TCP, which others of the machine could hear. The sockets' path is whole: the kernel runs in another folder.
        config=Config(KernelManager=dict(transport='ipc', ip=f'{sockets.name}/kernel')),
    )
    async with client.async_setup_kernel(env={**os.environ, 'IN_TEST': '1', 'PYTHONPATH': str(ROOT)}):
        for number, cell in enumerate(notebook.cells):
            if cell.cell_type != 'code':
                continue
            if cell.id in left:
                cell.outputs, made_from = old[cell.id]
                made_from = made_from or source_hash(cell.source)
            else:
                await client.async_execute_cell(cell, number)
                kept = [await keep(o, drawer, client.kc) for o in cell.outputs]
                cell.outputs = [nbformat.from_dict(o) for o in kept if o]
                made_from = source_hash(cell.source)
            cell.metadata.pop('made_from', None)
            if cell.outputs:
                cell.metadata['made_from'] = made_from
        used, memory = await usage(client.kc)
    for cell in notebook.cells:
        cell.metadata.pop('tags', None)
        if tags[cell.id]:
            cell.metadata['tags'] = tags[cell.id]
        cell.metadata.pop('execution', None)
        if cell.cell_type == 'code':
            cell.execution_count = None
    notebook.metadata.pop('language_info', None)
    notebook.metadata.pop('widgets', None)
    notebook.metadata['made_from'] = page_hash(notebook.cells)
    if [c.source for c in nbformat.read(path, as_version=4).cells] != [c.source for c in notebook.cells]:
        raise RuntimeError('edited while it ran; run it again')
    write(notebook, path)
    size, shown = path.stat().st_size, [o for c in notebook.cells for o in c.get('outputs', [])]
    line = f'{path.name}: {len(shown)} outputs, {size / 1e3:.0f} kB, {time.perf_counter() - began:.0f} s'
    line += f' ({used:.0f} s of processor, {memory:.1f} GB)'
    return line + (f', more than the {LARGEST / 1e6} MB that a page may have' if size > LARGEST else '')


def write(notebook, path: Path) -> None:
    "As nbdev writes it, whole or not at all."
    import nbformat

    with tempfile.NamedTemporaryFile('w', dir=path.parent, suffix='.tmp', prefix='.', delete=False) as f:
        nbformat.write(notebook, f)
    os.chmod(f.name, 0o644)
    os.replace(f.name, path)


async def main(paths: list[Path], workers: int, slow: bool = False) -> int:
    drawer, turn, wrong = Drawer(), asyncio.Semaphore(workers), []

    async def one(path):
        async with turn:
            try:
                print(await remake(path, drawer, slow), flush=True)
            except Exception as e:  # the others are made all the same
                wrong.append(path.name)
                print(f'{path.name}: {type(e).__name__}: {str(e)[-1500:]}', flush=True)

    await asyncio.gather(*map(one, paths))
    await drawer.close()
    subprocess.run([sys.executable, Path(sys.executable).parent / 'nbdev-clean'], cwd=ROOT, check=True)
    tutorials = ROOT / 'tools' / 'tutorials.py'
    if any(p.parent.name == 'masters' for p in paths):  # the learner's notebooks and the solutions follow
        subprocess.run([sys.executable, tutorials], cwd=ROOT, check=True)
    if wrong:
        print('not remade:', ', '.join(wrong))
    return bool(wrong)


def page(name: str) -> Path:
    "A notebook by its path, or by its name alone."
    found = [p for p in pages() if p.stem == name.removesuffix('.ipynb')]
    return found[0] if found else Path(name).resolve()


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('paths', nargs='*', help='notebooks, or their names; the stale ones if none is given')
    parser.add_argument('--all', action='store_true', help='every page')
    parser.add_argument('--list', action='store_true', help='say which pages are stale, and run nothing')
    parser.add_argument('--workers', type=int, default=2, help='notebooks that are run side by side')
    parser.add_argument('--slow', action='store_true', help='run the cells that are marked slow, too')
    given = parser.parse_args()
    why = {p: stale(p) for p in pages()}
    if given.list:
        sys.exit('\n'.join(f'{p.relative_to(ROOT)}: {reason}' for p, reason in why.items() if reason) or 0)
    wanted = [page(name) for name in given.paths] or [p for p in why if given.all or why[p]]
    sys.exit(asyncio.run(main(wanted, given.workers, given.slow)))
