"""Workers of a Ray make the same bytes as this process, whatever happens to them. One Ray serves all tests here.

The tests that end workers come last: a new worker imports torch."""

import os
import shutil
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import load_tiny
from typer.testing import CliRunner

from psr_nb.cli import app
from psr_nb.core import PSRError
from psr_nb.engines import WAITING, Local, RayEngine, opened

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def ray():
    "An engine with two workers; they end with the module."
    pytest.importorskip('ray')
    with opened('ray', workers=2) as engine:
        assert engine.device == torch.device('cpu')
        folder = engine.folder
        yield engine
        assert folder.is_dir()
    assert not folder.exists()
    import ray as library

    assert not library.is_initialized()


def power(base, exponent):
    return base**exponent, os.getpid()


def fails(base, exponent):
    if exponent == 3:
        raise PSRError('number 3', 'another one', exponent, 'Take 4')
    return base**exponent


def dies(base, exponent):
    if exponent == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return base**exponent


def numbers(n):
    return [(i,) for i in range(n)]


def test_results_come_in_the_order_of_the_jobs_and_each_worker_keeps_to_its_share(ray):
    found = list(ray.map(power, numbers(20), (3,)))
    assert [value for value, _ in found] == [3**i for i in range(20)]
    assert os.getpid() not in {process for _, process in found}
    [threads] = set(ray.map(torch.get_num_threads, [()] * 4))
    assert threads == max(1, (os.cpu_count() or 1) // 2) == ray.threads
    assert list(ray.map(power, [])) == []
    assert [len(part) for part in ray.parts(7)] == [1, 2, 2, 2] and ray.parts(0) == []


def test_an_error_in_a_job_is_raised_as_it_is(ray):
    with pytest.raises(PSRError, match='number 3: expected another one, found 3. Take 4') as e:
        list(ray.map(fails, numbers(9), (2,)))
    assert e.value.hint == 'Take 4'


def test_another_teacher_and_its_views_score_the_same(ray, tiny_copy, tmp_path):
    from psr_nb.pool import Pool
    from psr_nb.score import score
    from psr_nb.teacher import Teacher

    other = Teacher.from_pretrained('fashion/b', device='cpu')
    other.classes = Pool.open(tiny_copy).classes
    other.register_buffer('outputs', torch.tensor([0, 1, 2]))
    second = shutil.copytree(tiny_copy, tmp_path / 'second')
    here = score(Pool.open(tiny_copy), ['margin', 'mutual_information'], other, ensemble=['a'], views=2)
    there = score(Pool.open(second), ['margin', 'mutual_information'], other, ensemble=['a'], views=2, engine=ray)
    assert here.equals(there)


def test_a_pool_goes_on_with_another_engine(ray, tiny_prior, tiny_pool, tmp_path):
    from psr_nb.pool import Pool

    prior, teachers = load_tiny(tiny_prior)
    Pool.sample(prior, teachers, 20, path=tmp_path / 'p', shard_size=10, progress=False, engine=ray)
    pool = Pool.sample(prior, teachers, 50, path=tmp_path / 'p', progress=False)
    assert pool.fingerprint == tiny_pool.fingerprint


def test_a_guided_pool_goes_on_with_another_engine(ray, tiny_prior, fashion_mini, tmp_path):
    from psr_nb.guides import make_guide
    from psr_nb.images import ImageData
    from psr_nb.pool import Pool

    prior, _ = load_tiny(tiny_prior)
    few = fashion_mini.restrict(fashion_mini.classes[:3]).per_class(20)
    guide = make_guide('influenced', prior, ImageData(few.images, few.labels, prior.classes), epochs=1)
    sample = lambda name, n, **more: Pool.sample(
        prior, (), n, path=tmp_path / name, shard_size=10, guide=guide, progress=False, **more
    )
    sample('p', 20, engine=ray)
    assert sample('p', 30).fingerprint == sample('q', 30).fingerprint


def test_worth_and_rows_are_the_same(ray, fashion_mini, tmp_path):
    from psr_nb.evaluate import evaluate, random_real
    from psr_nb.pool import Pool
    from psr_nb.prior import Prior
    from psr_nb.protocols import PROTOCOLS
    from psr_nb.worth import measure_worth

    few = fashion_mini.per_class(24, 0)
    brief = replace(PROTOCOLS['quick'], epochs=((1e9, 2),), students={'convnet*': dict(width=8)})
    prior = Prior.from_pretrained('fashion', device='cpu')
    values = []
    for name, engine in (('one', None), ('two', ray)):
        pool = Pool.sample(prior, (), 6, path=tmp_path / name, num_inference_steps=2, shard_size=6, progress=False)
        *_, last = measure_worth(pool, few, 2, 20, brief, trials=50, device='cpu', engine=engine)
        values.append(last.worth)
    a, b = values
    assert np.array_equal(a.measured.sets, b.measured.sets) and np.array_equal(a.measured.judged, b.measured.judged)
    assert np.array_equal(a.values, b.values) and a.about == b.about
    sets = {'random': lambda seed: random_real(few, 2, seed), 'fixed': random_real(few, 3, 7)}
    options = dict(seeds=2, epochs=2, progress=False, device='cpu')
    rows = [
        evaluate(sets, fashion_mini.per_class(9, 1), allow_overlap=True, engine=e, **options).rows for e in (None, ray)
    ]
    untimed = [[{k: v for k, v in row.items() if k != 'seconds'} for row in found] for found in rows]
    assert untimed[0] == untimed[1] and len(untimed[0]) == 4


def test_the_whole_way_gives_the_same_set(ray, fashion_mini, tmp_path):
    from psr_nb.distill import distill

    options = dict(
        data=fashion_mini.per_class(24),
        ipc=2,
        n_per_class=3,
        sampling=dict(num_inference_steps=2),
        refine_options=dict(steps=2, warm_up=2, unroll=2, width=8, student_real=32),
        progress=False,
    )
    here, there = (
        distill('fashion', pool=tmp_path / name, engine=e, **options) for name, e in (('1', None), ('2', ray))
    )
    assert here.pool.fingerprint == there.pool.fingerprint
    assert torch.equal(here.distilled.images, there.distilled.images)
    assert torch.equal(here.distilled.soft_labels, there.distilled.soft_labels)
    assert len(there.steps) == 2


def test_what_is_asked_wrongly_is_said_before_a_ray_starts(monkeypatch, tmp_path):
    said = lambda *words: CliRunner().invoke(app, words).output
    assert "Did you mean 'ray'?" in said('pool', '--out', str(tmp_path / 'p'), '--engine', 'rya')
    assert 'option address: expected engine ray' in said('evaluate', 'nothing', '--address', 'auto')
    assert 'the folder of a distilled set' in said('evaluate', 'nothing', '--engine', 'ray')
    with pytest.raises(PSRError, match='at least 1'):
        RayEngine(workers=0)
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(PSRError, match=r'pip install psr_nb\[ray\]'):
        RayEngine()
    assert isinstance(Local(), Local)


def test_jobs_are_asked_for_only_as_far_ahead_as_workers_need(ray):
    asked = []
    jobs = ((asked.append(i) or i,) for i in range(100))
    results = ray.map(power, jobs, (2,))
    assert next(results)[0] == 1
    assert len(asked) <= (WAITING + 1) * 2 + 1
    results.close()  # what is at work is ended; the next map has workers again
    assert [value for value, _ in ray.map(power, numbers(3), (2,))] == [1, 2, 4]


def test_a_pool_has_the_same_fingerprint_though_a_worker_is_killed(ray, tiny_models, tiny_pool, tmp_path):
    "One process, two workers, and two workers of which one is killed half-way: the same shards by name."
    from psr_nb.pool import Pool
    from psr_nb.score import score

    prior, teachers = tiny_models
    for name, kills in (('plain', ()), ('killed', (4,))):
        for step in Pool.sample_steps(prior, teachers, 50, path=tmp_path / name, shard_size=10, engine=ray):
            if step.step in kills:
                os.kill(ray.ray.get(ray.hands.actors[0].ready.remote()), signal.SIGKILL)
        pool = Pool.open(tmp_path / name)
        assert pool.fingerprint == tiny_pool.fingerprint
        assert pool.info == tiny_pool.info  # every shard's hash, and what they were made with
    assert score(pool, engine=ray).equals(score(Pool.open(tiny_pool.path)))


def test_a_job_that_ends_its_worker_is_not_tried_for_ever(ray, monkeypatch):
    monkeypatch.setattr('psr_nb.engines.LIVES', 2)  # a new worker takes seconds
    with pytest.raises(PSRError, match='job 3: expected a worker that survives it, found 2 that died'):
        list(ray.map(dies, numbers(9), (2,)))
    assert [value for value, _ in ray.map(power, numbers(3), (2,))] == [1, 2, 4]
