"""What every recipe must keep to, and what the published ones say."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from convatlas.check import published
from convatlas.data.batches import Batches
from convatlas.data.pictures import Pictures
from convatlas.mistake import Mistake
from convatlas.models import FAMILIES, MODELS, build
from convatlas.protocols import PROTOCOLS
from convatlas.recipes import FAMILIES as FILES
from convatlas.recipes import RECIPES, cifar, imagenet, ladder, vgg
from convatlas.recipes.alexnet import Biases
from convatlas.recipes.text import decode, encode
from convatlas.train import Averaged, fit

ERRORS = [figure for figures in published().values() for figure in figures if figure["quantity"] == "top1_error"]
# Per cent right, of sources that are no paper here.
RIGHT = {
    **dict(zip((f"resnet50_v1_5-imagenet-ladder-{i:02}-{name}" for i, name in enumerate(ladder.RUNGS)), (
        76.130, 76.494, 76.806, 78.606, 78.796, 79.114, 79.232, 79.510, 80.036, 80.196, 80.450, 80.674, 80.858), strict=True)),
    "resnet101_v1_5-imagenet-ladder": 81.886,
    "resnet152_v1_5-imagenet-ladder": 82.284,
    "resnext50_32x4d-imagenet-ladder": 81.198,
    "resnet50_v1_5-imagenet-a1": 80.4,
    "resnet50_v1_5-imagenet-a2": 79.8,
    "resnet50_v1_5-imagenet-a3": 78.1,
    "alexnet-imagenet-bvlc": 57.1,
    "alexnet_owt-imagenet": 57.67,
    "alexnet_owt-imagenet-torchvision": 56.522,
}  # fmt: skip
# Read in transcriptions after papers/*.toml was written.
READ_SINCE = {"alexnet-imagenet", "zfnet-imagenet", "zfnet_b-imagenet", "preresnet200-imagenet", "preresnet200-imagenet-aspect"}
PLACES = ("section", "appendix", "ours", "solver", "prototxt", ".md", ".lua", ".py", ".cfg")
EVERY = pytest.mark.parametrize("name", sorted(RECIPES))


def figures(name):
    """What papers/*.toml has of a recipe's network and error."""
    recipe = RECIPES[name]
    return [f for f in ERRORS if f["model"] == recipe.model and f["value"] == pytest.approx(recipe.published, abs=1e-6)]


def test_every_family_of_networks_has_a_recipe_with_a_published_error():
    """GoogLeNet's is that of its copy, as the paper prints no top-1 error."""
    assert len(RECIPES) >= 110
    assert len(RECIPES) == sum(len(file.RECIPES) for file in FILES)
    assert {MODELS[r.model][0] for r in RECIPES.values() if r.published is not None} == set(FAMILIES)


@EVERY
def test_it_survives_text_and_its_network_takes_its_settings(name):
    recipe = RECIPES[name]
    assert decode(json.loads(json.dumps(encode(recipe)))) == recipe
    assert name.replace("-", "_").startswith(recipe.model.replace("-", "_"))
    with torch.device("meta"):
        build(recipe.model, **dict(recipe.config))


@EVERY
def test_its_source_names_a_place_and_what_is_remembered_are_fields(name):
    recipe = RECIPES[name]
    assert any(place in recipe.source for place in PLACES), recipe.source
    assert set(recipe.remembered) <= {*vars(recipe)} - {"remembered", "source"}
    assert recipe.source.startswith("ours") <= (recipe.published is None)


@EVERY
def test_its_error_is_the_published_one_and_as_well_known_as_there(name):
    recipe = RECIPES[name]
    if recipe.published is None:
        assert "published" not in recipe.remembered
    elif name in RIGHT:
        assert recipe.published == pytest.approx(100 - RIGHT[name])
    else:
        found = figures(name)
        assert found, f"no figure of {recipe.model} is {recipe.published}"
        remembered = all(figure["trust"] == "memory" for figure in found) and name not in READ_SINCE
        assert ("published" in recipe.remembered) == remembered


@EVERY
def test_pictures_are_seen_as_the_protocol_wants_them(name):
    recipe = RECIPES[name]
    assert recipe.protocol in PROTOCOLS
    assert (recipe.crop is None) == (recipe.view is None) == (recipe.data != "imagenet")
    if recipe.crop and recipe.view:
        assert recipe.crop.size <= recipe.preprocess.size <= recipe.view.crop <= recipe.view.resize
        if recipe.protocol == "single view" and recipe.model != "preresnet200":  # which is tested on larger pictures
            assert recipe.view.crop == recipe.preprocess.size
        for height, width in ((500, 375), (333, 500), (224, 224), (90, 1000)):
            top, left, h, w = recipe.crop.box(height, width, np.random.default_rng(0))
            assert 0 <= top <= top + h <= height
            assert 0 <= left <= left + w <= width


def rate(name, passes):
    recipe = RECIPES[name]
    pictures = imagenet.PICTURES if recipe.data == "imagenet" else cifar.PICTURES
    n = min(round(passes * pictures / recipe.batch), recipe.steps - 1)
    return recipe.rate(n, recipe.steps)


@pytest.mark.parametrize(
    ("name", "printed"),
    {
        "googlenet-imagenet": {0: 0.01, 7.9: 0.01, 8.1: 0.0096, 16.1: 0.01 * 0.96**2},
        "googlenet-imagenet-bvlc": {0: 0.01, 45: 0.005},
        "alexnet_owt-imagenet": {0: 0.01, 89: 0.01 / 250},
        "resnet50_v1_5-imagenet-fair": {0: 0.1, 29: 0.1, 31: 0.01, 61: 0.001},
        "resnext50_32x4d-imagenet": {89: 0.001, 91: 0.0001},
        "wide_resnet28_10-cifar10": {59: 0.1, 61: 0.02, 121: 0.004, 161: 0.0008},
        "densenet_bc_100_12-cifar10": {149: 0.1, 151: 0.01, 226: 0.001},
        "preresnet164-cifar10": {0: 0.01, 2: 0.1, 100: 0.01, 130: 0.001},
        "preresnet1001-cifar10-batch64": {79: 0.1, 81: 0.01, 120: 0.01, 122: 0.001},
        "resnet110-cifar10-stochastic": {249: 0.1, 251: 0.01, 376: 0.001},
        "se_resnet50-imagenet": {0: 0.6, 31: 0.06, 91: 0.0006},
        "squeezenet1_0-imagenet": {0: 0.04},
        "mobilenet_v1-imagenet": {2.4: 0.045, 2.6: 0.0423},
        "mobilenet_v2-imagenet": {0.9: 0.045, 1.1: 0.0441},
        "mobilenet_v3_large-imagenet": {2.9: 0.1, 3.1: 0.099},
        "xception-imagenet": {1.9: 0.045, 2.1: 0.0423},
        "efficientnet_b0-imagenet": {0: 0.0, 5.1: 0.256 * 0.97**2, 240.1: 0.256 * 0.97**100},
        "resnet50_v1_5-imagenet-ladder-01-lr": {5: 0.5, 47.5: 0.25, 90: 0.0},
        "resnet50_v1_5-imagenet-a3": {5: 8e-3, 52.5: 4e-3, 100: 1e-6},
    }.items(),
)
def test_rates_are_the_printed_ones_at_printed_moments(name, printed):
    for passes, value in printed.items():
        assert rate(name, passes) == pytest.approx(value, rel=2e-3, abs=2e-5), passes


@pytest.mark.parametrize("name", ["alexnet-imagenet", "zfnet-imagenet", "vgg11-imagenet", "resnet50-imagenet"])
def test_rates_that_were_lowered_by_hand_fall_tenfold_three_times(name):
    recipe, wait = RECIPES[name], RECIPES[name].rate.patience
    flat = [recipe.rate(0, 1, [50.0] * n) / recipe.rate(0, 1) for n in range(1, 6 * wait)]
    assert flat == sorted(flat, reverse=True)
    assert sorted(set(np.round(flat, 9)), reverse=True) == pytest.approx([1, 0.1, 0.01, 0.001])


def test_lengths_are_the_printed_ones():
    assert imagenet.passes(90, 256) == 450_410
    assert RECIPES["vgg16-imagenet"].steps * 256 / imagenet.PICTURES == pytest.approx(74, abs=0.1)  # "370K iterations (74 epochs)"
    assert RECIPES["googlenet-imagenet-bvlc"].steps * 32 / imagenet.PICTURES == pytest.approx(60, abs=0.1)
    assert RECIPES["googlenet-imagenet"].rate.every == pytest.approx(320_000, rel=2e-3)  # BVLC's "stepsize", which are 8 passes
    assert RECIPES["efficientnet_b0-imagenet"].steps * 2 == pytest.approx(218_949, rel=1e-3)  # main.py's "train_steps", of 2,048


CHANGES = {
    "lr": {"steps", "batch", "rate", "test"},
    "trivialaugment": {"augment"},
    "long": {"steps", "rate"},
    "erasing": {"augment"},
    "smoothing": {"loss"},
    "mixup": {"mix"},
    "cutmix": {"mix"},
    "decay": {"optimiser"},
    "fixres": {"crop"},
    "ema": {"average"},
    "resize": {"view"},
    "repeated": {"repeats"},
}


def test_each_rung_of_the_ladder_is_the_one_below_with_what_it_says_changed():
    assert list(ladder.RUNGS) == ["baseline", *CHANGES]
    for (_, below), (name, rung) in pairwise(ladder.RUNGS.items()):
        changed = {field for field, value in vars(rung).items() if value != vars(below)[field]}
        assert changed - {"source"} == CHANGES[name] | {"published"}, name
        assert rung.published < below.published


def test_the_ladders_decay_is_that_of_the_reference_script():
    """1 - .00002 * 1024 * 32 / 600, once in 32 steps."""
    assert ladder.EMA.average.decay == pytest.approx(1 - 0.00002 * 1024 * 32 / 600)


SIDES = {"alexnet": 96, "googlenet": 64, "xception": 96, "squeezenet": 96}  # pixels that these need


def tiny(name, model, size, steps):
    """A recipe for a few steps of `model` on a few small pictures in memory."""
    recipe = RECIPES[name]
    own = recipe.config if model == recipe.model else ()
    return replace(
        recipe,
        model=model,
        steps=steps,
        batch=4,
        crop=None,
        view=None,
        prepare=None,
        config=own if recipe.data in ("mnist", "fashion-mnist") else (*own, ("num_classes", 5)),
        preprocess=replace(recipe.preprocess, size=size),
        precision="float32",
        layout="plain",
        protocol="single view",
    )


def run(recipe):
    """The network after the recipe's steps, and their losses."""
    torch.manual_seed(0)
    net, size = build(recipe.model, **dict(recipe.config)), recipe.preprocess.size
    x = torch.randint(256, (12, len(recipe.preprocess.mean), size, size), dtype=torch.uint8)
    pictures = Pictures(x, torch.arange(12) % 5, tuple("abcde"))
    batches = Batches(pictures, recipe.batch, 0, recipe.preprocess, recipe.augment, repeats=recipe.repeats)
    average = Averaged(net, recipe.average, recipe.steps) if recipe.average else None
    losses = [step.loss.item() for step in fit(net, recipe, batches, average=average)]
    assert average is None or average.count <= recipe.steps
    return net, losses


def stand_in(name):
    """The recipe with a small network that its loss fits."""
    recipe = RECIPES[name]
    own = recipe.data in ("mnist", "fashion-mnist") or recipe.model.startswith("googlenet")
    return tiny(name, recipe.model if own else "resnet20", 64 if own and recipe.data == "imagenet" else 32, steps=2)


def apart(name):
    """What a recipe is besides its network and what is known of it."""
    return json.dumps(encode(replace(stand_in(name), published=None, source="ours", remembered=())))


@pytest.mark.parametrize("name", sorted({apart(name): name for name in RECIPES}.values()))
def test_two_steps_go_with_a_small_network(name):
    """All recipes that differ in more than their network."""
    net, losses = run(stand_in(name))
    assert np.isfinite(losses).all()
    assert all(p.isfinite().all() for p in net.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({(recipe.model, recipe.config): name for name, recipe in RECIPES.items()}.values()))
def test_a_step_goes_with_its_own_network(name):
    model = RECIPES[name].model
    side = next((side for kind, side in SIDES.items() if model.startswith(kind)), 32 if RECIPES[name].data != "imagenet" else 64)
    _, losses = run(tiny(name, model, side, steps=1))
    assert np.isfinite(losses).all()


def test_deep_vggs_begin_with_what_the_shallow_one_learned(tmp_path):
    with torch.device("meta"):
        shallow, deep = build("vgg11").state_dict(), [build(name).state_dict() for name in vgg.DEEP]
    taken = [name for name in shallow if name.startswith(tuple(f"{part}." for part in vgg.A))]
    assert len(taken) == 2 * (4 + 3)  # weights and biases of four convolutions and three fully-connected layers
    for state in deep:
        assert [state[name].shape for name in taken] == [shallow[name].shape for name in taken]
    torch.manual_seed(0)
    other, net = build("resnet20"), build("resnet20")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    save_file(other.state_dict(), tmp_path / "a.safetensors")
    vgg.Begun(str(tmp_path / "a.safetensors"), parts=("features.conv1", "head"))(net, None)
    for name, value in net.state_dict().items():
        assert torch.equal(value, (other.state_dict() if name.startswith(("features.conv1.", "head.")) else before)[name])


def test_a_recipe_that_needs_weights_says_so_before_it_learns(tmp_path):
    net = build("resnet20")
    with pytest.raises(Mistake, match=r"none is no file: name one with --recipe\.prepare\.weights"):
        RECIPES["vgg16-imagenet"].prepare(net, None)
    (tmp_path / "x.safetensors").write_bytes(b"no weights")
    with pytest.raises(Mistake, match="is not a file of weights"):
        vgg.Begun(str(tmp_path / "x.safetensors"))(net, None)
    save_file(build("resnet32").state_dict(), tmp_path / "y.safetensors")
    with pytest.raises(Mistake, match="has no place"):
        vgg.Begun(str(tmp_path / "y.safetensors"), parts=())(net, None)
    with pytest.raises(Mistake, match=r"lacks features\.stage1\.conv1"):
        vgg.Begun(str(tmp_path / "y.safetensors"))(net, None)


def test_biases_that_start_at_one_start_at_a_tenth():
    net = build("alexnet", num_classes=2)
    before = {name: p.clone() for name, p in net.named_parameters()}
    Biases(0.1)(net, None)
    for name, p in net.named_parameters():
        ones = name.endswith("bias") and bool((before[name] == 1).all())
        assert torch.equal(p, torch.full_like(p, 0.1) if ones else before[name])
    assert sum(bool((p == 0.1).all()) for p in net.parameters()) == 5  # conv2, conv4, conv5, fc6, fc7
