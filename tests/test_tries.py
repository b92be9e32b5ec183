"Several refinements compared by students: from the shell, killed and resumed, with honest accounts, and refused in words."

import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from commands import here

from psr_nb.core import PSRError
from psr_nb.distill import Roles, distill, make_set
from psr_nb.distilled import DistilledSet
from psr_nb.pool import Pool
from psr_nb.problems import reference_images
from psr_nb.protocols import PROTOCOLS
from psr_nb.refine import RefineSettings, refine
from psr_nb.select import prepare, select
from psr_nb.stages import refine_file
from psr_nb.tries import compare_tries, keep_aside, run_tries
from psr_nb.verify import verify

BRIEF = replace(PROTOCOLS['quick'], epochs=((1e9, 4),))
SHORT = dict(steps=4, width=8, warm_up=2, unroll=2, student_real=32)


@pytest.fixture(scope='module')
def start(tmp_path_factory, fashion_prior, fashion_mini, fashion_teachers):
    "A pool, a selection, and real images in two parts."
    path = tmp_path_factory.mktemp('tries') / 'pool'
    pool = Pool.sample(fashion_prior, [fashion_teachers['a']], 4, path=path, progress=False, num_inference_steps=4)
    aside = keep_aside(fashion_mini.per_class(40), pool, 1)
    return pool, select(pool, 1, reference=aside.rest), aside


def same(a: DistilledSet, b: DistilledSet) -> bool:
    return a.images.equal(b.images) and a.latents.equal(b.latents) and a.soft_labels.equal(b.soft_labels)


@pytest.mark.slow
def test_killed_and_resumed(start, few_images, tmp_path):
    "A finished try is not made again, and the set is that of a run that nobody disturbed."
    chosen = select(start[0], 1).save(tmp_path / 'selection.json')
    how = dict(options=dict(steps=3, student=0), tries=2, tries_options=dict(students=1, student='convnet1'))
    how |= dict(data=str(few_images), progress=False)

    def command(out):
        call = f'refine_file({str(chosen)!r}, {str(out)!r}, **{how!r})'
        return [sys.executable, '-c', f'from psr_nb.stages import refine_file; {call}']

    said = subprocess.run(command(tmp_path / 'calm'), check=True, capture_output=True, text=True).stderr
    calm = DistilledSet.open(tmp_path / 'calm')
    run = subprocess.Popen(command(tmp_path / 'set'), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder, deadline = tmp_path / 'set-tries', time.monotonic() + 300
    while not list(folder.glob('tries-*.safetensors')) and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    run.kill()
    run.wait()
    [first] = list(folder.glob('tries-*.safetensors'))
    assert not (tmp_path / 'set').exists()
    written = first.stat().st_mtime_ns
    subprocess.run(command(tmp_path / 'set'), check=True)
    assert same(DistilledSet.open(tmp_path / 'set'), calm)
    assert first.stat().st_mtime_ns == written and len(list(folder.glob('tries-*.safetensors'))) == 2
    about = [json.loads((tmp_path / n / 'provenance.json').read_text())['tries'] for n in ('calm', 'set')]
    for one in about:
        assert one.pop('seconds')['comparing'] > 0
    assert about[0] == about[1] and not said  # quiet


@pytest.mark.slow
def test_the_winner_and_its_account(start, fashion_prior, fashion_teachers):
    "The best of the last round wins; who chose and who measured again share no image; every student is counted."
    pool, selection, aside = start
    parts = fashion_prior, fashion_teachers['b'], aside.rest, fashion_teachers['c']
    settings = RefineSettings.suited(fashion_prior, **SHORT)
    attempts = run_tries(selection, *parts, settings, 3, 2)
    calls = []
    how = dict(students=2, protocol=BRIEF, on_student=lambda *now: calls.append(now))
    tried = compare_tries(attempts, selection, fashion_prior, parts[3], aside, 2, **how)
    about, met = tried.about(), tried.comparison.met
    assert len(tried.candidates) == 7 and met.tolist().count(6) == 2  # 7, 4 and 2 sets
    assert about['students'] == len(calls) == calls[-1][0] == calls[-1][1] == (7 + 4 + 2 + 1) * 2
    last = [i for i in range(7) if met[i] == 6]
    assert about['best'] == max(last, key=lambda i: tried.comparison.means[i])
    assert (about['images_chose'], about['images_again']) == (100, 100) and len(tried.comparison.again) == 2
    for text in (f'{about["chosen"]:.1%}', f'{about["again"]:.1%}', '28 students', '100 others'):
        assert text in tried.words()
    which, step = tried.candidates[about['best']]
    assert tried.steps[-1:] == ([] if step is None else [step])
    in_the_middle = tried.candidates[1][1]
    [*_, end] = refine(selection, *parts[:3], parts[3], settings, steps=2)
    assert in_the_middle.images.shape == end.images.shape and in_the_middle.step == 2
    alone = list(refine(selection, *parts, replace(settings, seed=1)))
    assert torch.equal(alone[-1].latents, attempts[1].steps[-1].latents)  # a try is an ordinary refinement
    assert torch.equal(alone[1].latents, attempts[1].steps[1].latents)


@pytest.mark.slow
def test_the_start_may_win(start, fashion_prior, fashion_mini, fashion_teachers, tmp_path):
    "Where refinement has spoilt the images, the set is the selection as it was, and says so."
    pool, selection, aside = start
    roles = Roles(None, fashion_teachers['b'], None)
    settings = RefineSettings.suited(fashion_prior, **SHORT)
    [made] = run_tries(selection, fashion_prior, roles.refining, aside.rest, None, settings, every=2)
    noise = replace(made.steps[-1], images=torch.rand_like(made.steps[-1].images))
    spoilt = replace(made, steps=[*made.steps[:-1], noise])
    how = dict(students=4, protocol=replace(BRIEF, epochs=((1e9, 60),)), student='convnet1')
    tried = compare_tries([spoilt], selection, fashion_prior, None, aside, 4, **how)
    assert tried.steps == [] and 'best is the start' in tried.words()
    kept = make_set(selection, tried.steps, 'psr', fashion_mini, fashion_prior, roles, tries=tried)
    account = kept.provenance['tries']
    assert account['best'] == 0 and account['sets'][0]['seed'] is None and kept.method == 'psr_select'
    assert kept.images.equal(torch.as_tensor(selection.images)) and kept.provenance['refine'] is None
    assert f'by {account["students"]} students' in kept.save(tmp_path / 'set').joinpath('README.md').read_text()
    made = DistilledSet.open(tmp_path / 'set')
    assert made.provenance['tries'] == account
    half = compare_tries([spoilt], selection, fashion_prior, None, aside, 2, **how)
    steps = [step for _, step in half.candidates if step is not None]
    assert [(s.step, s.total) for s in steps] == [(2, 2), (4, 4)]


@pytest.mark.slow
def test_one_try_is_the_refinement_as_it_was(start, tmp_path):
    "Without tries and checkpoints nothing is kept aside, nothing is added, and no folder is left."
    pool, selection, aside = start
    file = selection.save(tmp_path / 'selection.json')
    more = dict(data='fashion-mini', options=SHORT, progress=False)
    a, b = (refine_file(file, tmp_path / n, **more, **o) for n, o in (('a', {}), ('b', dict(tries=1))))
    assert same(a, b) and 'tries' not in b.provenance and not (tmp_path / 'b-tries').exists()
    assert a.provenance == b.provenance


@pytest.mark.slow
def test_images_kept_aside_have_judged_and_shown_nothing(start, fashion_mini, monkeypatch):
    pool, selection, aside = start
    both = np.concatenate([aside.ask.image_keys, aside.rest.image_keys])
    assert len(set(both.tolist())) == len(both) == 400
    real = fashion_mini.per_class(40)
    shown = prepare(pool, real, max_reference=18).select(1)
    again = keep_aside(real, pool, 1, shown)
    assert not np.isin(again.ask.image_keys, reference_images(pool, real, 18, 0).image_keys).any()
    assert len(again.ask) == 200 and not again.notes
    assert 'selection represents are not known' in keep_aside(real, pool, 1, selection).notes[0]  # only a part of these
    judged = np.zeros(400, bool)
    judged[::20] = True  # two of each class
    monkeypatch.setattr('psr_nb.tries.judged_worth', lambda *_: judged)
    without = keep_aside(real, pool, 1)
    assert not np.isin(without.ask.image_keys, real.take(judged).image_keys).any()
    monkeypatch.setattr('psr_nb.tries.judged_worth', lambda *_: None)
    assert 'judged worth are not known' in keep_aside(real, pool, 1).notes[0]


@pytest.mark.slow
def test_such_a_set_can_be_made_again(few_images, tmp_path):
    "Provenance says enough: which tries, which checkpoints, which students."
    options = dict(refine_options=dict(SHORT, steps=2), sampling=dict(num_inference_steps=4), progress=False)
    tried = dict(tries=2, checkpoint_every=1, tries_options=dict(students=1, student='convnet1'))
    run = distill('fashion', few_images, 1, out=tmp_path / 'set', n_per_class=3, **options, **tried)
    assert len(run.distilled.provenance['tries']['sets']) == 5 and run.tries is not None
    found = verify(tmp_path / 'set', run.prior, real=run.data)
    assert found and any('made again' in c.what for c in found.checks), found


@pytest.mark.slow
def test_a_damaged_try_is_made_again(start, fashion_prior, fashion_teachers, tmp_path):
    pool, selection, aside = start
    parts = fashion_prior, fashion_teachers['b'], aside.rest, None
    settings = RefineSettings.suited(fashion_prior, **SHORT)
    first = run_tries(selection, *parts, settings, 2, folder=tmp_path)
    file = min(tmp_path.glob('tries-*.safetensors'))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.warns(UserWarning, match='cut short'):
        again = run_tries(selection, *parts, settings, 2, folder=tmp_path)
    for a, b in zip(first, again):
        assert torch.equal(a.steps[-1].latents, b.steps[-1].latents)


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--tries', 0], 'argument tries: expected a whole number from 1 up, found 0'),
        (['--tries', 1.5], "'--tries': Input should be a valid integer"),
        (['--checkpoint-every', 0], 'argument checkpoint_every: expected a whole number of steps from 1 up'),
        (['--tries', 2, '--no-refine'], 'arguments tries and checkpoint_every: expected refinement'),
    ],
)
def test_wrong_numbers_are_refused(words, said, tmp_path):
    done = here('distill', '--data', 'fashion-mini', *words, '--out', tmp_path / 'set')
    assert done.returncode != 0 and said in ' '.join(done.stderr.split()) and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_too_few_real_images(fashion_mini, start, tmp_path):
    "Said before a pool is sampled, or a latent is moved."
    few = fashion_mini.per_class(19)
    with pytest.raises(PSRError, match='at least 20 of each class .* found 19 of'):
        distill('fashion', few, 1, out=tmp_path / 'set', n_per_class=3, tries=2, progress=False)
    pool, *_ = start
    shown = select(pool, 1, reference=fashion_mini).save(tmp_path / 'selection.json')
    done = here('refine', shown, '--data', 'fashion-mini', '--tries', 2, '--out', tmp_path / 'set', '--quiet')
    assert done.returncode == 1 and 'found 0 of T-shirt' in done.stderr and 'psr distill --tries' in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ['selection.json']
    with pytest.raises(PSRError, match='argument tries: expected a whole number from 1 up, found 1.5'):
        refine_file(shown, tmp_path / 'set', tries=1.5)
