from typing import Any

import pytest
import timm.data.auto_augment as timms
import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from convatlas.data.batches import generator
from convatlas.data.colour import (
    EIGENVALUES,
    OPERATIONS,
    PRINCIPAL,
    RANGES,
    SPACES,
    Lighting,
    Look,
    Photometric,
    RandAugment,
    TrivialAugment,
    moved,
)
from convatlas.mistake import Mistake

NAMES = {
    "Identity": "identity", "ShearX": "shear x", "ShearY": "shear y", "TranslateX": "translate x", "TranslateY": "translate y",
    "Rotate": "rotate", "Brightness": "brightness", "Color": "saturation", "Contrast": "contrast", "Sharpness": "sharpness",
    "Posterize": "posterize", "Solarize": "solarize", "AutoContrast": "autocontrast", "Equalize": "equalize",
}  # fmt: skip
PHOTO = (
    torch.nn.functional.interpolate(torch.rand(6, 3, 5, 6, generator=generator(0)), (37, 50), mode="bicubic").mul(255).clamp(0, 255).round()
)
EVERY = (
    Lighting(), Photometric(hue=0.1), TrivialAugment(), TrivialAugment(interpolation="nearest", fill=(9.0, 8.0, 7.0)),
    RandAugment(), RandAugment(m=7, std=0.5, increasing=True, kind="timm"), RandAugment(n=3, m=9, std=0.5, kind="timm"),
)  # fmt: skip


def operate(x, name, amount, look=None):
    look = look or Look()
    return OPERATIONS[name](x, amount) if name in OPERATIONS else moved(x, name, amount, look)


@pytest.mark.parametrize("augment", EVERY, ids=str)
def test_the_same_generator_gives_the_same_bits_and_each_picture_draws_for_itself(augment):
    x = PHOTO[:1].expand(30, -1, -1, -1)
    torch.manual_seed(0)
    found = augment(x, generator(7))
    torch.manual_seed(1)
    assert torch.equal(found, augment(x, generator(7)))
    assert not torch.equal(found, augment(x, generator(8)))
    assert len({picture.numpy().tobytes() for picture in found}) > 10
    assert (found.shape, found.dtype) == (x.shape, x.dtype)
    assert torch.equal(x[0], PHOTO[0])


@pytest.mark.parametrize("augment", EVERY[1:], ids=str)
def test_a_picture_is_changed_as_if_it_were_alone(augment, monkeypatch):
    """Pictures that draw the same operation go through it together."""
    x = torch.cat([PHOTO] * 5)
    together = augment(x, generator(3))
    apart: Any = {name: lambda x, amount, f=f: torch.cat([f(one[None], amount) for one in x]) for name, f in OPERATIONS.items()}
    monkeypatch.setattr("convatlas.data.colour.OPERATIONS", apart)
    monkeypatch.setattr("convatlas.data.colour.moved", lambda x, *rest: torch.cat([moved(one[None], *rest) for one in x]))
    assert torch.equal(augment(x, generator(3)), together)


def test_lighting_adds_one_colour_to_a_picture_spread_as_the_eigenvalues_say():
    x = PHOTO[:1].expand(20_000, -1, -1, -1)[:, :, :2, :2]
    added = Lighting(0.1)(x, generator(0)) - x
    assert (added - added[:, :, :1, :1]).abs().max() < 1e-4
    along = added[:, :, 0, 0] @ torch.tensor(PRINCIPAL)
    torch.testing.assert_close(along.std(0), 25.5 * torch.tensor(EIGENVALUES), rtol=0.03, atol=0)
    with pytest.raises(Mistake, match="there are 1 channels"):
        Lighting()(x[:, :1], generator(0))


def test_principal_components_are_at_right_angles():
    torch.testing.assert_close(torch.tensor(PRINCIPAL).T @ torch.tensor(PRINCIPAL), torch.eye(3), atol=1e-3, rtol=0)


def test_photometric_distortions_are_torchvisions_in_the_order_drawn():
    bounds = {"brightness": 0.4, "contrast": 0.3, "saturation": 0.2, "hue": 0.1}
    found = Photometric(**bounds)(PHOTO, generator(4))
    order, draw = torch.rand(2, 6, 4, generator=generator(4))
    orders = set()
    for i, picture in enumerate(PHOTO.to(torch.uint8)):
        for k in order[i].argsort().tolist():
            name = tuple(bounds)[k]
            factor = (name != "hue") + bounds[name] * (2 * draw[i, k].item() - 1)
            picture = getattr(F, f"adjust_{name}")(picture, factor)  # noqa: PLW2901
        assert torch.equal(found[i], picture.float())
        orders.add(tuple(order[i].argsort().tolist()))
    assert len(orders) > 3
    assert torch.equal(Photometric(brightness=0, contrast=0, saturation=0)(PHOTO, generator(0)), PHOTO)


def test_photometric_factors_reach_from_bound_to_bound():
    grey = torch.full((3_000, 3, 1, 1), 100.0)
    found = Photometric(brightness=0.5, contrast=0, saturation=0)(grey, generator(0))[:, 0, 0, 0]
    assert (found.min(), found.max()) == (50, 149)
    assert found.mean().item() == pytest.approx(100, abs=2)


@pytest.mark.parametrize(("column", "theirs"), [("torchvision", v2.RandAugment), ("wide", v2.TrivialAugmentWide)])
def test_spaces_are_torchvisions(column, theirs):
    space = {name: row[SPACES.index(column)] for name, row in RANGES.items() if row[SPACES.index(column)] is not None}
    assert set(space) == {NAMES[name] for name in theirs._AUGMENTATION_SPACE}
    for name, (magnitudes, signed) in theirs._AUGMENTATION_SPACE.items():
        span, levels = space[NAMES[name]], magnitudes(31, 100, 100)
        if levels is None:
            assert span == ()
            continue
        ours = torch.tensor([span[0] + (span[1] - span[0]) * k / 30 for k in range(31)])
        ours = ours.int() if name == "Posterize" else ours / 255 if name == "Solarize" else ours
        ours = ours * 100 if name.startswith("Translate") and column == "torchvision" else ours
        torch.testing.assert_close(ours, levels, check_dtype=False)
        assert signed == (span[0] == 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_operations_are_torchvisions(name, interpolation):
    oracle, fill = v2.RandAugment(interpolation=v2.InterpolationMode(interpolation), fill=[9.0, 8.0, 7.0]), (9.0, 8.0, 7.0)
    x = PHOTO.to(torch.uint8)
    for amount in {"Posterize": (2.0, 5.0), "Solarize": (0.0, 0.3, 1.0), "Rotate": (-20.0, 70.0)}.get(name, (-0.4, 0.0, 0.25)):
        theirs = amount * x.shape[3 if name == "TranslateX" else 2] if name.startswith("Translate") else amount
        ours = operate(x, NAMES[name], amount * 255 if name == "Solarize" else amount, Look(fill=fill, interpolation=interpolation))
        expected = oracle._apply_image_or_video_transform(x, name, theirs, interpolation=oracle.interpolation, fill=oracle._fill)
        assert torch.equal(ours, expected), amount


TIMMS = {
    "shear x": "ShearX", "translate x": "TranslateXRel", "rotate": "Rotate", "brightness": "Brightness", "saturation": "Color",
    "contrast": "Contrast", "sharpness": "Sharpness", "posterize": "Posterize", "solarize": "Solarize", "solarize add": "SolarizeAdd",
}  # fmt: skip


@pytest.mark.parametrize("increasing", [False, True])
@pytest.mark.parametrize("name", TIMMS)
def test_strengths_are_timms(name, increasing):
    column = "timm increasing" if increasing else "timm"
    theirs = TIMMS[name] if f"{TIMMS[name]}Increasing" not in timms.NAME_TO_OP or not increasing else f"{TIMMS[name]}Increasing"
    low, high = RANGES[name][SPACES.index(column)]
    for level in (0.0, 1.3, 5.0, 7.0, 7.6, 10.0):
        amount = low + (high - low) * level / 10
        (expected,) = timms.LEVEL_TO_ARG[theirs](level, {})
        if name in ("brightness", "saturation", "contrast", "sharpness"):
            expected = abs(expected - 1) if increasing else expected - 1
        if name in ("posterize", "solarize add"):
            assert int(amount) == expected, level
        else:
            assert amount == pytest.approx(abs(expected) if low == 0 else expected, abs=1 if name == "solarize" else 1e-6), level


@pytest.mark.parametrize("name", ["solarize add", "posterize", "solarize", "invert", "brightness", "saturation", "equalize"])
def test_operations_are_timms_on_pillow(name):
    x = PHOTO[0].to(torch.uint8)
    amount = {"solarize add": 70, "posterize": 2, "solarize": 77, "brightness": -0.63, "saturation": 0.63}.get(name, 0)
    picture = Image.fromarray(x.permute(1, 2, 0).numpy())
    argument = [1 + amount] if name in ("brightness", "saturation") else [amount] if amount else []
    theirs = timms.NAME_TO_OP[TIMMS.get(name, name.capitalize())](picture, *argument)
    ours = Image.fromarray(operate(x[None], name, amount)[0].permute(1, 2, 0).numpy())
    difference = (F.pil_to_tensor(ours).int() - F.pil_to_tensor(theirs).int()).abs()
    assert difference.max() <= (1 if name in ("brightness", "saturation") else 0)


def test_timms_leaves_each_operation_out_every_other_time_and_draws_their_strength():
    x = torch.full((8_000, 3, 4, 4), 100.0)
    found = RandAugment(n=1, m=7, std=0.5, increasing=True, kind="timm")(x, generator(0))[:, 0, 1, 1]
    assert (found == 155).float().mean().item() == pytest.approx(0.5 * 2 / 15, abs=0.01)  # by invert and by solarize
    darker = 1 - found[(found > 25) & (found < 50)] / 100  # a factor below 1, by .09 for each step of m
    assert darker.mean().item() == pytest.approx(7 * 0.09, abs=0.01)
    assert darker.std().item() == pytest.approx(0.5 * 0.09, abs=0.015)


def test_a_kind_that_does_not_exist_is_a_mistake():
    with pytest.raises(Mistake, match="'tensorflow'; it must be torchvision or timm"):
        RandAugment(kind="tensorflow")
