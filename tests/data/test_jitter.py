import numpy as np
import pytest
from PIL import Image

from convatlas.data.batches import Preprocess
from convatlas.data.crops import Crops
from convatlas.data.jitter import JitteredCrop
from convatlas.data.listed import open_data
from convatlas.mistake import Mistake


def boxes(crop, height, width, n=4_000):
    draw = np.random.Generator(np.random.Philox(key=[0, 0]))
    return np.array([crop.box(height, width, draw) for _ in range(n)])


@pytest.mark.parametrize(("height", "width"), [(375, 500), (900, 60), (256, 256)])
def test_windows_are_square_and_inside_and_as_wide_as_the_scales_ask(height, width):
    top, left, h, w = boxes(JitteredCrop(), height, width).T
    short = min(height, width)
    assert (h == w).all()
    assert min(top.min(), left.min()) == 0
    assert (top + h).max() == height
    assert (left + w).max() == width
    assert (h.min(), h.max()) == (round(short * 224 / 512), round(short * 224 / 256))


def test_scales_and_places_are_drawn_evenly():
    top, left, h, _ = boxes(JitteredCrop(), 3_000, 4_000).T
    bounds = ((3_000 * 224 / h, 256, 513), ((top + 0.5) / (3_001 - h), 0, 1), ((left + 0.5) / (4_001 - h), 0, 1))
    for value, low, high in bounds:
        share = np.sort((value - low) / (high - low))
        assert np.abs(share - np.linspace(0, 1, 4_000)).max() < 1.95 / 4_000**0.5  # Kolmogorov and Smirnov's bound at 0.1 %


def test_one_scale_is_alexnets_crop_of_a_picture_of_256():
    found = boxes(JitteredCrop(shorter=(256, 256)), 256, 341)
    assert {tuple(sides) for sides in found[:, 2:]} == {(224, 224)}
    assert set(found[:, 0]) == set(range(33))
    assert set(found[:, 1]) == set(range(118))


def test_crops_read_it_from_the_disk(tmp_path):
    (tmp_path / "a").mkdir()
    ramp = np.broadcast_to(np.linspace(0, 255, 80, dtype=np.uint8)[None, :, None], (60, 80, 3))
    Image.fromarray(ramp).save(tmp_path / "a" / "0.png")
    crop = JitteredCrop(size=16, shorter=(20, 40), flip=0.0)
    x, _ = Crops(open_data(tmp_path), 50, 0, Preprocess(size=16, mean=(0, 0, 0), std=(1, 1, 1)), crop, threads=0)[0]
    assert x.shape == (50, 3, 16, 16)
    slopes = (x[:, 0, :, -1] - x[:, 0, :, 0]).mean(1)  # of 1 over the picture's 80 columns, of which 24 to 48 are in the window
    assert 0.25 < slopes.min() < 0.33
    assert 0.5 < slopes.max() < 0.6


def test_a_window_larger_than_the_picture_is_a_mistake():
    with pytest.raises(Mistake, match="224 pixels at least"):
        JitteredCrop(shorter=(200, 256))
