"Refinement on the bundled prior: what it lowers, what it keeps, and that it can be steered and taken back."

import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from psr_nb.core import PSRError
from psr_nb.losses import real_logits
from psr_nb.prior import Prior
from psr_nb.refine import (
    TARGETS,
    Refinement,
    RefineSettings,
    accept,
    fresh_network,
    refine,
    run_refinements,
    student_loss,
)
from psr_nb.refinements import refine_together
from psr_nb.teacher import Teacher

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def pieces(fashion_prior, fashion_mini, fashion_teachers):
    prior, real = fashion_prior, fashion_mini
    chosen = real.per_class(2)
    with torch.no_grad():
        latents = prior.encode(chosen.floats())
    return SimpleNamespace(
        prior=prior,
        real=real,
        teacher=fashion_teachers['b'],
        judge=fashion_teachers['c'],
        start=SimpleNamespace(latents=latents, labels=chosen.labels),
    )


def run(p, **options):
    return list(
        refine(
            p.start,
            p.prior,
            p.teacher,
            p.real,
            p.judge,
            preview=2,
            **{'warm_up': 4, 'unroll': 3, 'student_real': 64, 'width': 8, **options},
        )
    )


matching = dict(student=0.0, distribution_matching=1.0, lr=0.05)


def test_lowers_the_matching_loss_and_reports_every_step(pieces):
    steps = run(pieces, steps=12, soft_label=0.0, proximal=0.0, **matching)
    assert [s.step for s in steps] == list(range(1, 13)) and steps[-1].accepted.dtype == torch.bool
    losses = [s.losses['distribution_matching'] for s in steps]
    assert sum(losses[-4:]) < 0.9 * sum(losses[:4])
    assert steps[1].images is not None and steps[0].images is None and steps[-1].images.shape == (20, 1, 32, 32)


@pytest.mark.parametrize('calibrate', (False, True))
def test_the_students_gradient_is_exact(pieces, calibrate):
    "Through every training step: the gradient is that of finite differences, and the network itself is not changed."
    settings, images = (
        RefineSettings(warm_up=0, unroll=4, calibrate=calibrate),
        pieces.prior.decode(pieces.start.latents).double().detach().requires_grad_(True),
    )
    rows = torch.arange(0, 2000, 20)
    network = fresh_network('convnet3', 8, (1, 32, 32), 0, torch.device('cpu'), 10).double()
    one = torch.ones(1, 1, 1, 1, dtype=torch.double)
    loss = lambda x: student_loss(
        x,
        pieces.start.labels,
        pieces.real.images[rows].double() / 255,
        pieces.real.labels[rows],
        network,
        0.3 * one,
        0.35 * one,
        settings,
        torch.Generator().manual_seed(3),
    )
    (gradient,) = torch.autograd.grad(loss(images), images)
    with torch.no_grad():
        way = gradient / gradient.norm()
    small = 1e-6
    slope = (loss(images + small * way) - loss(images - small * way)).item() / (2 * small)
    assert slope == pytest.approx(gradient.norm().item(), rel=1e-3)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            network.parameters(),
            fresh_network('convnet3', 8, (1, 32, 32), 0, torch.device('cpu'), 10).double().parameters(),
        )
    )


def test_a_student_that_is_too_sure_is_scaled_back(pieces):
    "A student that has learned its images by heart: calibrated, its loss on real ones is never above that of guessing."
    settings, rows = dict(warm_up=0, unroll=60, student_lr=0.1), torch.arange(0, 2000, 20)
    network = fresh_network('convnet3', 8, (1, 32, 32), 0, torch.device('cpu'), 10)
    shuffled = pieces.real.labels[rows][
        torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    ]  # nothing to learn for
    images, one = pieces.prior.decode(pieces.start.latents).detach(), torch.ones(1, 1, 1, 1)
    loss = lambda calibrate: student_loss(
        images,
        pieces.start.labels,
        pieces.real.images[rows].float() / 255,
        shuffled,
        network,
        0.3 * one,
        0.35 * one,
        RefineSettings(**settings, calibrate=calibrate),
        torch.Generator().manual_seed(3),
    ).item()
    assert loss(False) > 1.2 * math.log(10) and loss(True) < 1.01 * math.log(10)


def test_a_prior_may_bring_settings(pieces, monkeypatch):
    monkeypatch.setattr(pieces.prior, 'refinement', dict(steps=3, student=0.0, calibrate=True))
    assert RefineSettings.suited(pieces.prior) == RefineSettings(steps=3, student=0.0, calibrate=True)
    assert RefineSettings.suited(pieces.prior, steps=5, seed=2) == RefineSettings(
        steps=5, student=0.0, calibrate=True, seed=2
    )
    steps = list(refine(pieces.start, pieces.prior, pieces.teacher, pieces.real, pieces.judge, soft_label=0.5))
    assert len(steps) == 3 and set(steps[0].losses) == {'soft_label', 'proximal'}
    assert Refinement(pieces.start.latents, pieces.start.labels, pieces.prior, pieces.teacher).settings.steps == 3
    assert (
        next(
            refine(pieces.start, pieces.prior, pieces.teacher, settings=RefineSettings(student=0.0, target='own'))
        ).total
        == 100
    )  # all of it in one object: as it is
    with pytest.raises(PSRError, match="setting of refinement 'step'.*Did you mean 'steps'"):
        next(refine(pieces.start, pieces.prior, pieces.teacher, step=3))
    monkeypatch.setattr(pieces.prior, 'refinement', dict(networks=['convnet3', 'resnet_ap10'], wide=16))
    with pytest.raises(PSRError, match="in prior fashion 'wide'"):
        RefineSettings.suited(pieces.prior)
    del pieces.prior.refinement['wide']
    assert RefineSettings.suited(pieces.prior) == RefineSettings(
        networks=('convnet3', 'resnet_ap10')
    )  # a list, from a file


@pytest.mark.parametrize(
    'name, brings',
    (
        ('fashion', {}),
        ('imagewoof', dict(calibrate=True, distribution_matching=1.0, steps=30, width=16)),
        ('cifar10', dict(distribution_matching=1.0, width=16)),
    ),
)
def test_what_bundled_priors_bring(name, brings):
    prior = Prior.from_pretrained(name, device='cpu')
    assert RefineSettings.suited(prior) == RefineSettings(**brings)
    assert RefineSettings.suited(prior, calibrate=False).calibrate is False


def test_the_same_seed_gives_the_same_latents(pieces):
    a, b, c = (run(pieces, steps=2, seed=s)[-1].latents for s in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_soft_labels_pull_towards_the_target(pieces):
    before, after = [s.losses['soft_label'] for s in run(pieces, steps=10, student=0.0, soft_label=1.0, proximal=0.0)][
        ::9
    ]
    assert after < before


@pytest.mark.parametrize('target', list(TARGETS))
def test_targets_are_distributions(pieces, target):
    state = Refinement(
        pieces.start.latents,
        pieces.start.labels,
        pieces.prior,
        pieces.teacher,
        pieces.real,
        RefineSettings(target=target, temperature=2.0),
    )
    q = state.target()
    assert q.shape == (20, 10) and torch.allclose(q.sum(1), torch.ones(20), atol=1e-4) and (q >= 0).all()


def test_three_ways_of_staying_on_the_prior(pieces):
    free = run(pieces, steps=8, soft_label=0.0, proximal=0.0, **matching)[-1].drift.mean()
    for term in ('proximal', 'denoising', 'roundtrip'):
        steps = run(pieces, steps=8, **matching, **{'soft_label': 0.0, 'proximal': 0.0, term: 20.0})
        assert term in steps[-1].losses and steps[-1].drift.mean() < free, term


def test_the_teacher_sees_images_only_so_much_enlarged(pieces):
    state = lambda **options: Refinement(
        pieces.start.latents, pieces.start.labels, pieces.prior, pieces.teacher, pieces.real, RefineSettings(**options)
    )
    assert state().teacher is pieces.teacher  # who sees them as they are
    smaller = state(enlarge=0.5).teacher
    assert (
        smaller.input_size == pieces.prior.image_shape[-1] // 2 < pieces.teacher.input_size
        and smaller.model is pieces.teacher.model
    )


def test_going_back_gives_the_same_future(pieces):
    state = Refinement(
        pieces.start.latents,
        pieces.start.labels,
        pieces.prior,
        pieces.teacher,
        pieces.real,
        RefineSettings(steps=6, warm_up=4, unroll=3),
    )
    state.step()
    saved = state.state()
    state.step()
    once = state.z.detach().clone()
    state.restore(saved)
    state.step()
    assert torch.equal(state.z, once)
    state.reset([0])
    assert torch.equal(state.z[0], state.start[0]) and not torch.equal(state.z[1], state.start[1])


def test_a_worse_image_gets_its_original_back(pieces):
    before = pieces.prior.decode(pieces.start.latents).cpu()
    after = before.clone()
    after[3] = torch.rand_like(after[3])
    after[4] = 0.0
    kept = accept(before, after, pieces.start.labels, pieces.judge, diversity_tolerance=1.0)
    assert not (kept[3] and kept[4]) and kept[10:].all()


def test_says_what_is_missing(pieces):
    with pytest.raises(PSRError, match='student=0'):
        next(refine(pieces.start, pieces.prior, pieces.teacher, None))
    with pytest.raises(PSRError, match='distribution_matching=0'):
        next(refine(pieces.start, pieces.prior, pieces.teacher, None, **matching))
    with pytest.raises(PSRError, match='argument teacher'):
        next(refine(pieces.start, pieces.prior, None, pieces.real))
    with pytest.raises(PSRError, match='class_mean'):
        run(pieces, steps=1, target='class_meen')


@pytest.mark.parametrize(
    'options',
    [
        dict(lr=0.0),
        dict(lr=float('nan')),
        dict(soft_label=-1.0),
        dict(distribution_matching=float('inf')),
        dict(steps=0),
        dict(seed=2**70),
        dict(target='magic'),
        dict(student=0.0, soft_label=0.0, proximal=0.0),
    ],
    ids=str,
)
def test_settings_that_move_nothing_are_refused(options):
    with pytest.raises(PSRError, match='refinement|soft-label target'):
        RefineSettings(**options).check()


def test_a_label_is_the_same_class_to_all(pieces):
    "Real images, teacher and judge that count the classes in another order than the latents: refused, not followed."
    classes = list(pieces.prior.classes)
    turned, other = classes[::-1], [f'class {i}' for i in range(10)]
    start = SimpleNamespace(**vars(pieces.start), classes=classes)
    backwards = SimpleNamespace(**vars(pieces.start), classes=turned)
    few = dict(steps=1, warm_up=2, unroll=2, student_real=32, width=8)
    begin = lambda p=pieces, start=start, **more: next(
        refine(start, p.prior, p.teacher, more.pop('real', p.real), p.judge, **{**few, **more})
    )
    plain = begin().losses
    for wrong in (pieces.real.restrict(turned), pieces.real.restrict(classes[:9]), replace(pieces.real, classes=other)):
        for chosen in (start, pieces.start):  # a selection that names its classes, and latents alone
            if chosen is start or set(wrong.classes) == set(classes):
                with pytest.raises(PSRError, match=r'argument real.*restrict\(selection.classes\)'):
                    begin(start=chosen, real=wrong)
    assert begin(real=pieces.real.restrict(turned).restrict(classes)).losses == plain
    theirs = Teacher.from_pretrained('fashion/b', classes=turned, device='cpu')
    for name in ('teacher', 'judge'):
        with pytest.raises(PSRError, match=rf'argument {name}: .*in their order.*classes=selection.classes'):
            begin(SimpleNamespace(**{**vars(pieces), name: theirs}))
    with pytest.raises(PSRError, match='argument teacher'):
        begin(start=backwards)
    settings = dict(student=0.0, soft_label=0.0, denoising=1.0)
    with pytest.raises(PSRError, match='argument prior.*in their order'):
        next(refine(backwards, pieces.prior, settings=RefineSettings(**settings)))
    with pytest.raises(PSRError, match='argument judge'):
        run_refinements([start], pieces.prior, pieces.teacher, pieces.real, theirs, RefineSettings(**few))


def test_several_at_once_have_the_same_classes(pieces):
    "As for one refinement: judge, teacher, real images and all selections count the classes in one order."
    classes = list(pieces.prior.classes)
    start = SimpleNamespace(**vars(pieces.start), classes=classes)
    backwards = SimpleNamespace(**vars(pieces.start), classes=classes[::-1])
    theirs = Teacher.from_pretrained('fashion/b', classes=classes[::-1], device='cpu')
    few = dict(steps=1, warm_up=2, unroll=2, student_real=32, width=8)

    def begin(starts, teacher=pieces.teacher, judge=pieces.judge, real=pieces.real):
        return next(refine_together(starts, pieces.prior, teacher, real, judge, **few))

    for wrong in (dict(judge=theirs), dict(teacher=theirs), dict(real=pieces.real.restrict(classes[::-1]))):
        with pytest.raises(PSRError, match=f'argument {next(iter(wrong))}: .*in their order'):
            begin([start, start], **wrong)
    with pytest.raises(PSRError, match='argument selections: .*same classes in their order'):
        begin([start, backwards])
    with pytest.raises(PSRError, match='argument teacher: .*in their order'):
        begin([backwards, backwards])
    assert begin([start, start]).latents.shape[:2] == (2, 20)


def test_a_class_without_real_images(pieces):
    real = pieces.real.take(torch.nonzero(pieces.real.labels != 3)[:, 0])
    for options in (dict(distribution_matching=1.0, soft_label=0.0), dict(soft_label=1.0)):
        with pytest.raises(PSRError, match='images of class Dress'):
            next(refine(pieces.start, pieces.prior, pieces.teacher, real, student=0.0, **options))


def test_the_teacher_is_asked_about_real_images_once(pieces):
    "Not again for the same network and images, by content; again where either is another."
    real, teacher = pieces.real.per_class(3), copy.deepcopy(pieces.teacher)
    asked = []
    teacher.model.features.register_forward_hook(lambda *a: asked.append(len(a[1][0])))
    first = real_logits(teacher, real)
    assert sum(asked) == len(real) and all(len(logits) == 3 for logits in first)
    again = real_logits(copy.deepcopy(pieces.teacher), pieces.real.per_class(3))
    assert again is first and sum(asked) == len(real)
    for c, logits in enumerate(first):
        assert torch.equal(logits, teacher.predict(real.of_class(c))[0])
    asked.clear()
    other = real_logits(teacher, real.take(torch.arange(len(real)).flip(0)))  # other images come first
    assert sum(asked) == len(real) and not torch.equal(other[0], first[0])
    with torch.no_grad():
        next(teacher.model.parameters()).mul_(2)
    assert not torch.equal(real_logits(teacher, real)[0], first[0])
