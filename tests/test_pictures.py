"Image files of all kinds become the bytes that a viewer would show, or a sentence with the file's name."

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, PngImagePlugin

from psr_nb.core import PSRError
from psr_nb.pictures import decode_image, decode_images


def colours(size=(32, 24), seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


@pytest.mark.parametrize('orientation', range(1, 9))
def test_photos_are_upright(tmp_path, orientation):
    image = colours()
    tag = image.getexif()
    tag[0x0112] = orientation
    image.save(tmp_path / 'photo.png', exif=tag)
    want = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / 'photo.png')))
    assert (decode_image(tmp_path / 'photo.png') == want.transpose(2, 0, 1)).all()


@pytest.mark.parametrize('ending', ['png', 'tif'])
@pytest.mark.parametrize('channels', [None, 1, 3])
def test_sixteen_bits_keep_their_range(tmp_path, ending, channels):
    ramp = np.linspace(0, 65535, 1024).astype(np.uint16).reshape(32, 32)
    Image.fromarray(ramp).save(tmp_path / f'ramp.{ending}')
    got = decode_image(tmp_path / f'ramp.{ending}', channels=channels)
    assert len(got) == (channels or 1) and np.abs(got[0].astype(int) - np.round(ramp / 257)).max() <= 1


@pytest.mark.parametrize('low, high', [(0, 1), (0, 255), (-3, 900)])
def test_float_greys_are_scaled_not_clipped(tmp_path, low, high):
    ramp = np.linspace(low, high, 256, dtype=np.float32).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / 'heat.tif')
    got = decode_image(tmp_path / 'heat.tif')
    assert got.min() == 0 and got.max() == 255 and len(np.unique(got)) > 200
    ramp[0, 0] = np.nan
    Image.fromarray(ramp).save(tmp_path / 'hole.tif')
    with pytest.raises(PSRError, match='hole.tif.*finite'):
        decode_image(tmp_path / 'hole.tif')


def test_transparency_is_laid_on_white_or_on_a_colour(tmp_path):
    image = Image.new('RGBA', (4, 4), (200, 0, 0, 0))
    image.putpixel((0, 0), (200, 0, 0, 255))
    image.save(tmp_path / 'logo.png')
    image.convert('P').save(tmp_path / 'palette.png', transparency=0)
    got = decode_image(tmp_path / 'logo.png')
    assert got[:, 0, 0].tolist() == [200, 0, 0] and got[:, 1, 1].tolist() == [255, 255, 255]
    assert decode_image(tmp_path / 'logo.png', background=(0, 0, 9))[:, 1, 1].tolist() == [0, 0, 9]
    Image.new('LA', (4, 4), (7, 0)).save(tmp_path / 'grey.png')
    assert decode_image(tmp_path / 'grey.png').tolist() == np.full((1, 4, 4), 255).tolist()


@pytest.mark.parametrize(
    'mode, pixel, want', [('1', 1, [255]), ('CMYK', (0, 255, 255, 0), [255, 0, 0]), ('P', 0, [0, 0, 0])]
)
def test_other_modes(tmp_path, mode, pixel, want):
    Image.new(mode, (4, 4), pixel).save(tmp_path / 'x.tif')
    assert np.abs(decode_image(tmp_path / 'x.tif')[:, 0, 0].astype(int) - want).max() <= 2


def test_the_first_of_several_frames(tmp_path):
    frames = [Image.new('RGB', (4, 4), c) for c in ('red', 'blue')]
    frames[0].save(tmp_path / 'a.gif', save_all=True, append_images=frames[1:])
    assert decode_image(tmp_path / 'a.gif', channels=3)[:, 0, 0].tolist() == [255, 0, 0]


def test_one_coloured_image_makes_the_set_coloured():
    grey, red = Image.new('L', (4, 4), 9), Image.new('RGB', (4, 4), (255, 0, 0))
    for order in ([grey, red], [red, grey], [grey, grey, red, grey]):
        got = decode_images([(im, 'x') for im in order], len(order))
        assert got.shape[1] == 3 and got[order.index(grey)].unique().tolist() == [9]
    assert decode_images([(grey, 'x')] * 2, 2).shape == (2, 1, 4, 4)


def test_all_damaged_files_are_named(tmp_path):
    colours().save(tmp_path / 'good.png')
    whole = (tmp_path / 'good.png').read_bytes()
    info = PngImagePlugin.PngInfo()
    info.add_text('k', 'a' * 2_000_000, zip=True)
    colours().save(tmp_path / 'text.png', pnginfo=info)
    Image.new('1', (14000, 14000)).save(tmp_path / 'bomb.png')
    (tmp_path / 'torn.png').write_bytes(whole[: len(whole) // 2])
    (tmp_path / 'empty.jpg').touch()
    files = [tmp_path / n for n in ('good.png', 'text.png', 'bomb.png', 'torn.png', 'empty.jpg')]
    for f in files[1:]:
        with pytest.raises(PSRError, match=f.name):
            decode_image(f)
    with pytest.raises(PSRError, match='4 of 5 images') as e:
        decode_images([(f, str(f)) for f in files], 5)
    assert all(f.name in str(e.value) for f in files[1:])


def test_sizes_that_differ_are_refused_and_scaled_with_size():
    items = [(colours((32, 24)), 'a'), (colours((24, 32)), 'b')]
    with pytest.raises(PSRError, match='--size'):
        decode_images(items, 2)
    assert decode_images(items, 2, size=16).shape == (2, 3, 16, 16)
    assert decode_images(items, 2, size=16).dtype == torch.uint8
