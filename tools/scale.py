"""Measures what nbs/benchmarks/scale.ipynb shows, into nbs/benchmarks/scale.json. For a machine that does nothing else.

python tools/scale.py                       about ten minutes on two cores
python tools/scale.py --part sampling       or writing, select, class: one part, the others stay as they are
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / 'nbs' / 'benchmarks' / 'scale.json'


def seconds(run):
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def sampling(candidates, rounds):
    "Seconds to sample a small pool: in this process with one thread, by one worker with one thread, by two."
    import torch

    from psr_nb.engines import Local, RayEngine
    from psr_nb.pool import Pool
    from psr_nb.prior import Prior

    torch.set_num_threads(1)
    prior, found, fingerprints = Prior.from_pretrained('fashion', device='cpu'), {}, set()

    def sample(n, path, engine):
        Pool.sample(prior, (), n, path=path, shard_size=25, progress=False, engine=engine)

    with tempfile.TemporaryDirectory() as folder:
        for name, workers in (('local', 0), ('ray, 1 worker', 1), ('ray, 2 workers', 2)):
            engine = RayEngine(workers=workers, threads=1) if workers else Local()
            start = time.perf_counter()
            sample(25, f'{folder}/warm {name}', engine)  # starts what has to start, sends the prior to each worker
            start, taken = time.perf_counter() - start, []
            for i in range(rounds):
                path, began = f'{folder}/{name} {i}', time.perf_counter()
                sample(candidates, path, engine)
                taken.append(time.perf_counter() - began)
                fingerprints.add(Pool.open(path).fingerprint)
            engine.close()
            own = dict(seconds=round(statistics.median(taken), 3), all=[round(t, 2) for t in taken])
            found[name] = own | dict(first=round(start, 2))
    assert len(fingerprints) == 1, 'one pool, whoever sampled it'
    return dict(candidates=10 * candidates, rounds=rounds, engines=found)


def writing(megabytes=5, count=40):
    "Bytes a second that the one writer of a pool takes: hashing, writing, flushing to the disk."
    import torch

    from psr_nb.core import write_atomic
    from psr_nb.shards import pack_arrays

    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        shards = [dict(images=torch.randint(0, 256, (megabytes << 20,), dtype=torch.uint8)) for _ in range(count)]

        def write():
            for i, shard in enumerate(shards):
                write_atomic(Path(folder) / str(i), pack_arrays(shard, {})[0])

        return dict(bytes_per_second=round(count * (megabytes << 20) / seconds(write)))


class Noise:
    "A prior that makes noise, as fast as it can be drawn."

    def __init__(self, classes):
        import torch

        from psr_nb.prior import SAMPLER

        self.name, self.weights_hash, self.device, self.defaults = 'noise', 'noise', torch.device('cpu'), dict(SAMPLER)
        self.classes = [f'class {i:04}' for i in range(classes)]

    def sample(self, labels, generators, **_):
        import torch

        return torch.stack([torch.randn(1, 32, 32, generator=g) for g in generators])

    def decode(self, latents):
        return (latents / 4 + 0.5).clamp(0, 1)


def select_once(path, at_once):
    "In a process of its own: memory before and at most, seconds."
    from psr_nb.pool import Pool
    from psr_nb.select import select

    pool = Pool.open(path)
    most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    before, kept = most(), {}
    taken = seconds(
        lambda: kept.update(s=select(pool, 10, 'psr', space='pixels', gate=False, weights=weights(), at_once=at_once))
    )
    print(
        json.dumps(
            dict(before=before, most=most(), seconds=taken, ids=str(hash(str([i.tolist() for i in kept['s'].ids]))))
        )
    )


def weights():
    from psr_nb.select import Weights

    return Weights(diversity=1, reliability=0, uncertainty=0)


def selecting(sizes, n_per_class=500):
    "Memory and time of a selection from pools on disk, with ten classes in memory or all."
    from psr_nb.pool import Pool

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for classes in sizes:
            path = f'{folder}/{classes}'
            Pool.sample(Noise(classes), (), n_per_class, path=path, shard_size=n_per_class, progress=False)
            bytes_ = sum(f.stat().st_size for f in Path(path).glob('shards/*'))
            chosen = set()
            for at_once in (10, 0) if classes <= 250 else (10,):
                command = [sys.executable, __file__, '--select', path, '--at-once', str(at_once)]
                environment = {**os.environ, 'PYTHONHASHSEED': '0', 'PYTHONPATH': str(ROOT)}
                done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                row = json.loads(done.stdout.splitlines()[-1])
                chosen.add(row.pop('ids'))
                rows.append(dict(classes=classes, n_per_class=n_per_class, at_once=at_once, pool_bytes=bytes_, **row))
            assert len(chosen) == 1, 'the same selection'
    return rows


def choose_once(n, whole):
    "In a process of its own: memory and processor time of a choice from one class, with its whole matrix or without."
    import torch

    from psr_nb import problems
    from psr_nb.greedy import greedy, unit_rows
    from psr_nb.selectors import SELECTORS

    torch.set_num_threads(1)
    rows = unit_rows(torch.randn(n, 512, generator=torch.Generator().manual_seed(0)))
    most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    before, began = most(), time.process_time()
    if whole:
        problems.LARGE = n
    problem = problems.Problem(0, 'one', rows, None)
    term = SELECTORS['psr'].term(problem, 50, 0, torch.ones(n, dtype=torch.bool).numpy())
    chosen, _ = greedy(term, 50, bonus=0.05 * problem.representativeness)
    print(json.dumps(dict(more=most() - before, seconds=time.process_time() - began, ids=chosen.tolist())))


def one_class(sizes=(5000, 10_000, 20_000, 100_000), largest=10_000):
    "Memory and processor time of `psr` for one class in a space of 512 dimensions: 50 of so many candidates."
    rows = []
    for n in sizes:
        chosen = []
        for whole in (False, True) if n <= largest else (False,):
            command = [sys.executable, __file__, '--choose', str(n), *['--whole'][: int(whole)]]
            environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            row = json.loads(done.stdout.splitlines()[-1])
            chosen.append(row.pop('ids'))
            rows.append(dict(candidates=n, whole=whole, **row))
        assert chosen[0] == chosen[-1], 'the same choice'
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--part', choices=['sampling', 'writing', 'select', 'class'])
    parser.add_argument('--candidates', type=int, default=150, help='per class, in the sampled pools')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--classes', type=int, nargs='+', default=[50, 250, 1000])
    parser.add_argument('--select', help=argparse.SUPPRESS)
    parser.add_argument('--at-once', type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument('--choose', type=int, help=argparse.SUPPRESS)
    parser.add_argument('--whole', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if options.select:
        return select_once(options.select, options.at_once or None)
    if options.choose:
        return choose_once(options.choose, options.whole)
    parts = dict(
        sampling=lambda: sampling(options.candidates, options.rounds),
        writing=writing,
        select=lambda: selecting(options.classes),
    )
    parts['class'] = one_class
    stored = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name, run in parts.items():
        if options.part in (None, name):
            load = os.getloadavg()[0]
            stored[name] = dict(load=round(load, 1), cores=os.cpu_count(), system=platform.system(), found=run())
            FILE.write_text(json.dumps(stored, indent=1, sort_keys=True) + '\n')
            print(name, json.dumps(stored[name]))


if __name__ == '__main__':
    main()
