"""`convatlas explain` as a user meets it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from convatlas.data import SOURCES, mnist
from convatlas.data.pictures import Pictures
from convatlas.explain.methods import BACK, HEAT
from convatlas.models import build

MODEL = "squeezenet1_1"
pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def place(tmp_path):
    for i, name in enumerate(("a.png", "b.png")):
        Image.new("RGB", (60 + 9 * i, 80), (90 * i, 200, 10)).save(tmp_path / name)
    (tmp_path / "broken.png").write_text("no picture")
    save_file(build(MODEL).state_dict(), tmp_path / "mine.safetensors", {"model": MODEL})
    return tmp_path


def asked(convatlas, place, method, *words):
    return convatlas("explain", method, MODEL, *words, "--weights", place / "mine.safetensors", "-o", place / "out", "--json")


SLOW = ("scorecam", "integrated")  # which ask the network often


@pytest.mark.parametrize("method", [pytest.param(m, marks=pytest.mark.slow if m in SLOW else ()) for m in (*HEAT, *BACK, "maps")])
def test_a_picture_is_written_for_each_and_what_cannot_be_read_is_said(convatlas, place, method):
    done = asked(convatlas, place, method, place / "a.png", place / "broken.png")
    assert done.returncode == 2
    said = json.loads(done.stdout)
    assert "cannot be read as a picture" in said[1]["error"]
    assert Path(said[0]["picture"]) == place / "out" / f"a-{method}.png"
    if method in BACK:
        assert np.load(said[0]["values"]).shape == (3, 224, 224)
    with Image.open(said[0]["picture"]) as drawn:
        assert drawn.format == "PNG"
        assert min(drawn.size) > 100
    if method in HEAT:
        assert all(len(row) == len(said[0]["heat"][0]) for row in said[0]["heat"])


@pytest.mark.parametrize("method", ["filters", "receptive", "patches", "invariance"])
def test_of_the_network_and_of_many_pictures(convatlas, place, method):
    pictures = () if method in ("filters", "receptive") else (place / "a.png", place / "b.png")
    done = asked(convatlas, place, method, *pictures, *(("--map", "1,2") if method == "patches" else ()))
    assert done.returncode == 0, done.stderr
    (said,) = json.loads(done.stdout)
    assert Path(said["picture"]).parent == place / "out"
    with Image.open(said["picture"]) as drawn:
        assert drawn.size[0] > 100
    if method == "patches":
        assert set(said["maps"]) == {"1", "2"}


def test_a_run_shows_how_its_maps_came_about(convatlas, place):
    run = place / "run"
    trained = convatlas(
        "train", "lenet5_modern-mnist", "--recipe.steps", "20", "--recipe.kept", "1,5,20", "--recipe.test", "20", "--out", run
    )
    assert trained.returncode == 0, trained.stderr
    done = convatlas("explain", "evolution", run, place / "a.png", place / "b.png", "--map", "0,3", "-o", place / "out", "--json")
    assert done.returncode == 0, done.stderr
    (said,) = json.loads(done.stdout)
    assert said["columns"] == ["step 1", "step 5", "step 20"]
    assert [len(best) for best in said["maps"].values()] == [3, 3]


def test_a_map_and_a_class_can_be_chosen(convatlas, place):
    done = asked(convatlas, place, "guided", place / "a.png", "--map", "3", "--layer", "features")
    assert json.loads(done.stdout)[0]["about"] == "map 3 of features"
    done = asked(convatlas, place, "gradcam", place / "a.png", "--target", "goldfish")
    assert json.loads(done.stdout)[0]["class"] == "goldfish"
    assert {p.name for p in (place / "out").glob("*.png")} == {"a-guided-features-map3.png", "a-gradcam-goldfish.png"}


def test_pictures_of_one_name_are_drawn_beside_each_other(convatlas, place):
    for name in ("one", "two"):
        (place / name).mkdir()
        Image.new("RGB", (60, 80), (9, 9, 200)).save(place / name / "1.png")
    done = asked(convatlas, place, "gradient", place / "one", place / "two")
    assert [Path(row["picture"]).name for row in json.loads(done.stdout)] == ["1-gradient.png", "1-2-gradient.png"]


def test_the_strongest_of_a_whole_data_set(convatlas, place, monkeypatch):
    monkeypatch.setitem(SOURCES, "mnist", replace(SOURCES["mnist"], load=lambda split: few(mnist.load(split))))
    trained = convatlas("train", "lenet5_modern-mnist", "--recipe.steps", "20", "--recipe.test", "20", "--out", place / "run")
    assert trained.returncode == 0, trained.stderr
    done = convatlas("explain", "patches", place / "run", "--data", "mnist", "--map", "0,1", "-o", place / "out", "--json")
    assert done.returncode == 0, done.stderr
    (said,) = json.loads(done.stdout)
    assert [len(best) for best in said["maps"].values()] == [9, 9]
    assert len({row["file"] for row in said["maps"]["0"]}) == 9
    assert said["maps"]["0"][0]["file"].startswith("mnist test ")
    asked_of_photos = asked(convatlas, place, "patches", "--data", "mnist")
    assert "pictures of mnist have 1 colours; " in asked_of_photos.stderr


def few(pictures):
    return Pictures(pictures.x[:100], pictures.y[:100], pictures.classes)


def test_feature_reuse_of_a_densenet_is_json_that_all_can_read(convatlas, place):
    save_file(build("densenet121").state_dict(), place / "dense.safetensors", {"model": "densenet121"})
    done = convatlas("explain", "reuse", "densenet121", "--weights", place / "dense.safetensors", "-o", place / "out", "--json")
    assert done.returncode == 0, done.stderr

    def refuse(word):
        raise AssertionError(word)

    (said,) = json.loads(done.stdout, parse_constant=refuse)
    assert [len(block) for block in said["blocks"]] == [7, 13, 25, 17]
    assert said["blocks"][0][1][0] is None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("magic", "a.png"), "no method 'magic'; there are: gradcam"),
        (("gradcam",), "gradcam needs pictures"),
        (("gradcam", "a.png", "--target", "unicorn"), "has no class 'unicorn'"),
        (("guided", "a.png", "--map", "x"), "--map takes numbers, not 'x'"),
        (("maps", "a.png", "--layer", "nowhere"), "no layer 'nowhere'"),
        (("maps", "a.png", "--layer", "head"), "head gives no maps, but values (1000,)"),
        (("gradcam", "a.png", "--layer", "head"), "head gives no maps, but values (1000,)"),
        (("patches", "a.png", "--map", "9999"), "features gives 512 maps, counted from 0; there is no map 9999"),
        (("maximise",), "maximise needs a class: --target"),
        (("filters", "a.png"), "filters is of the network itself and takes no pictures"),
        (("occlusion", "a.png", "--layer", "features"), "occlusion takes no --layer"),
        (("gradient", "a.png", "--layer", "features"), "name a map by --map"),
        (("gradcam", "a.png", "--map", "3"), "gradcam takes no --map; these do: gradient, deconvnet"),
        (("gradcam", "--data", "mnist"), "--data is for patches and evolution, in place of files"),
        (("patches", "broken.png"), "none of the pictures can be read: broken.png cannot be read as a picture"),
        (("evolution", "a.png"), "evolution needs a run that kept weights on its way"),
        (("reuse",), "feature reuse is a picture of dense blocks"),
    ],
)
def test_mistakes(convatlas, place, words, why):
    done = asked(convatlas, place, words[0], *words[1:])
    assert done.returncode == 2
    assert why in done.stderr
