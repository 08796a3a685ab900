"""A trained network as a file of each form, run by its own engine; and `convatlas export`."""

import json
from zipfile import ZipFile

import pytest
import torch

from convatlas import export as module
from convatlas.export import FORMS, export
from convatlas.mistake import Mistake
from convatlas.models import build
from convatlas.photo import Photo
from convatlas.run import begin
from convatlas.trained import Trained

NEEDS = {"onnx": "onnxruntime", "torch": "torch", "openvino": "openvino", "executorch": "executorch"}


@pytest.fixture
def trained():
    photo = Photo(size=32, resize=36, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
    classes = (*"abcdefghi", "ü")
    return Trained("resnet20", build("resnet20").eval(), 3, photo.place, photo.normalise, classes, photo=photo, file=None)


def told(form, file):
    if form == "onnx":
        import onnx

        return {prop.key: prop.value for prop in onnx.load(file).metadata_props}["convatlas"]
    if form == "openvino":
        import openvino as ov

        return ov.Core().read_model(file).get_rt_info("convatlas").astype(str)
    if form == "torch":
        with ZipFile(file) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("extra/convatlas"))
            return archive.read(name).decode()
    return file.with_suffix(".json").read_text(encoding="utf-8")


@torch.no_grad()
@pytest.mark.parametrize("form", FORMS)
def test_the_file_answers_as_the_network_whatever_the_number_of_pictures(trained, tmp_path, form):
    pytest.importorskip(NEEDS[form], reason=f"{NEEDS[form]} is not installed")
    ending, _, run = FORMS[form]
    done = export(trained, form, tmp_path / f"net{ending}")
    assert done.apart < 1e-4
    assert done.bytes == sum(part.stat().st_size for part in tmp_path.iterdir())
    for count in (1, 2, 7):
        x = torch.randn(count, 3, 32, 32)
        torch.testing.assert_close(run(done.file, x), trained.net(x), rtol=1e-4, atol=1e-4)
    about = json.loads(told(form, done.file))
    assert about["classes"] == list(trained.classes)
    assert about["preprocess"] == {"size": 32, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1]}
    assert about["photo"]["resize"] == 36


def test_a_file_that_gives_other_scores_is_not_written(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BOUND", 0.0)
    with pytest.raises(Mistake, match=r"resnet20 as torch gives other scores: .* No file was written"):
        export(trained, "torch", tmp_path / "net.pt2")
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_named(trained, tmp_path):
    with pytest.raises(Mistake, match="no form 'caffe'; there are: onnx, torch, openvino, executorch"):
        export(trained, "caffe", tmp_path / "net.caffemodel")
    with pytest.raises(Mistake, match=r"must end in \.onnx"):
        export(trained, "onnx", tmp_path / "net.pt")
    with pytest.raises(Mistake, match="nowhere is not a folder"):
        export(trained, "torch", tmp_path / "nowhere" / "net.pt2")


def test_the_command_exports_a_run(convatlas, alone, tmp_path):
    from dataclasses import replace

    from convatlas.recipes import RECIPES

    run = begin(tmp_path / "run", "short", replace(RECIPES["lenet5_modern-mnist"], steps=1, test=1, threads=1))
    assert [*run.go()]
    done = convatlas("export", run.folder, "--to", "torch", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["file"] == "short.pt2"
    assert said["apart"] < 1e-4
    assert (tmp_path / "short.pt2").stat().st_size == said["bytes"]
    assert convatlas("export", run.folder, "--to", "caffe").returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "name", ["alexnet", "googlenet", "densenet_40_12", "mobilenet_v2", "efficientnet_lite0", "squeezenet1_1", "lenet5"]
)
def test_families_in_every_form(tmp_path, name, form):
    pytest.importorskip(NEEDS[form], reason=f"{NEEDS[form]} is not installed")
    net = build(name).eval()
    colours = next(layer.in_channels for layer in net.modules() if isinstance(layer, torch.nn.Conv2d))
    photo = Photo(size=net.size, resize=net.size, mean=(0.5,) * colours, std=(0.2,) * colours)
    trained = Trained(name, net, colours, photo.place, photo.normalise, ("x",))
    assert export(trained, form, tmp_path / f"net{FORMS[form][0]}").apart < 1e-4
