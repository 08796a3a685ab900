import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convatlas.data import decode as module
from convatlas.data.decode import cut, decode, decode_part, fit, resize
from convatlas.mistake import Mistake


def photo(height=211, width=305, seed=0):
    """Something with edges and slopes, (H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 120 * np.sin(x / (5 + 7 * c) + y / (9 - 2 * c) + seed) for c in range(3)]
    return np.stack(waves, -1).astype(np.uint8)


def jpeg(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


KINDS = {
    "4:2:0": {"subsampling": 2},
    "4:4:4": {"subsampling": 0},
    "progressive": {"progressive": True},
    "restart marks": {"restart_marker_rows": 2},
}


@pytest.mark.skipif(module.simplejpeg is None, reason="simplejpeg is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_the_quick_decoder_gives_what_pillow_gives(kind, monkeypatch):
    data = jpeg(photo(), **KINDS[kind])
    quick = decode(data, "a")
    parts = [(0, 0, 100, 100), (90, 10, 121, 295), (64, 64, 48, 48), (0, 0, 211, 305), (3, 5, 32, 32), (100, 100, 13, 13)]
    cuts = [decode_part(data, "a", lambda h, w, box=box: box, 32, 32) for box in parts]
    monkeypatch.setattr(module, "simplejpeg", None)
    plain = decode(data, "a")
    assert torch.equal(quick, plain)
    for box, part in zip(parts, cuts, strict=True):
        assert torch.equal(part, cut(plain, box, 32, 32)), box


@pytest.mark.skipif(module.simplejpeg is None, reason="simplejpeg is not installed")
@pytest.mark.parametrize("chroma", ["444", "422", "440", "420", "411", "Gray"])
def test_a_part_is_the_same_wherever_it_ends(chroma):
    data = module.simplejpeg.encode_jpeg(photo(64, 80), colorsubsampling=chroma)
    whole = decode(data, "a")
    for end in range(16, 65):
        assert torch.equal(decode_part(data, "a", lambda h, w, end=end: (end - 16, 0, 16, 80), 16, 80), whole[:, end - 16 : end]), end


def test_a_part_has_memory_of_its_own():
    data = [jpeg(photo(seed=seed)) for seed in range(2)]
    first = decode_part(data[0], "a", lambda h, w: (5, 5, 32, 32), 32, 32)
    kept = first.clone()
    decode_part(data[1], "b", lambda h, w: (5, 5, 32, 32), 32, 32)
    assert torch.equal(first, kept)


@pytest.mark.parametrize("cut_off", [100, 2000])
def test_a_part_of_a_file_cut_short_is_refused(cut_off):
    data = jpeg(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))[:-cut_off]
    with pytest.raises(Mistake, match=r"mine\.jpg cannot be read as a picture"):
        decode_part(data, "mine.jpg", lambda h, w: (0, 0, 20, 20), 20, 20)


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_are_turned_as_exif_says(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    data = jpeg(photo(), exif=exif, quality=95)
    with Image.open(io.BytesIO(data)) as file:
        size = (211, 305) if turn < 5 else (305, 211)
        assert decode(data, "a").shape[1:] == size
        assert (file.getexif()[0x0112] == 1) == (module.plain_size(data) is not None) or module.simplejpeg is None


@pytest.mark.parametrize("block", [b"", b"II", b"XX*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff"])
def test_damaged_exif_does_no_harm(block):
    assert 0 <= module.orientation(block) <= 1


@pytest.mark.parametrize("size", [(32, 32), (224, 224), (300, 100)])
def test_resizing_is_pillows(size):
    pixels = photo()
    ours = resize(torch.from_numpy(pixels).permute(2, 0, 1), *size).permute(1, 2, 0).numpy()
    theirs = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR))
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_fit_takes_the_middle_or_all():
    x = torch.zeros(3, 10, 30, dtype=torch.uint8)
    x[:, :, 10:20] = 255
    assert (fit(x, 10, "crop") == 255).all()
    assert fit(x, 9, "squash")[0, 0, [0, -1]].max() == 0


def test_crops_of_photographs_are_pillows_to_40_decibels():
    if "CONVATLAS_DATA" not in os.environ:
        pytest.skip("CONVATLAS_DATA is not set")
    draw = np.random.default_rng(0)
    for file in sorted((Path(os.environ["CONVATLAS_DATA"]) / "imagenet-sample" / "images").iterdir())[:40]:
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
        h, w = (int(draw.integers(side // 4, side + 1)) for side in (picture.height, picture.width))
        box = int(draw.integers(picture.height - h + 1)), int(draw.integers(picture.width - w + 1)), h, w
        ours = decode_part(file.read_bytes(), file.name, lambda *_, box=box: box, 224, 224).permute(1, 2, 0).numpy()
        corners = (box[1], box[0], box[1] + w, box[0] + h)
        theirs = np.asarray(picture.crop(corners).resize((224, 224), Image.Resampling.BILINEAR))
        assert 10 * np.log10(255**2 / max(1e-4, np.mean((ours.astype(float) - theirs) ** 2))) >= 40, file.name
