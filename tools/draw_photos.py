"""Draws a folder of small "photos" to try things with: four classes, JPEG, some lying on their side as phones save them.

python tools/draw_photos.py FOLDER [PER_CLASS]
"""

import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDE, HIGH = 160, 120


def apple(draw: ImageDraw.ImageDraw, g: np.random.Generator, r: float) -> None:
    "A red or green disc with a stalk."
    colour = (200, 40, 40) if g.random() < 0.7 else (120, 180, 60)
    draw.ellipse((-r, -0.9 * r, r, r), fill=colour)
    draw.ellipse((-0.5 * r, -0.6 * r, -0.15 * r, -0.2 * r), fill=tuple(min(255, c + 60) for c in colour))
    draw.line((0, -0.8 * r, 0.15 * r, -1.3 * r), fill=(90, 60, 30), width=4)


def leaf(draw: ImageDraw.ImageDraw, g: np.random.Generator, r: float) -> None:
    "Two arcs with a vein."
    t = np.linspace(-1, 1, 30)
    edge = 0.45 * r * (1 - t**2)
    outline = [(r * a, e) for a, e in zip(t, edge)] + [(r * a, -e) for a, e in zip(t[::-1], edge)]
    draw.polygon(outline, fill=(60, 130 + int(g.integers(50)), 50))
    draw.line((-1.3 * r, 0, 0.9 * r, 0), fill=(190, 210, 120), width=3)


def book(draw: ImageDraw.ImageDraw, g: np.random.Generator, r: float) -> None:
    "A rectangle with a spine and a title."
    colour = tuple(int(c) for c in g.integers(40, 150, 3))
    draw.rectangle((-0.75 * r, -r, 0.75 * r, r), fill=colour)
    draw.rectangle((-0.75 * r, -r, -0.55 * r, r), fill=tuple(c // 2 for c in colour))
    draw.rectangle((-0.3 * r, -0.6 * r, 0.5 * r, -0.35 * r), fill=(230, 220, 190))


def star(draw: ImageDraw.ImageDraw, g: np.random.Generator, r: float) -> None:
    "A yellow star of five points."
    corner = lambda i: (1.1 if i % 2 else 0.45) * r
    points = [(corner(i) * math.sin(i * math.pi / 5), corner(i) * math.cos(i * math.pi / 5)) for i in range(10)]
    draw.polygon(points, fill=(235, 190 + int(g.integers(40)), 60))


class _Moved:
    "Draws around a place."

    def __init__(self, draw: ImageDraw.ImageDraw, x: float, y: float):
        self.draw, self.x, self.y = draw, x, y

    def __getattr__(self, name: str):
        def at(points, **options):
            flat = np.array(points, float).reshape(-1, 2) + (self.x, self.y)
            return getattr(self.draw, name)([tuple(p) for p in flat.tolist()], **options)

        return at


def photo(kind, g: np.random.Generator) -> Image.Image:
    "One thing on a table, in some light."
    top, bottom = g.integers(120, 230, 3), g.integers(60, 160, 3)
    shade = np.linspace(0, 1, HIGH)[:, None, None]
    ground = np.broadcast_to(top * (1 - shade) + bottom * shade, (HIGH, WIDE, 3))
    table = Image.fromarray(ground.astype(np.uint8))
    thing = Image.new('RGBA', (WIDE, WIDE), (0, 0, 0, 0))
    kind(_Moved(ImageDraw.Draw(thing), WIDE / 2, WIDE / 2), g, float(g.uniform(28, 42)))
    thing = thing.rotate(float(g.uniform(-25, 25)), Image.Resampling.BICUBIC)
    dx, dy = (int(d) for d in g.integers(-15, 16, 2))
    shadow = Image.new('RGBA', thing.size, (20, 20, 20, 90))
    table.paste(shadow, (dx + 6, dy + 6 - 20), thing.getchannel('A').point(lambda a: a // 3))
    table.paste(thing, (dx, dy - 20), thing)
    array = np.asarray(table.filter(ImageFilter.GaussianBlur(0.8)), float)
    array = array * g.uniform(0.75, 1.15) + g.normal(0, 6, array.shape)
    return Image.fromarray(array.clip(0, 255).astype(np.uint8))


def draw_photos(folder: Path, per_class: int = 10, seed: int = 0) -> Path:
    "Writes the folder, a sub-folder for each class."
    g = np.random.default_rng(seed)
    for kind in (apple, book, leaf, star):
        (folder / kind.__name__).mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            picture, exif = photo(kind, g), Image.Exif()
            exif[0x010F] = 'a phone'
            if i % 3 == 0:  # as a phone writes what was taken upright
                picture, exif[0x0112] = picture.transpose(Image.Transpose.ROTATE_90), 6
            picture.save(folder / kind.__name__ / f'IMG_{i:04d}.JPG', 'JPEG', quality=90, exif=exif)
    return folder


if __name__ == '__main__':
    draw_photos(Path(sys.argv[1]), *(int(n) for n in sys.argv[2:]))
