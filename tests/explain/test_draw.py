"""`convatlas explain` as a user meets it."""

import json

import pytest
from PIL import Image
from safetensors.torch import save_file

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


@pytest.mark.parametrize("method", [*(m for m in HEAT if m != "scorecam"), *(m for m in BACK if m != "integrated"), "maps"])
def test_a_picture_is_written_for_each_and_what_cannot_be_read_is_said(convatlas, place, method):
    done = asked(convatlas, place, method, place / "a.png", place / "broken.png")
    assert done.returncode == 2
    said = json.loads(done.stdout)
    assert "cannot be read as a picture" in said[1]["error"]
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


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("magic", "a.png"), "no method 'magic'; there are: gradcam"),
        (("gradcam",), "gradcam needs pictures"),
        (("gradcam", "a.png", "--target", "unicorn"), "has no class 'unicorn'"),
        (("guided", "a.png", "--map", "x"), "--map takes numbers, not 'x'"),
        (("maps", "a.png", "--layer", "nowhere"), "no layer 'nowhere'"),
        (("evolution", "a.png"), "evolution needs a run that kept weights on its way"),
        (("reuse",), "feature reuse is a picture of dense blocks"),
    ],
)
def test_mistakes(convatlas, place, words, why):
    done = asked(convatlas, place, words[0], *words[1:])
    assert done.returncode == 2
    assert why in done.stderr
