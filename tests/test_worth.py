"Worth: measured once, kept, gone on with, and used by selection where it is there."

import os
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from commands import here

import psr_nb.contest
import psr_nb.worth as worth_module
from psr_nb.contest import at_most, compare_sets, contest, judged_worth, propose, reference_and_rest, without_judges
from psr_nb.core import PSRError
from psr_nb.data import load_data
from psr_nb.pool import Pool
from psr_nb.problems import ImagePool, score_columns, worth_counts, worth_reaches
from psr_nb.protocols import PROTOCOLS
from psr_nb.select import Selection, Weights, prepare, select
from psr_nb.stages import select_by_students
from psr_nb.swaps import can_swap, swap_steps, swapped
from psr_nb.trials import (
    QuickTrial,
    Regression,
    balanced_sets,
    effects,
    membership,
    preferred_sets,
    standardised,
    trial_features,
)
from psr_nb.worth import Worth, calibrate, judges_of, measure_worth

BRIEF = replace(PROTOCOLS['quick'], epochs=((1e9, 2),), students={'convnet*': dict(width=8)})  # as fast as can be


@pytest.fixture(scope='module')
def real():
    return load_data('fashion-mini').per_class(16)


@pytest.fixture(scope='module')
def sampled(fashion_prior, tmp_path_factory):
    "Eight candidates of each class, nothing measured."
    path = tmp_path_factory.mktemp('worth') / 'pool'
    return Pool.sample(fashion_prior, n_per_class=8, shard_size=8, path=path, num_inference_steps=2, progress=False)


@pytest.fixture
def pool(sampled, tmp_path):
    import shutil

    shutil.copytree(sampled.path, tmp_path / 'pool')
    return Pool.open(tmp_path / 'pool')


def measure(pool, real, students=32, ipc=2, **more):
    *_, last = measure_worth(pool, real, ipc, students, **(dict(protocol=BRIEF, trials=100, device='cpu') | more))
    return last.worth


@pytest.mark.slow
def test_goes_on_after_a_kill_and_with_more_students(pool, real, tmp_path):
    "Stopped in the middle, gone on with, and extended from a generation that was not full: the same numbers."
    steps = measure_worth(pool, real, 2, 32, BRIEF, trials=100, device='cpu')
    assert next(steps).students == 0
    assert next(steps).students == 16
    steps.close()
    resumed = measure(pool, real)
    other = Pool.open(pool.path)
    measure(other, real, 20, seed=1)
    extended = measure(other, real, 32, seed=1)
    import shutil

    shutil.rmtree(pool.path / 'worth')
    assert np.array_equal(measure(pool, real).values, resumed.values)
    assert np.array_equal(measure(pool, real, seed=1).values, extended.values)


@pytest.fixture
def grown(pool, real, fashion_prior):
    "Measured with eight candidates of each class; then there are twelve."
    before = measure(pool, real)
    more = Pool.sample(fashion_prior, n_per_class=12, path=pool.path, progress=False)
    return before, more


@pytest.mark.slow
def test_students_count_when_a_pool_has_grown(grown, real):
    before, pool = grown
    expected = measure(pool, real, 0)
    assert expected.earlier == 32 and np.array_equal(expected.measured.sets, before.measured.sets)
    assert expected.values.shape == (10, 12) and np.isfinite(pool.table['worth']).all()
    worth = measure(pool, real)
    assert (
        len(worth.measured) == 64
        and worth.about['after'] == before.about['key']
        and '32 of them earlier' in repr(worth)
    )
    assert (worth.measured.sets[32:] >= 8).any((1, 2)).all()  # each new set tries candidates that are new
    assert Worth.open(Pool.open(pool.path, n_per_class=8)).about == before.about  # the smaller pool keeps its own
    assert np.array_equal(Worth.open(pool).values, worth.values)


@pytest.mark.slow
def test_a_grown_pool_is_gone_on_with_after_a_kill(grown, real):
    before, pool = grown
    steps = measure_worth(pool, real, 2, 32, BRIEF, trials=100, device='cpu')
    assert [next(steps).students for _ in range(2)] == [0, 16]
    steps.close()
    shutil.rmtree(pool.path / 'worth' / before.about['key'][:16])  # its students were adopted, it is not needed
    resumed = measure(pool, real)
    shutil.rmtree(pool.path / 'worth')
    measure(Pool.open(pool.path, n_per_class=8), real)
    assert np.array_equal(measure(pool, real).values, resumed.values)
    file = next((pool.path / 'worth').rglob('earlier-*'))
    file.write_bytes(b'')
    shutil.rmtree(pool.path / 'worth' / before.about['key'][:16])
    with (
        pytest.raises(PSRError, match='earlier students.*Remove its folder'),
        pytest.warns(UserWarning, match='cut short'),
    ):
        measure(pool, real)


@pytest.mark.slow
def test_a_contest_exchanges_candidates(measured, few_images):
    "Where students have measured worth, and the features of the images that judged are there."
    pool, worth = measured
    plain = Weights(reliability=0)
    start = prepare(pool).select(2, weights=plain, gate=False)
    better = swapped(start, worth, 2000)
    assert worth.expected(np.stack(better.ids)[None], np.zeros(1), worth.opinion.judging) > worth.expected(
        np.stack(start.ids)[None], np.zeros(1), worth.opinion.judging
    )
    pinned = prepare(pool).select(2, weights=plain, gate=False, pins=[(0, 3)])
    once = swapped(pinned, worth, 64)
    twice = swapped(once, worth, 2000, seed=1)  # only what was pinned before stays
    assert twice.config['swaps']['pins'] == once.config['swaps']['pins'] == [[0, 3]] and 3 in twice.ids[0]
    assert [sorted(i) for i in twice.ids] != [sorted(i) for i in once.ids]
    names = propose(pool, 2, names=('volume',), worth=worth, swaps=320)
    assert 'volume, worth 0.5, swapped' in names and names['volume, worth 0.5, swapped'].config['swaps']['tries'] == 320
    assert 'swapped' not in ' '.join(propose(pool, 2, names=('volume',), worth=worth, swaps=0))
    real = load_data(str(few_images))
    found = contest(pool, real, 2, students=1, rounds=1, protocol=BRIEF, swaps=64)
    assert 'volume, worth 0.5, swapped' in found.selections


@pytest.mark.slow
def test_exchanges_of_what_cannot_be(measured_pool):
    pool, worth = measured_pool
    start = prepare(pool).select(2, weights=Weights(reliability=0), gate=False)
    assert next(swap_steps(worth, start, 32)).total == 32
    for given, said in (
        (dict(stay=np.ones((10, 8), bool)), 'argument ids: expected a candidate that may go out'),
        (dict(free=np.zeros((10, 8), bool)), 'one of its class that may come in, found none. Free a pin'),
        (dict(free=np.ones((10, 3), bool)), 'argument free: expected .* shape 10×8, found bool, shape 10×3'),
        (dict(stay=[(0, 1)]), 'argument stay: expected yes or no'),
    ):
        with pytest.raises(PSRError, match=said):
            swap_steps(worth, start.ids, 32, **given)
    for wrong in ((start, pool), (pool, worth), (start, None)):
        with pytest.raises(PSRError, match='argument (worth|selection): expected (Worth|Selection)'):
            swapped(*wrong, 32)
    whole = [(c, i) for c, ids in enumerate(start.ids) for i in ids]
    pinned = prepare(pool).select(2, weights=Weights(reliability=0), gate=False, pins=whole)
    with pytest.raises(PSRError, match='Free a pin'):
        swapped(pinned, worth, 32)


@pytest.mark.slow
def test_trials_of_an_earlier_version(measured, real):
    "They lack the features of the images that judged: exchanges are refused, until the same is measured again."
    pool, worth = measured
    file = next((pool.path / 'worth').rglob('trials-*'))
    arrays = {k: v for k, v in worth_module._arrays(file.parent, 'trials', '').items() if 'seen' not in k}
    worth_module._write(file.parent, 'trials', arrays)
    old = Worth.open(pool)
    assert not can_swap(old) and np.array_equal(old.values, worth.values)
    start = prepare(pool).select(2, weights=Weights(reliability=0), gate=False)
    with pytest.raises(PSRError, match='Measure it again as before'):
        swapped(start, old, 64)
    again = measure(pool, real)
    assert can_swap(again) and len(again.measured) == 32 and np.array_equal(again.values, worth.values)


@pytest.mark.slow
def test_exchanges_from_the_shell(measured, tmp_path):
    pool, worth = measured
    plain = '--reliability', 0, '--no-gate', '--out', tmp_path / 'chosen.json'
    done = here('select', pool.path, '--ipc', 2, '--swaps', 640, *plain)
    assert done.returncode == 0 and 'candidates were exchanged' in done.stdout, done.stderr
    chosen = Selection.open(tmp_path / 'chosen.json')
    assert chosen.config['swaps'] == dict(tries=640, seed=0, worth=worth.about['key'], pins=[])
    for words, said in (
        (['--swaps', 0], 'option --swaps: expected a whole number'),
        (['--swaps', 64, '--by-students', '--data', 'fashion-mini'], 'option --by-students'),
        (['--swaps', 64, '--ipc', 3], 'a measurement of these candidates for 3 images per class'),
    ):
        done = here('select', pool.path, '--ipc', 2, *words)
        assert done.returncode == 1 and said in done.stderr and done.stderr.count('\n') == 1, done.stderr


@pytest.mark.slow
def test_what_is_not_adopted(grown, real):
    _, pool = grown
    others = dict(ipc=3), dict(student='convnet2'), dict(real=real.take(np.arange(1, 160))), dict(protocol='quick')
    for other in others:
        with pytest.raises(PSRError, match='argument students'):  # none are there
            measure(pool, **{'real': real, 'students': 0, **other})
    with pytest.raises(PSRError, match='argument students'):
        measure(pool, real, 3)


def test_a_measurement_stays_the_same_when_protocols_get_fields():
    "Its key holds these values and no others: a field that is added must be left out where it says nothing new."
    first = (
        'batch_size branches cells class_batches cutmix decay_vectors epochs exact_ipc extra_forward grey_padding '
        'label_parts labels largest lr many_classes mean middle_stem nesterov norm normalised_views online optimizer '
        'schedule source special std students temperature test_crop tests torchvision views weight_decay'
    )
    for name in ('quick', 'minimax', 'rded', 'sre2l'):
        assert set(worth_module._values(PROTOCOLS[name])) == set(first.split()), name
    plain = replace(PROTOCOLS['minimax'], two_thirds=False)
    assert worth_module._values(plain)['two_thirds'] is False


@pytest.mark.slow
def test_what_decides_is_in_the_key(pool, real):
    measure(pool, real, 16)
    for other in (dict(seed=1), dict(ipc=3), dict(student='convnet2'), dict(real=real.take(np.arange(1, 160)))):
        before = set((pool.path / 'worth').iterdir())
        measure(pool, **{'real': real, 'students': 16, **other})
        assert len(set((pool.path / 'worth').iterdir()) - before) == 1
    assert Worth.open(pool, ipc=3).about['ipc'] == 3


@pytest.mark.slow
def test_damaged_files(pool, real):
    "Named in a warning and made again; what cannot be understood is a sentence."
    first = measure(pool, real)
    (folder,) = (pool.path / 'worth').iterdir()
    for stem in ('trials', 'students-000'):
        file = next(folder.glob(f'{stem}-*'))
        file.write_bytes(file.read_bytes()[:-9] + b'xxxxxxxxx')
        with pytest.warns(UserWarning, match='altered.*to be made again'):
            assert np.allclose(measure(pool, real).values, first.values, atol=1e-7)
    (folder / 'worth.json').write_text('{"format": 1}')
    with pytest.raises(PSRError, match='worth.json: expected .* Remove its folder'):
        Worth.open(pool)
    (folder / 'worth.json').write_text('{')
    with pytest.raises(PSRError, match='expected JSON'):
        Worth.open(pool)
    assert np.allclose(measure(pool, real).values, first.values)  # written anew, the students kept


def test_students_under_the_name_of_another_generation_count_once(pool, real):
    first = measure(pool, real)
    (folder,) = (pool.path / 'worth').iterdir()
    number = len(list(folder.glob('students-*')))
    file = next(folder.glob('students-000-*'))
    shutil.copy(file, folder / file.name.replace('students-000', f'students-{number:03d}'))
    with pytest.warns(UserWarning, match='was written as students-000'):
        again = Worth.open(pool)
    assert len(again.measured) == len(first.measured)


def test_refusals(pool, real):
    with pytest.raises(PSRError, match='argument ipc: expected 1 to 7'):
        measure(pool, real, ipc=8)
    with pytest.raises(PSRError, match='expected real training images'):
        measure(pool, None)
    with pytest.raises(PSRError, match='no Bag'):
        measure(pool, real.restrict([c for c in real.classes if c != 'Bag']))
    with pytest.raises(PSRError, match='at least 8 of each class'):
        measure(pool, real.per_class(5))
    with pytest.raises(PSRError, match='only in memory'):
        measure(ImagePool(real, 8), real)
    with pytest.raises(PSRError, match='from 16 up to 1,000,000'):
        measure(pool, real, 2)
    with pytest.raises(PSRError, match="Did you mean 'quick'"):
        measure(pool, real, protocol='quik')
    assert not (pool.path / 'worth').exists() and 'worth' not in pool.table


@pytest.mark.slow
def test_one_image_per_class(pool, real):
    worth = measure(pool, real, 16, ipc=1)
    assert worth.values.shape == (10, 8) and worth.predict(np.zeros((10, 1), int)).low < 1


@pytest.mark.slow
def test_predictions(pool, real):
    worth = measure(pool, real)
    best = np.argsort(-worth.values, 1)[:, :2]
    expected = worth.predict(best)
    assert expected.low < expected.accuracy < expected.high and '% expected' in repr(expected)
    assert worth.predict(select(pool, 2, 'first')) is not None
    with pytest.raises(PSRError, match='2 of each class'):
        worth.predict(select(pool, 3, 'first'))
    with pytest.raises(PSRError, match='at least 16 students'):
        replace(worth, measured=worth.measured.first(3)).predict(best)


@pytest.mark.slow
def test_only_new_sets_are_tried(pool, real, monkeypatch):
    "Each generation of sets is tried once, and gone on with or opened later, the numbers are the same."
    asked, scores = [], QuickTrial.scores
    monkeypatch.setattr(QuickTrial, 'scores', lambda trial, sets: asked.append(len(sets)) or scores(trial, sets))
    *_, last = measure_worth(pool, real, 2, 40, BRIEF, trials=100, device='cpu')
    assert asked[-3:] == [16, 16, 8] and not {32, 40} & set(asked)
    assert Worth.open(pool, 2).calibration.weights.tolist() == last.worth.calibration.weights.tolist()


def test_selection_uses_the_column_where_it_is(pool, real, tmp_path):
    plain = select(pool, 3, gate=False, weights=Weights(reliability=0))
    file = plain.save(tmp_path / 'plain.json')
    assert 'worth' not in file.read_text()
    measured = np.zeros((10, 8))
    measured[:, 5] = 3.0  # candidate 5 is worth much more than the others
    pool.add_scores({'worth': measured.ravel()})
    again = Selection.open(file)  # what was chosen without it stays as it was
    assert (
        again.key == plain.key
        and again.explain(0, int(plain.ids[0][0])).terms == plain.explain(0, int(plain.ids[0][0])).terms
    )
    for method in ('psr', 'psr_coverage', 'psr_mmd'):
        chosen = select(pool, 3, method, gate=False, weights=Weights(reliability=0, worth=5, representativeness=0))
        assert all(5 in ids for ids in chosen.ids)
        assert chosen.explain(0, 5).terms['worth'] > 0 and 'worth' in repr(chosen.explain(0, 5))
        assert 'worth' in chosen.explain(0, next(i for i in range(8) if i not in chosen.ids[0])).terms
        opened = Selection.open(chosen.save(tmp_path))
        assert opened.weights == chosen.weights and opened.explain(0, 5).terms == chosen.explain(0, 5).terms
    without = select(pool, 3, gate=False, weights=Weights(reliability=0, worth=0))
    assert [i.tolist() for i in without.ids] == [i.tolist() for i in plain.ids]
    assert [i.tolist() for i in select(pool, 3, 'random').ids] == [i.tolist() for i in select(pool, 3, 'random').ids]
    pool.add_scores({'worth': -measured.ravel()})
    with pytest.raises(PSRError, match='measured again'):
        opened = Selection.open(chosen.save(tmp_path))
        opened.explain(0, 5)


def test_worth_counts_as_far_as_it_is_known(pool, tmp_path):
    "In full from a quarter of the differences explained, half from a sixteenth, not at all where nothing is."
    measured = np.random.default_rng(0).normal(size=80)
    weights = Weights(reliability=0, worth=1)
    ids = lambda s: [i.tolist() for i in s.ids]
    plain = select(pool, 3, gate=False, weights=weights)
    pool.add_scores({'worth': measured})
    full = select(pool, 3, gate=False, weights=weights)
    assert ids(full) != ids(plain)
    first = int(full.ids[0][0])
    for share, counts in ((0.4, 1), (0.0625, 0.5), (0.0, 0), (-0.2, 0)):
        assert worth_counts(share) == counts
        pool.add_scores({'worth': measured, 'worth_share': np.full(80, share)})
        chosen = select(pool, 3, gate=False, weights=weights)
        assert counts != 1 or ids(chosen) == ids(full)
        assert counts != 0 or ids(chosen) == ids(plain)
        opened = Selection.open(chosen.save(tmp_path))
        assert opened.explain(0, first).terms['worth'] == pytest.approx(counts * full.explain(0, first).terms['worth'])


def test_worth_is_about_a_budget(pool, real):
    "Worth that was measured for sets of two counts for one to four images per class; elsewhere a note says so."
    measure(pool, real, 16)
    assert set(pool.table['worth_ipc']) == {2.0}
    pool.add_scores({'worth_share': np.ones(80)})
    for ipc, counts in ((1, True), (4, True), (5, False)):
        chosen = select(pool, ipc, gate=False, weights=Weights(reliability=0, worth=1))
        plain = select(pool, ipc, gate=False, weights=Weights(reliability=0, worth=0))
        same = all(np.array_equal(a, b) for a, b in zip(chosen.ids, plain.ids))
        assert ('worth' in chosen.gains[0]) == counts and same == (not counts)
        words = f'worth was measured for 2 images per class and does not count for {ipc}: psr worth … --ipc {ipc} '
        notes = [] if counts else [f'{words}measures it']
        assert chosen.notes == notes
    assert 'does not count for 5' in select(pool, 1, gate=False, weights=Weights(reliability=0), budget=50).notes[0]
    pool.add_scores({'worth': np.arange(80.0), 'worth_ipc': np.full(80, 40.0)})
    assert 'does not count for 5' in select(pool, 5, gate=False, weights=Weights(reliability=0), at_once=4).notes[0]


@pytest.mark.parametrize(
    ('measured_for', 'fewest', 'most'), [(1, 1, 2), (2, 1, 4), (5, 3, 10), (9, 5, 18), (10, 5, 50), (50, 25, 250)]
)
def test_how_far_worth_reaches(measured_for, fewest, most):
    "Downwards to half the budget; upwards to twice, and from ten images per class to five times."
    assert [i for i in range(1, 400) if worth_reaches(i, measured_for)] == list(range(fewest, most + 1))
    assert worth_reaches(399, None)


@pytest.mark.slow
def test_each_budget_has_its_own_measurement(pool, real, tmp_path):
    "What was measured for one budget is there when another was measured later; a file opens with the right one."
    flat = dict(gate=False, weights=Weights(reliability=0, worth=1))
    known = lambda ipc: pool.add_scores({'worth_share': np.ones(80), f'worth_{ipc}_share': np.ones(80)})
    measure(pool, real, 16)
    known(2)
    two = select(pool, 2, **flat)
    file, first = two.save(tmp_path), int(two.ids[0][0])
    explained = two.explain(0, first).terms['worth']
    four = select(pool, 4, **flat)  # by the same worth, though later there is one that is nearer
    far, placed = four.save(tmp_path), four.explain(0, int(four.ids[0][0])).terms['worth']
    list(measure_worth(pool, real, 5, 16, BRIEF, trials=60, device='cpu'))
    known(5)
    assert [c for c in score_columns(pool.table) if 'worth' in c] == ['worth', 'worth_se']
    assert explained and {'worth_2', 'worth_5', 'worth_2_share', 'worth_5_share'} <= set(pool.table.columns)
    assert set(pool.table['worth_ipc']) == {5.0} and np.array_equal(pool.table['worth_5'], pool.table['worth'])
    again, five = select(pool, 2, **flat), select(pool, 5, **flat)
    assert again.config == two.config and again.config['worth_for'] == 2 and five.config['worth_for'] == 5
    assert (
        all(np.array_equal(a, b) for a, b in zip(again.ids, two.ids)) and again.config['worth'] != five.config['worth']
    )
    parts = select(pool, 2, **flat, at_once=4)
    assert parts.config['worth'] == two.config['worth'] and [i.tolist() for i in parts.ids] == [
        i.tolist() for i in two.ids
    ]
    assert select(pool, 3, **flat).config['worth'] == two.config['worth']  # 3 is nearer to 2 than to 5
    assert select(pool, 4, **flat).config['worth'] == five.config['worth']
    assert Selection.open(file, pool).explain(0, first).terms['worth'] == pytest.approx(explained)
    opened = Selection.open(far, pool)
    assert opened.explain(0, int(four.ids[0][0])).terms['worth'] == pytest.approx(placed)
    assert np.allclose(opened.objective(), four.objective())
    pool.add_scores({'worth_2': np.arange(80.0)})
    with pytest.raises(PSRError, match='the worth that it was made with'):
        Selection.open(file, pool).explain(0, first)


@pytest.mark.slow
def test_a_contest_leaves_out_who_judged_worth(pool, real, few_images, monkeypatch, tmp_path):
    monkeypatch.setattr(psr_nb.contest, 'ENOUGH', 6)
    monkeypatch.setattr(psr_nb.contest, 'MOST_JUDGES', 8)
    assert without_judges(pool, real, 2) == (real, True)  # nobody judged
    measure(pool, real, 16, most=8)
    left, apart = without_judges(pool, real, 2)
    seen = {x.numpy().tobytes() for x in judges_of(pool, real, 8, 0).images}
    assert apart and len(left) == len(real) - 80 and not seen & {x.numpy().tobytes() for x in left.images}
    assert judged_worth(pool, real, 4).sum() == 80 and not judged_worth(pool, real, 5).any()  # where it counts, and not
    assert without_judges(pool, real.per_class(12), 2)[1] is False  # other images: nobody knows
    found, file = select_by_students(pool.path, few_images, 2, 1, BRIEF, out=tmp_path / 'chosen')
    assert Selection.open(file).key == found.best.key and len(found.selections) > 4
    assert found.words()[-2].startswith(f'{found.name}: ')
    with pytest.raises(PSRError, match='option --data'):
        select_by_students(pool.path, None)


@pytest.mark.slow
def test_judges_are_found_among_scaled_images(pool, real, monkeypatch):
    "Scaled images are known by what was stored, and their judges all the same."
    monkeypatch.setattr(psr_nb.contest, 'MOST_JUDGES', 8)
    scaled = replace(real, keys=np.array([key[::-1] for key in real.image_keys.tolist()], 'S32'))
    assert not judged_worth(pool, scaled, 2).any()
    measure(pool, scaled, 16, most=8)
    assert int(judged_worth(pool, scaled, 2).sum()) == 80 and judged_worth(pool, scaled.per_class(12), 2) is None


@pytest.mark.slow
def test_judges_of_all_budgets_that_count_are_left_out(pool, real, tmp_path):
    "Worth of two may choose three, and so may worth of four: the images of both are known, or none is said to be."
    measure(pool, real, 16, most=8)
    measure(pool, real, 16, ipc=4, most=12)
    assert [int(judged_worth(pool, real, n).sum()) for n in (1, 3, 8, 9)] == [80, 120, 120, 0]
    two = Worth.open(pool, 2)
    shutil.rmtree(pool.path / 'worth' / two.about['key'][:16])  # its column stays
    assert judged_worth(pool, real, 3) is None and judged_worth(pool, real, 8).sum() == 120


def test_candidates_that_were_not_measured(pool):
    "An extended pool: new candidates count as the mean of their class."
    values = np.full((10, 8), np.nan)
    values[:, :4] = np.arange(4)
    pool.add_scores({'worth': values.ravel()})
    assert np.isfinite(select(pool, 3, gate=False, weights=Weights(reliability=0)).gains[0]['worth']).all()
    assert standardised(values)[0, 4:].tolist() == [0.0] * 4


def test_designs():
    sets = balanced_sets(12, 3, 4, 9)
    assert all(np.bincount(sets[:, c].ravel(), minlength=12).tolist() == [3] * 12 for c in range(3))
    assert np.array_equal(balanced_sets(12, 3, 4, 4, start=5), sets[5:])
    liking = np.zeros((3, 12))
    assert np.array_equal(preferred_sets(liking, 4, 6)[2:], preferred_sets(liking, 4, 4, start=2))
    assert len(set(preferred_sets(liking, 4, 1)[0, 0])) == 4


def test_effects_find_what_was_put_in():
    "Also with a prior that is right, one that is wrong, and neighbours."
    g = np.random.default_rng(0)
    truth = g.normal(size=(2, 20))
    taken = membership(balanced_sets(20, 2, 5, 200), 20)
    outcomes = np.einsum('csn,cn->sc', taken, truth) + g.normal(size=(200, 2))
    for prior, trust in ((np.zeros((2, 20)), 0.0), (truth, 1.0), (g.normal(size=(2, 20)), 0.1)):
        mean, se = effects(taken, outcomes, prior, np.stack([np.eye(20)] * 2), Regression(1.0, trust))
        away = mean - truth - (mean - truth).mean(1, keepdims=True)  # a constant cannot be told
        assert np.abs(away).mean() < 0.3
        assert np.isfinite(se).all() and (se >= 0).all()


def test_a_trial_is_ridge_regression(real):
    from sklearn.linear_model import Ridge

    scale = np.zeros((1, 1, 1, 1)), np.ones((1, 1, 1, 1))
    import torch

    rows = trial_features(real.images, *(torch.tensor(v).float() for v in scale))
    trial = QuickTrial(rows, rows, real.labels, 10)
    sets = balanced_sets(16, 10, 3, 2)
    chosen = (sets[1] + 16 * np.arange(10)[:, None]).ravel()
    targets = np.eye(10)[np.arange(10).repeat(3)] - 0.1
    fitted = Ridge(alpha=trial.ridge, fit_intercept=False).fit(rows[chosen].numpy(), targets)
    assert np.allclose(trial.layers(sets)[1].numpy().T, fitted.coef_, atol=1e-4)


def test_calibration_leaves_each_out():
    g = np.random.default_rng(0)
    trial, noise, volume = g.normal(size=(3, 60))
    exact = calibrate(trial, noise, volume, 0.5 + 0.1 * trial)
    assert exact.correlation > 0.99 and exact.rank > 0.99 and exact.error < 0.02
    nothing = calibrate(trial, noise, volume, g.normal(size=60))
    assert nothing.correlation < 0.4 and nothing.rank < 0.4


def test_from_the_shell(pool):
    for words, said in (
        (['worth', pool.path], 'option --data: expected real images'),
        (['worth', pool.path, '--data', 'fashion-mini', '--ipc', '9'], 'argument ipc: expected 1 to 7'),
        (['worth', pool.path / 'none', '--data', 'fashion-mini'], 'pool'),
        (['select', pool.path, '--by-students'], 'option --data: expected real images'),
        (['select', pool.path, '--by-students', '--worth', '1'], 'option --by-students'),
        (['select', pool.path, '--by-students', '--at-once', '2'], 'option --by-students'),
        (['select', pool.path, '--by-students', '--data', 'fashion-mini', '--space', 'no'], 'space'),
    ):
        done = here(*words)
        assert done.returncode == 1 and said in done.stderr and done.stderr.count('\n') == 1, done.stderr
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        Pool.open(pool.path)


@pytest.fixture(scope='module')
def measured_pool(sampled, real, tmp_path_factory):
    "One finished measurement, by 32 students at two images per class."
    path = tmp_path_factory.mktemp('measured') / 'pool'
    shutil.copytree(sampled.path, path)
    pool = Pool.open(path)
    return pool, measure(pool, real)


@pytest.fixture
def measured(measured_pool, tmp_path):
    pool, worth = measured_pool
    shutil.copytree(pool.path, tmp_path / 'measured')
    return Pool.open(tmp_path / 'measured'), worth


def older(pool, *keys, by=100):
    "As if these had been measured earlier."
    for file in (pool.path / 'worth').glob('*/worth.json'):
        if not keys or file.parent.name in keys:
            os.utime(file, (file.stat().st_mtime - by,) * 2)


@pytest.mark.parametrize('name', sorted(PROTOCOLS))
def test_every_protocol(pool, real, name):
    "Also one whose values have keys that JSON does not know. Its students are narrow here."
    narrow = replace(PROTOCOLS[name], students=BRIEF.students)
    first = next(measure_worth(pool, real, 1, 16, narrow, 'convnet1', trials=10, device='cpu'))
    assert first.students == 0 and first.worth.about['values']['source'] == narrow.source


def test_a_budget_that_a_protocol_does_not_have(pool, real):
    with pytest.raises(PSRError, match='protocol rded: expected values for 2 images per class, found none. Measure'):
        measure(pool, real, 16, protocol='rded')
    assert not (pool.path / 'worth').exists()


@pytest.mark.slow
def test_a_finished_measurement_is_not_hidden(measured, real):
    "Not by one that was refused, interrupted before its first generation or in its second, damaged, or newer."
    pool, worth = measured
    older(pool)
    same = lambda: np.array_equal(Worth.open(pool, 2).values, worth.values)
    with pytest.raises(PSRError, match='convnet6'):
        measure(pool, real, 16, student='convnet6')
    assert len(list((pool.path / 'worth').iterdir())) == 1 and same()
    for stop in (0, 1):
        steps = measure_worth(pool, real, 2, 32, BRIEF, 'convnet1', trials=100, device='cpu')
        assert [next(steps).students for _ in range(stop + 1)][-1] == 16 * stop
        steps.close()
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            assert same()
    (other,) = (f for f in (pool.path / 'worth').iterdir() if f.name != worth.about['key'][:16])
    assert Worth.open(pool, 2).about['finished']
    measure(pool, real, 32, student='convnet1')
    assert not same()  # the other is finished, too, and it is the latest
    for file in other.glob('students-000-*'):
        file.write_bytes(b'')
    with pytest.warns(UserWarning, match='passed over: .*at least 16 intact students, found 0'):
        assert same()
    for content, said in (('{', 'expected JSON'), ('{"format": 99}', 'format 99. It was written by a newer')):
        (other / 'worth.json').write_text(content)
        with pytest.warns(UserWarning, match=f'passed over: .*{said}'):
            assert same()
    (other / 'worth.json').unlink()
    (other / 'worth.json').mkdir()
    with pytest.warns(UserWarning, match='passed over: .*found a folder. Remove its folder, or mend it'):
        assert same()
    shutil.rmtree(pool.path / 'worth' / worth.about['key'][:16])
    with pytest.raises(PSRError, match='Remove its folder, or mend it by the same psr worth'):
        Worth.open(pool, 2)
    with pytest.warns(UserWarning, match='passed over'):
        assert Worth.find(pool, 2) is None


@pytest.mark.slow
def test_a_measurement_of_an_earlier_version(measured):
    "It does not say whether it was finished, and it may have no students."
    pool, worth = measured
    folder = pool.path / 'worth' / worth.about['key'][:16]
    about = {k: v for k, v in Worth.open(pool).about.items() if k not in ('finished', 'most')}
    (folder / 'worth.json').write_text(worth_module.to_json(about))
    assert np.array_equal(Worth.open(pool, 2).values, worth.values) and Worth.find(pool, 2) is not None
    older(pool)
    shutil.copytree(folder, folder.parent / 'abandoned', ignore=shutil.ignore_patterns('students-*'))
    os.utime(folder.parent / 'abandoned' / 'worth.json')
    with pytest.warns(UserWarning, match='passed over'):
        assert np.array_equal(Worth.open(pool, 2).values, worth.values)


@pytest.mark.slow
def test_fewer_students_later(measured, real):
    "All that are there count, in the columns as in the predictions."
    pool, worth = measured
    with pytest.warns(UserWarning, match='all 32 students that are there count, not only 16'):
        again = measure(pool, real, 16)
    assert len(again.measured) == len(Worth.open(pool, 2).measured) == 32
    assert np.array_equal(again.values, worth.values)
    assert np.array_equal(Pool.open(pool.path).table['worth'].to_numpy(), worth.values.ravel())


@pytest.mark.slow
def test_the_order_of_the_real_images_does_not_matter(measured, real, few_images):
    pool, worth = measured
    turned = real.take(np.random.default_rng(1).permutation(len(real)))
    assert np.array_equal(measure(pool, turned).values, worth.values)
    assert len(list((pool.path / 'worth').iterdir())) == 1
    assert judges_of(pool, real, 8, 0).digest == judges_of(pool, turned, 8, 0).digest
    assert judges_of(pool, real, 8, 0).digest != judges_of(pool, real, 8, 1).digest
    ids = [[i.tolist() for i in select(pool, 2, 'psr_mmd', reference=r, max_reference=5, gate=False).ids]
           for r in (real, turned)]  # fmt: skip
    assert ids[0] == ids[1]
    for parts in (lambda r: reference_and_rest(r, 4), lambda r: (at_most(r, 50),), psr_nb.contest.choosers_and_keepers):
        assert [set(p.image_keys) for p in parts(real)] == [set(p.image_keys) for p in parts(turned)]


@pytest.mark.slow
def test_a_measurement_by_judges_of_an_earlier_version_is_gone_on_with(pool, real, monkeypatch):
    "They were drawn by their places. Its students are kept, and a contest finds its judges."
    by_place = lambda *given: judges_of(*given[:4], by_content=False)
    with monkeypatch.context() as earlier:
        earlier.setattr(worth_module, 'judges_of', by_place)
        before = measure(pool, real, 16)
    (folder,) = (pool.path / 'worth').iterdir()
    file = next(folder.glob('students-000-*'))
    after = measure(pool, real, 32)
    assert next(folder.glob('students-000-*')) == file and [folder] == list((pool.path / 'worth').iterdir())
    assert after.about['digest'] == before.about['digest'] != judges_of(pool, real, 400, 0).digest
    judges = Worth.open(pool, 2).judges(real)
    assert judges is not None and judges.digest == before.about['digest']
    assert Worth.open(pool, 2).judges(real.per_class(12)) is None


@pytest.mark.slow
def test_predictions_of_what_cannot_be(measured_pool):
    _, worth = measured_pool
    right = np.tile([0, 1], (10, 1))
    assert worth.predict(right) == worth.predict(right.tolist())
    for wrong, said in (
        (right + 7, 'whole numbers from 0 to 7, found int64 from 7 to 8'),
        (right - 1, 'whole numbers from 0 to 7'),
        (right + 0.5, 'whole numbers from 0 to 7'),
        (0 * right, 'different candidates, found one twice in class'),
        (right[:9], 'candidates of all 10 classes, found those of 9'),
        (np.tile(right, (2, 1)), 'candidates of all 10 classes, found those of 20'),
        ([[0, 1]] * 9 + [[0]], '2 of each class, as was measured'),
        ([['a', 'b']] * 10, 'whole numbers from 0 to 7, found values of type <U1'),
        (None, 'a selection, or candidate numbers'),
        (3, 'a selection, or candidate numbers'),
        ('0123456789', 'a selection, or candidate numbers'),
    ):
        with pytest.raises(PSRError, match=f'argument chosen: expected {said}'):
            worth.predict(wrong)


@pytest.mark.slow
def test_an_accuracy_is_a_share(measured_pool):
    _, worth = measured_pool
    for error in (0.0, 1.0):
        for constant in (-3.0, 0.5, 3.0):
            assert worth.calibration is not None
            other = replace(worth.calibration, weights=np.array([constant, 0, 0, 0]), error=error)
            worth_so = replace(worth)
            worth_so.calibration = other
            p = worth_so.predict(np.tile([0, 1], (10, 1)))
            assert 0 <= p.low <= p.accuracy <= p.high <= 1


def test_one_class(fashion_prior, real, tmp_path):
    "Every answer of its students is right."
    from psr_nb.prior import Prior

    prior = Prior.from_pretrained('fashion', classes=['Coat'])
    one = Pool.sample(prior, n_per_class=4, path=tmp_path / 'one', num_inference_steps=2, progress=False)
    with pytest.raises(PSRError, match='two classes or more, found 1. A student of one class learns nothing'):
        measure(one, real)
    with pytest.raises(PSRError, match='two classes or more, found 1. A student of one class learns nothing'):
        compare_sets(one.images[:2][None], one.labels[:2], real.restrict(['Coat']))
    assert not (one.path / 'worth').exists()


@pytest.mark.parametrize(
    ('name', 'values'),
    [
        ('seed', (-1, 0.5, None, 'x', True)),
        ('most', (0, 7, -1, 8.0, None)),
        ('trials', (0, -5, 1.5, None)),
        ('generation', (0, -1, 2.5, 'x')),
        ('workers', (0, -1, 1.5)),
        ('students', (3, 16.0, True, -1)),
        ('protocol', (5, None, {})),
    ],
)
def test_numbers_of_a_measurement(pool, real, name, values):
    for value in values:
        with pytest.raises(PSRError, match=f'^argument {name}: expected '):
            measure(pool, real, **{name: value})
    assert not (pool.path / 'worth').exists()


def test_other_things_in_the_place_of_a_pool_or_a_student(pool, real):
    for wrong in (str(pool.path), pool.path, None, 5):
        with pytest.raises(PSRError, match=r'argument pool: expected a Pool, found .*Open it first: Pool.open\(PATH\)'):
            measure(wrong, real)
    for wrong in (5, '', 'convnet99', []):
        with pytest.raises(PSRError, match='student'):
            measure(pool, real, student=wrong)


def test_the_student_is_that_of_the_size(pool, real, monkeypatch):
    "As a contest has it; and what was measured at this size before is the same measurement."
    first = lambda **more: next(measure_worth(pool, real, 1, 16, BRIEF, trials=10, device='cpu', **more)).worth.about
    assert first()['student'] == 'convnet3' and first()['key'] == first(student='convnet3')['key']
    monkeypatch.setattr(worth_module, 'student_of_size', lambda size: f'convnet{size // 16}')
    assert first()['student'] == 'convnet2'


@pytest.mark.slow
def test_what_is_in_the_way_has_to_go(measured, real):
    pool, worth = measured
    folder = pool.path / 'worth' / worth.about['key'][:16]
    for stem in ('trials', 'students-000'):
        file = next(folder.glob(f'{stem}-*'))
        content = file.read_bytes()
        file.unlink()
        file.mkdir()
        with pytest.warns(UserWarning), pytest.raises(PSRError, match='folder is in the way. Remove it, and measure'):
            measure(pool, real)
        file.rmdir()
        file.write_bytes(content)
    (folder / 'worth.json').unlink()
    (folder / 'worth.json').mkdir()
    with pytest.raises(PSRError, match='folder is in the way. Remove it, and measure'):
        measure(pool, real)
    shutil.rmtree(pool.path / 'worth')
    (pool.path / 'worth').write_text('')
    with pytest.raises(PSRError, match='file is in the way. Remove it, and measure'):
        measure(pool, real)


def test_numbers_of_a_comparison(real):
    sets, labels = real.per_class(1).images[None], real.per_class(1).labels
    for name, values in dict(students=(0, 1.5, None), rounds=(0, 1.5), seed=(-1, 0.5), most=(0, 2.5)).items():
        for value in values:
            with pytest.raises(PSRError, match=f'argument {name}: expected a whole number'):
                compare_sets(sets, labels, real, **{name: value})
    with pytest.raises(PSRError, match='argument sets: expected at least one set'):
        compare_sets(sets[:0], labels, real)


@pytest.mark.slow
def test_a_selection_knows_the_accuracy_that_is_expected(measured, monkeypatch):
    pool, worth = measured
    chosen = select(pool, 2, gate=False, weights=Weights(reliability=0))
    assert chosen.expected() == worth.predict(chosen)
    assert select(pool, 3, 'random').expected() is None
    done = here('select', pool.path, '--ipc', '2', '--method', 'random')
    lines = done.stdout.splitlines()
    p = worth.predict(select(pool, 2, 'random'))
    assert done.returncode == 0 and lines[-1].endswith('.json'), done.stderr
    assert lines[-2] == f'expected accuracy {p.accuracy:.1%} ({p.low:.1%} to {p.high:.1%})'
    assert 'expected accuracy' not in here('select', pool.path, '--ipc', '3', '--method', 'random').stdout


def test_notes_are_printed(pool):
    pool.add_scores({'worth': np.arange(80.0), 'worth_ipc': np.full(80, 2.0), 'worth_share': np.ones(80)})
    words = ['select', pool.path, '--worth', '1']
    done = here(*words, '--no-gate', '--reliability', '0', '--ipc', '5')
    assert (
        ', 1 note\nworth was measured for 2 images per class and does not count for 5: psr worth … --ipc 5 '
        in done.stdout
    ), done.stderr
    assert ', 1 note\nherding takes no weights\n' in here(*words, '--method', 'herding', '--ipc', '2').stdout
    pool.add_scores({'worth_share': np.full(80, -0.1)})
    done = here(*words, '--no-gate', '--reliability', '0', '--ipc', '2')
    assert '\nmeasured worth explains nothing of the differences between sets' in done.stdout, done.stderr


@pytest.mark.parametrize(
    ('columns', 'said'),
    [
        (dict(worth_ipc=np.full(80, -1.0)), 'column worth_ipc .* a whole number from 1 up, found -1'),
        (dict(worth_ipc=np.full(80, 2.5)), 'column worth_ipc .* a whole number from 1 up, found 2.5'),
        (dict(worth_ipc=np.arange(1.0, 81)), 'column worth_ipc .* one number for all candidates, found 80: 1, 2'),
        (dict(worth_share=np.arange(80.0)), 'column worth_share .* one number for all candidates'),
        (dict(worth_share=np.full(80, 40.0)), 'column worth_share .* a share of at most 1, found 40'),
        (dict(worth_2=np.arange(80.0)), 'column worth_2_share .* because the table has the column worth_2, found no'),
        (dict(worth_1_share=np.ones(80)), 'column worth_1 .* because the table has the column worth_1_share'),
        (dict(worth_2=np.arange(80.0), worth_2_share=np.ones(80)), 'column worth_ipc .* because the table has'),
    ],
)
def test_columns_that_cannot_be(pool, columns, said):
    pool.add_scores({'worth': np.arange(80.0), **columns})
    with pytest.raises(PSRError, match=f'{said}.*Measure worth again'):
        select(pool, 2, gate=False, weights=Weights(reliability=0))


def edited(pool, **columns):
    "The pool, when its table has been changed by another program, which keeps no hash."
    file = pool.path / 'candidates.parquet'
    pd.read_parquet(file).assign(**columns).to_parquet(file)
    return Pool.open(pool.path)


def test_a_table_that_lost_a_part_by_hand(pool):
    "Worth that is there for a budget, and for none as well; values beyond numbers; words."
    pool.add_scores(columns_for(2))
    file = pool.path / 'candidates.parquet'
    whole = file.read_bytes()
    with pytest.raises(PSRError, match='column worth of the pool.* because the table has the column worth_2, found no'):
        pd.read_parquet(file).drop(columns='worth').to_parquet(file)
        select(Pool.open(pool.path), 2, gate=False, weights=Weights(reliability=0))
    file.write_bytes(whole)
    with pytest.raises(PSRError, match='column worth of the pool.* finite numbers .*, found infinite ones'):
        select(edited(pool, worth=np.inf), 2, gate=False, weights=Weights(reliability=0))
    with pytest.raises(PSRError, match='column note of .* expected numbers, found .*string. Take that column out'):
        len(edited(pool, worth=0.0, note='good').table)


def columns_for(*budgets, values=None):
    "What a measurement for each budget in turn writes."
    values = np.random.default_rng(0).normal(size=80) if values is None else values
    one = np.ones(80)
    own = {k: v for n in budgets for k, v in ((f'worth_{n}', values + n), (f'worth_{n}_share', one))}
    return own | {'worth': values + budgets[-1], 'worth_ipc': budgets[-1] * one, 'worth_share': one}


def test_a_selection_without_worth_stays_what_it_is(pool, tmp_path):
    "A rule without weights, a weight of 0, a budget that worth says nothing about: measuring again changes nothing."
    pool.add_scores(columns_for(2))
    plain = dict(gate=False, weights=Weights(reliability=0, worth=0))
    made = [select(pool, 2, 'random'), select(pool, 2, **plain), select(pool, 5, gate=False, weights=Weights(0))]
    files = [s.save(tmp_path) for s in made]
    assert 'does not count for 5' in made[2].notes[0]
    terms = [s.explain(0, 1).terms for s in made]
    weights = Weights(reliability=0)
    assert np.allclose(made[0].objective(weights), select(pool, 2, 'random').objective(weights))
    far, flat = select(pool, 5, 'random'), replace(weights, worth=0.0)
    assert np.allclose(far.objective(weights), far.objective(flat))  # worth of two says nothing about five
    pool.add_scores(columns_for(2, 4, values=np.arange(80.0) ** 2))
    opened = [Selection.open(file, pool) for file in files]
    assert [s.explain(0, 1).terms for s in opened] == terms


def test_worth_that_was_given_is_remembered(pool, tmp_path):
    "A contest gives its rules one measurement; the file of the winner opens with that one, not with the latest."
    pool.add_scores(columns_for(2, 4))
    prepared, weights = prepare(pool), Weights(reliability=0, worth=1)
    given = object.__new__(Worth)  # values and budget are all that is given
    given.values, given.about = pool.table['worth_2'].to_numpy().reshape(10, 8), dict(ipc=2)
    given.explained = dict(all=1.0)
    given.give_to(prepared.problems)
    chosen, same = prepared.select(2, weights=weights, gate=False), select(pool, 2, weights=weights, gate=False)
    assert chosen.config == same.config and chosen.config['worth_for'] == 2 and chosen.key == same.key
    opened = Selection.open(chosen.save(tmp_path), pool)
    assert opened.explain(0, 1).terms == pytest.approx(chosen.explain(0, 1).terms)


def test_candidates_that_were_not_measured_are_said(pool):
    values = np.random.default_rng(0).normal(size=80)
    values[4::8] = np.nan
    pool.add_scores(columns_for(2, values=values))
    notes = select(pool, 2, gate=False, weights=Weights(reliability=0)).notes
    words = 'candidates whose worth is not known count as the mean of their class'
    assert notes == [f'{words}: psr worth … --ipc 2 measures it']
    assert select(pool, 2, gate=False, weights=Weights(reliability=0), at_once=3).notes == notes
    assert not select(pool, 2, gate=False, weights=Weights(reliability=0, worth=0)).notes


def test_columns_that_do_not_know(pool):
    "A column without numbers says as much as none. Candidates that came later have no numbers."
    values, some = np.random.default_rng(0).normal(size=80), np.full(80, np.nan)
    ids = lambda: [i.tolist() for i in select(pool, 2, gate=False, weights=Weights(reliability=0, worth=1)).ids]
    pool.add_scores({'worth': values})
    plain = ids()
    pool.add_scores({'worth_share': some, 'worth_ipc': some})
    assert ids() == plain
    some = some.copy()
    some[5] = 2.0
    pool.add_scores({'worth_share': some / 2, 'worth_ipc': some})
    assert ids() == plain


def test_the_unit_of_worth_does_not_matter(pool):
    values = np.random.default_rng(0).normal(size=80)
    found = []
    for unit in (1.0, 1e300, 1e-300, 1e-13):
        pool.add_scores({'worth': unit * values})
        chosen = select(pool, 2, gate=False, weights=Weights(reliability=0, worth=1))
        found.append(([i.tolist() for i in chosen.ids], chosen.gains[0]['worth']))
    assert all(ids == found[0][0] and np.allclose(gain, found[0][1]) for ids, gain in found)
    assert standardised(np.full(3, 0.1)).tolist() == [0.0] * 3


@pytest.mark.parametrize('name', ['worth', 'reliability', 'uncertainty', 'representativeness', 'diversity'])
def test_weights_beyond_sums(name):
    with pytest.raises(PSRError, match=f'weight {name}: expected a number from -1e\\+100 to 1e\\+100, found 1e\\+308'):
        Weights(**{name: 1e308})
    with pytest.raises(PSRError, match='weight scale: expected at least'):
        Weights(scale=1e-308)


@pytest.mark.slow
def test_a_finished_measurement_is_opened_without_trials(measured, monkeypatch):
    "What trials say of its sets is kept; where that is damaged, it is computed again."
    pool, worth = measured
    asked, scores = [], QuickTrial.scores
    monkeypatch.setattr(QuickTrial, 'scores', lambda trial, sets: asked.append(len(sets)) or scores(trial, sets))
    opened = Worth.open(pool, 2)
    assert not asked and opened.calibration is not None and worth.calibration is not None
    assert opened.calibration.weights.tolist() == worth.calibration.weights.tolist()
    next((pool.path / 'worth').glob('*/tried-*')).write_bytes(b'')
    with pytest.warns(UserWarning, match='cut short .*computed again'):
        again = Worth.open(pool, 2)
    assert asked and again.calibration is not None
    assert np.allclose(again.calibration.weights, opened.calibration.weights)
