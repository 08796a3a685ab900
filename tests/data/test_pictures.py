import io

import numpy as np
import pytest
import torch
from PIL import Image

from convatlas.data.mnist import as_digit, load
from convatlas.data.pictures import read_picture
from convatlas.mistake import Mistake

DIGIT = load("test").x[0, 0].numpy()  # a 7, white on black


def save(path, picture, **options):
    picture.save(path, **options)
    return path


def rotated(path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn by 90 degrees to see it upright
    return save(path, Image.fromarray(DIGIT).rotate(90, expand=True), exif=exif)


def deep(path):
    return save(path, Image.fromarray(DIGIT.astype(np.uint16) * 257))


def palette(path):
    return save(path, Image.fromarray(DIGIT).convert("RGB").quantize(64))


def transparent_palette(path):
    picture = Image.fromarray(DIGIT).convert("RGBA")
    picture.putalpha(Image.fromarray(DIGIT))
    return save(path, picture.quantize(64))


def alpha(path, ink):
    picture = Image.new("RGBA", (28, 28), (ink, ink, ink, 0))
    picture.putalpha(Image.fromarray(DIGIT))
    return save(path, picture)


FORMS = {
    "grey png": (lambda p: save(p / "a.png", Image.fromarray(DIGIT)), 0),
    "colour png": (lambda p: save(p / "a.png", Image.fromarray(DIGIT).convert("RGB")), 0),
    "jpeg": (lambda p: save(p / "a.jpg", Image.fromarray(DIGIT), quality=95), 20),
    "cmyk jpeg": (lambda p: save(p / "a.jpg", Image.fromarray(DIGIT).convert("CMYK"), quality=95), 25),
    "webp": (lambda p: save(p / "a.webp", Image.fromarray(DIGIT).convert("RGB"), lossless=True), 1),
    "gif": (lambda p: save(p / "a.gif", Image.fromarray(DIGIT)), 1),
    "animated gif": (
        lambda p: save(p / "a.gif", Image.fromarray(DIGIT), save_all=True, append_images=[Image.fromarray(255 - DIGIT)]),
        1,
    ),
    "bmp": (lambda p: save(p / "a.bmp", Image.fromarray(DIGIT)), 0),
    "one bit": (lambda p: save(p / "a.png", Image.fromarray(DIGIT > 127)), 128),
    "16 bit": (lambda p: deep(p / "a.png"), 0),
    "16 bit tiff": (lambda p: deep(p / "a.tiff"), 0),
    "palette": (lambda p: palette(p / "a.png"), 8),
    "palette with alpha": (lambda p: transparent_palette(p / "a.png"), 140),
    "white ink on nothing": (lambda p: alpha(p / "a.png", 255), 1),
    "black ink on nothing": (lambda p: alpha(p / "a.png", 0), 1),
    "turned by exif": (lambda p: rotated(p / "a.jpg"), 40),
    "dark on light": (lambda p: save(p / "a.png", Image.fromarray(255 - DIGIT)), 0),
    "wrong ending": (lambda p: save(p / "a.txt", Image.fromarray(DIGIT), format="png"), 0),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_digit_is_the_same_digit_in_any_form(tmp_path, form):
    make, bound = FORMS[form]
    got = as_digit(read_picture(make(tmp_path), 1))
    assert got.shape == (1, 28, 28)
    assert got.dtype == torch.uint8
    assert np.abs(got[0].numpy().astype(int) - DIGIT).max() <= bound


def test_colour_keeps_its_channels(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert torch.equal(read_picture(save(tmp_path / "a.png", Image.fromarray(picture)), 3), torch.from_numpy(picture).permute(2, 0, 1))


@pytest.mark.parametrize("side", [20, 57, 300])
def test_a_digit_of_another_size_is_scaled_and_centred_as_mnist_was(side):
    large = Image.fromarray(DIGIT).resize((side, side), Image.Resampling.BICUBIC)
    canvas = np.full((side + 90, side + 30), 255, np.uint8)
    canvas[60 : 60 + side, 5 : 5 + side] = 255 - np.asarray(large)
    got = as_digit(torch.from_numpy(canvas)[None]).float()[0]
    want = torch.from_numpy(DIGIT).float()
    assert torch.corrcoef(torch.stack([got.flatten(), want.flatten()]))[0, 1] > 0.85


def test_an_empty_page_is_empty():
    assert as_digit(torch.full((1, 90, 70), 250, dtype=torch.uint8)).sum() == 0


def png(width, height):
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "png")
    return out.getvalue()


UNREADABLE = {
    "empty": (b"", "cannot be read as a picture"),
    "text": (b"hello, I am a jpeg", "cannot be read as a picture"),
    "cut short": (png(300, 300)[:60], "cannot be read as a picture"),
    "too large": (png(20_000, 10_001), "exceeds limit of 178956970 pixels"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_picture_is_refused_by_name(tmp_path, case):
    content, reason = UNREADABLE[case]
    path = tmp_path / "b.jpg"
    path.write_bytes(content)
    with pytest.raises(Mistake, match=reason) as error:
        read_picture(path, 1)
    assert str(path) in str(error.value)


def test_a_missing_picture_and_a_folder_are_refused(tmp_path):
    with pytest.raises(Mistake, match="No such file"):
        read_picture(tmp_path / "none.png", 1)
    with pytest.raises(Mistake, match="Is a directory"):
        read_picture(tmp_path, 1)
