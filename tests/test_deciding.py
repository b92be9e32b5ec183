"""Panels without a browser: two on one file, what is given wrongly, what a page without a kernel gets."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from psr_nb.core import PSRError
from psr_nb.data import ImageData
from psr_nb.decisions import Decisions
from psr_nb.explorer import PoolExplorer
from psr_nb.select import ImagePool, select
from psr_nb.studio import RefineStudio
from psr_nb.views import class_colours


def images(n: int = 12) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    shades = torch.rand(2, 1, 4, 4, generator=generator).repeat_interleave(n, 0)
    noisy = (shades + 0.3 * torch.randn(2 * n, 1, 4, 4, generator=generator)).clamp(0, 1)
    large = torch.nn.functional.interpolate(noisy, (16, 16), mode='bilinear')
    return ImageData((large * 255).byte(), torch.arange(2).repeat_interleave(n), ['cat', 'dog'], 'invented')


@pytest.fixture
def panels(tmp_path):
    "Two explorers on the decisions of one pool."
    data = images()
    pool = ImagePool(data)
    pool.path = tmp_path
    made = [PoolExplorer(pool, data, start=Decisions(ipc=3), map='pca', name='both') for _ in range(2)]
    yield made
    for panel in made:
        panel.close()


def test_undo_takes_back_one_change_of_this_panel(panels, tmp_path):
    a, b = panels
    a.pin((0, 3))
    b.pin((1, 1))
    b.diversity = 1.5
    assert a.pins == b.pins == [(0, 3), (1, 1)] and a.diversity == 1.5
    assert a.undo() and (b.pins, b.diversity) == ([(1, 1)], 1.5)
    assert b.undo() and b.undo() and (a.pins, a.diversity) == ([], 1.0)
    assert a.redo() and b.pins == [(0, 3)]
    assert Decisions.open(tmp_path / 'both.json') == a.decisions == b.decisions


def test_a_slider_moved_elsewhere_is_not_moved_back(panels, tmp_path):
    a, b = panels
    a.representativeness = 0.25
    b.ban((0, 1))
    saved = Decisions.open(tmp_path / 'both.json')
    assert (saved.representativeness, saved.bans) == (0.25, ((0, 1),)) and 'Another panel' in a.note


def test_many_undos_end_at_the_beginning(panels):
    a, b = panels
    generator = np.random.default_rng(0)
    for _ in range(40):
        panel, pair = panels[generator.integers(2)], (int(generator.integers(2)), int(generator.integers(12)))
        if generator.random() < 0.7:
            panel.toggle(*pair)
        else:
            panel.ban(pair, toggle=True)
    while a.undoable or b.undoable:
        a.undo()
        b.undo()
    assert a.decisions == b.decisions
    assert [i.tolist() for i in a.selection.ids] == [i.tolist() for i in b.selection.ids]


def test_reset_goes_back_to_the_first_setting_and_keeps_what_is_pinned(panels):
    panel = panels[0]
    panel.ipc, panel.diversity = 4, 0.3
    panel.pin((0, 2))
    panel._heard({'do': 'reset'})
    assert (panel.ipc, panel.diversity, panel.pins) == (3, Decisions().diversity, [(0, 2)])
    panel.undo()
    assert (panel.ipc, panel.diversity) == (4, 0.3)


def test_more_pins_than_the_budget_say_what_to_do(panels):
    panel = panels[0]
    assert not panel.pin([(0, i) for i in range(4)])
    assert 'Raise the budget to 4' in panel.note


def test_what_is_given_wrongly_gets_a_sentence(tmp_path):
    panel = PoolExplorer(ImagePool(images()), map='pca', keep=False)
    for call, says in (
        (lambda: PoolExplorer(tmp_path / 'nothing'), 'psr pool'),
        (lambda: PoolExplorer(images()), 'ImagePool'),
        (lambda: PoolExplorer(panel.selection), 'selection.pool'),
        (lambda: PoolExplorer(None), 'NoneType'),
        (lambda: setattr(panel, 'method', 'nope'), 'selector'),
        (lambda: panel.pin(5), 'list of them'),
        (lambda: panel.pin([(0, 1, 2)]), 'list of them'),
        (lambda: panel.ban(('wolf', 1)), 'wolf'),
        (lambda: RefineStudio(panel, None), 'latents'),
        (lambda: RefineStudio(panel.selection, None), 'latents'),
        (lambda: RefineStudio(7, None), 'Selection'),
    ):
        with pytest.raises(PSRError, match=says):
            call()
    assert panel.method == 'psr'
    panel.close()


def test_a_page_without_a_kernel_gets_a_picture():
    panel = PoolExplorer(ImagePool(images()), map='pca', keep=False, start=Decisions(ipc=3))
    shown, _ = panel._repr_mimebundle_()
    picture = Image.open(io.BytesIO(base64.b64decode(shown['image/png'])))
    assert picture.size == panel.selection.sheet(scale=2).size and 'application/vnd.jupyter.widget-view+json' in shown
    panel.close()


@pytest.mark.parametrize('n', [1, 12, 40, 1000])
def test_each_class_has_a_colour_of_its_own(n):
    assert len(set(class_colours(n))) == n


@pytest.mark.parametrize(
    'name, value', [('ipc', 'x'), ('ipc', 1.5), ('method', None), ('gate', 'x'), ('diversity', 'x')]
)
def test_a_control_refuses_another_type(panels, name, value):
    "In the sentence of every other error, and nothing has moved."
    panel = panels[0]
    before = panel.decisions, getattr(panel, name)
    with pytest.raises(PSRError, match=f'argument {name}: expected (a|True)'):
        setattr(panel, name, value)
    assert (panel.decisions, getattr(panel, name)) == before
    with pytest.raises(PSRError, match=f'decision {name}|selector'):
        panel.decisions = Decisions(**{name: value})
    assert panel.decisions == before[0]


@pytest.mark.parametrize('value', [None, -3, np.nan, 'x', [1], [[0, 'a']], [[0, 1.5]]])
@pytest.mark.parametrize('name', ['pins', 'bans', 'kept'])
def test_lists_of_candidates_that_are_none_are_refused(name, value):
    with pytest.raises(PSRError, match=f'decision {name}'):
        PoolExplorer(ImagePool(images()), map='pca', keep=False, start=Decisions(**{name: value}))


@pytest.mark.parametrize(
    'name, value', [('ipc', 'x'), ('ipc', 0), ('method', None), ('reliability', np.nan), ('gate', 'x')]
)
def test_an_explorer_does_not_begin_with_what_nobody_can_decide(name, value):
    pool = ImagePool(images())
    with pytest.raises(PSRError, match=f'decision {name}|selector'):
        PoolExplorer(pool, start=Decisions(**{name: value}), map='pca')
    with pytest.raises(PSRError, match=rf'argument {name}: .*start=Decisions\({name}='):
        PoolExplorer(pool, map='pca', **{name: value})


@pytest.mark.parametrize('pair', [(0, 1.5), (0.5, 1), (0, True), (0, '1'), [(0, 1), (0, 2.5)]])
def test_no_candidate_is_rounded(panels, pair):
    "A pin of candidate 1.5 is no pin of candidate 1: in the panel, and where a selection is asked for."
    panel = panels[0]
    for change in (panel.pin, panel.ban, panel.free):
        with pytest.raises(PSRError, match='whole numbers, or names of classes'):
            change(pair)
    assert panel.pins == panel.bans == []
    with pytest.raises(PSRError, match='a pair .class, index. of whole numbers'):
        select(ImagePool(images()), 2, pins=pair if isinstance(pair, list) else [pair])
    assert panel.pin(np.array([0, 1])) and panel.pin((1.0, 2)) and panel.pins == [(0, 1), (1, 2)]
