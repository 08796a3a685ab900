"""Recipes whose pictures stay on the disk, from the command to the report, as a user runs them."""

import json
from math import isfinite

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

PICTURES = {
    "noise": lambda y, x, draw: draw.random(y.shape),
    "rise": lambda y, x, draw: (x + y) / 2,
    "waves": lambda y, x, draw: np.sin(20 * x) / 2 + 0.5,
}
SHORT = ("--recipe.steps", "2", "--recipe.batch", "4", "--recipe.test", "2")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Of three classes six JPEGs each to learn from and two to be judged by, of many sizes."""
    folder, draw = tmp_path_factory.mktemp("published") / "photos", np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for name, of in PICTURES.items():
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                height, width = draw.integers(150, 340, 2)
                grey = of(*np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j], draw)
                pixels = (255 * grey[..., None] * draw.random(3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.jpg", quality=85)
    return folder


def check(run, said):
    """What every finished run must have; gives its recipe."""
    assert said.returncode == 0, said.stderr
    result, about = json.loads(said.stdout), json.loads((run / "recipe.json").read_text())
    assert (result["n"], result["steps"], result["judged"], result["published"]) == (6, 2, "test", None)
    assert 0 <= result["top1_error"] <= 100
    recipe = about["recipe"]
    assert ["num_classes", 3] in recipe["config"]
    assert "auto" not in (recipe["precision"], recipe["layout"])
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert f"{recipe['precision']} {recipe['layout']}" in lines[0]["ways"]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
    assert all(isfinite(line["loss"]) for line in lines if "loss" in line)
    assert [line["step"] for line in lines if "test_error" in line] == [2]
    with safe_open(run / "weights.safetensors", "pt") as weights:
        assert all(weights.get_tensor(name).isfinite().all() for name in weights.keys())  # noqa: SIM118
    assert "How it learned" in (run / "report.html").read_text()
    return recipe


def test_the_smallest_network_runs_and_is_gone_on_with(convatlas, place, tmp_path):
    run = tmp_path / "run"
    said = convatlas("train", "mobilenet_v1_025-imagenet", "--recipe.data", place, *SHORT, "--out", run, "--json")
    check(run, said)
    again = convatlas("train", "mobilenet_v1_025-imagenet", "--resume", run, "--json")
    assert json.loads(again.stdout) == json.loads(said.stdout)
    refused = convatlas("train", "mobilenet_v1_025-imagenet", "--recipe.data", place, "--out", run)
    assert (refused.returncode, "holds a run already" in refused.stderr) == (2, True)


def test_a_recipe_without_its_place_leaves_no_run_behind(convatlas, tmp_path):
    said = convatlas("train", "alexnet-imagenet", "--out", tmp_path / "run")
    assert said.returncode == 2
    assert "--recipe.data PLACE" in said.stderr
    assert not (tmp_path / "run").exists()


KINDS = {
    "resnet50_v1_5-imagenet-ladder-12-repeated": {"repeats", "mix", "average", "view"},
    "resnet50_v1_5-imagenet-a2": {"repeats", "mix"},
    "alexnet-imagenet": {"view"},
    "vgg13-imagenet-glorot": {"view"},
    "googlenet-imagenet": {"average"},
    "efficientnet_b0-imagenet": {"average"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_recipe_of_each_kind_runs(convatlas, place, tmp_path, name):
    said = convatlas("train", name, "--recipe.data", place, *SHORT, "--out", tmp_path / "run", "--json")
    recipe = check(tmp_path / "run", said)
    assert all(recipe[field] not in (None, 1) for field in KINDS[name])


@pytest.mark.slow
def test_a_recipe_that_begins_with_weights_asks_for_them_and_leaves_no_run_behind(convatlas, place, tmp_path):
    said = convatlas("train", "vgg16-imagenet", "--recipe.data", place, *SHORT, "--out", tmp_path / "run")
    assert said.returncode == 2
    assert "--recipe.prepare.weights" in said.stderr
    assert not (tmp_path / "run").exists()
