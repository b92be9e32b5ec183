"""How fast an image folder is read, beside torchvision: 10,000 PNGs of 64 pixels, each way several times, the best counts.

python tools/reading_speed.py [IMAGES]
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor

from psr_nb.data import load_data
from psr_nb.describe import describe


def draw(folder: Path, n: int) -> None:
    "Smooth pictures with a little noise, in ten class folders: they compress as photos do."
    g = np.random.default_rng(0)
    for c in range(10):
        (folder / f'class{c}').mkdir()
    for i in range(n):
        coarse = Image.fromarray(g.integers(0, 256, (8, 8, 3), np.uint8)).resize((64, 64), Image.Resampling.BICUBIC)
        noisy = np.asarray(coarse).astype(int) + g.integers(-6, 7, (64, 64, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f'class{i % 10}' / f'{i:05d}.png')


def with_torchvision(folder: Path) -> torch.Tensor:
    "What one would write by hand."
    images = ImageFolder(folder)
    return torch.stack([pil_to_tensor(image) for image, _ in images])


def seconds(what, folder: Path) -> float:
    "Processor time, so that other work on the machine does not count."
    began = time.process_time()
    what(folder)
    return time.process_time() - began


if __name__ == '__main__':
    torch.set_num_threads(1)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    ways = {
        'torchvision.datasets.ImageFolder': with_torchvision,
        'load_data': load_data,
        'the report, without look-alikes': lambda f: describe(f, near=False),
        'the report (psr data)': describe,
    }
    with tempfile.TemporaryDirectory() as home:
        draw(Path(home), n)
        best = {name: min(seconds(way, Path(home)) for _ in range(3)) for name, way in ways.items()}
    first = best['torchvision.datasets.ImageFolder']
    for name, time_taken in best.items():
        print(f'{name:36} {time_taken:6.2f} s  {time_taken / first:5.2f}×')
