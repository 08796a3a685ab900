"""Trained networks in folders of their own: what is written, what is read of it, and what is refused."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

import convatlas as package
from convatlas.data import source
from convatlas.evaluate import scores
from convatlas.finetune import Wish, finetune
from convatlas.mistake import Mistake
from convatlas.models import MODELS, build
from convatlas.packed import load, pack, placing, read, seen
from convatlas.recipes import RECIPES, View
from convatlas.run import begin, open_run
from convatlas.trained import of_packed, of_run

SHORT = replace(RECIPES["lenet5_modern-mnist"], steps=40, test=40, batch=50, threads=1)


def gone(run):
    for _ in run.go():
        pass
    return run


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return gone(
        begin(tmp_path_factory.mktemp("runs") / "done", "lenet5_modern-mnist", SHORT, 3, {"steps": "40", "data": "/data/ann/mnist"})
    )


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A network taught two colours, whose names are not plain, on pictures that are not square."""
    data = tmp_path_factory.mktemp("data")
    for name, colour in {"grün": (60, 200, 60), 'r"ed: 1': (200, 60, 60)}.items():
        (data / name).mkdir()
        for i in range(8):
            Image.new("RGB", (24, 20), tuple(c + 5 * i for c in colour)).save(data / name / f"{i}.png")
    torch.manual_seed(5)
    wish = Wish(size=16, passes=1, batch=4)
    return gone(finetune(data.parent / "tuned", "resnet20", build("resnet20"), data, wish, weights="hf://ann/start@0123"))


@pytest.fixture
def folder(done, tmp_path):
    pack(done, tmp_path / "digits", "mit")
    return tmp_path / "digits"


def change(folder: Path, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def refusal(folder: Path) -> str:
    with pytest.raises(Mistake) as refused:
        load(folder)
    assert str(folder) in str(refused.value)
    return str(refused.value)


def test_three_files_and_nothing_else(folder, done):
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    config, result = json.loads((folder / "config.json").read_text()), done.result()
    assert config["model"] == "lenet5_modern"
    assert config["classes"] == list("0123456789")
    assert config["changed"] == {"steps": "40"}
    assert config["measured"] == {key: result[key] for key in ("top1_error", "top5_error", "n", "interval", "judged", "protocol")}
    assert config["published"] == {"top1_error": None, "source": SHORT.source}
    assert "/home" not in (folder / "config.json").read_text() + (folder / "README.md").read_text()


def test_it_is_loaded_to_the_same_scores(folder, done):
    net, x = package.load(folder), source("mnist").load("test").x[:500]
    assert not net.training
    mine, its = net.state_dict(), done.trained().state_dict()
    assert mine.keys() == its.keys()
    assert all(torch.equal(mine[key], its[key]) for key in its)
    assert torch.equal(scores(net, x, SHORT.preprocess), scores(done.trained(), x, SHORT.preprocess))
    net(torch.zeros(1, 1, 32, 32)).sum().backward()  # it can go on learning


def test_it_sees_pictures_as_the_run_does(folder, done, tuned, tmp_path):
    pack(tuned, tmp_path / "colours")
    for run, place, picture in ((done, folder, (1, 90, 70)), (tuned, tmp_path / "colours", (3, 90, 70))):
        one, other = of_run(run.folder), of_packed(place, "it")
        assert (one.classes, one.channels, one.protocol) == (other.classes, other.channels, other.protocol)
        x = torch.randint(256, picture, dtype=torch.uint8)
        x, same = (t.preprocess(t.place(x)[None]) for t in (one, other))
        assert torch.equal(x, same)
        torch.testing.assert_close(one.net(x), other.net(x))  # a run keeps its layout in memory, which rounds in another way


def test_a_view_is_the_middle_of_the_scaled_picture():
    recipe = replace(SHORT, data="photos", view=View(40, 32))
    channels, place = placing(seen(recipe))
    x = torch.arange(40 * 60 * 3).remainder(251).to(torch.uint8).view(3, 40, 60)
    assert channels == 3
    assert torch.equal(place(x), x[:, 4:36, 14:46])


def front_of(folder: Path) -> dict:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def test_the_card_is_yaml_and_tells_what_was_measured(folder, done):
    front, result = front_of(folder), done.result()
    assert front["license"] == "mit"
    assert front["tags"] == ["convatlas", "image-classification", "lenet5_modern"]
    (found,) = front["model-index"][0]["results"]
    assert found["dataset"] == {"name": "mnist", "type": "mnist", "split": "test"}
    assert found["metrics"][0] == {"type": "accuracy", "name": "top-1", "value": pytest.approx(1 - result["top1_error"] / 100)}
    assert {row["name"] for row in found["metrics"]} == {"top-1", "top-5", "macro F1"}
    text, (low, high) = (folder / "README.md").read_text(), result["interval"]
    assert f"| measured | {result['top1_error']:.2f} % | {low:.2f} to {high:.2f} | 10,000 | mnist, test, single view |" in text
    assert "| published" not in text
    assert 'changed: `{"steps": "40"}`' in text
    assert 'convatlas.load("digits")' in text


def test_a_card_of_other_data_on_the_hub(tuned, tmp_path):
    pack(tuned, tmp_path / "x", place="hf://ann/colours")
    front, text = front_of(tmp_path / "x"), (tmp_path / "x" / "README.md").read_text()
    assert "license" not in front
    assert front["base_model"] == "ann/start"
    assert front["model-index"][0]["name"] == "ann/colours"
    assert {row["name"] for row in front["model-index"][0]["results"][0]["metrics"]} == {"top-1", "macro F1"}
    assert "--weights hf://ann/colours" in text
    assert "beginning with the weights `hf://ann/start@0123`" in text


def test_a_published_error_stands_in_a_line_of_its_own(done, tmp_path):
    path, text = done.folder / "result.json", (done.folder / "result.json").read_text()
    try:
        path.write_text(json.dumps(json.loads(text) | {"published": 0.95}))
        pack(open_run(done.folder), tmp_path / "x")
    finally:
        path.write_text(text)
    assert f"| published | 0.95 % | | | {SHORT.source} |" in (tmp_path / "x" / "README.md").read_text()


def test_what_is_not_finished_or_in_the_way_is_refused(done, folder, tmp_path):
    run = begin(tmp_path / "new", "short", SHORT)
    with pytest.raises(Mistake, match="new is not finished; go on with"):
        pack(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for place in (folder, folder / "README.md"):
        with pytest.raises(Mistake, match="is there already and is not empty"):
            pack(done, place)


def test_a_damaged_file_of_weights_is_never_loaded(folder):
    path, bytes_ = folder / "model.safetensors", (folder / "model.safetensors").read_bytes()
    for damaged in (bytes_[:-1] + bytes([bytes_[-1] ^ 1]), bytes_[:1000], b""):
        path.write_bytes(damaged)
        assert "model.safetensors is not the file that config.json tells of" in refusal(folder)


def test_weights_of_another_network_are_refused(folder, tmp_path):
    state = load_file(folder / "model.safetensors")
    wide = {name: torch.cat([t, t]) if name == "head.output.bias" else t for name, t in state.items()}
    assert state["head.output.bias"].shape != wide["head.output.bias"].shape

    def refused(tensors):
        from convatlas.download import sha256_of

        save_file(tensors, folder / "model.safetensors")
        change(folder, sha256=sha256_of(folder / "model.safetensors"))
        return refusal(folder)

    assert re.search(r"does not fit lenet5_modern: .*head\.output\.bias is 10 here, but head\.output\.bias is 20", refused(wide))
    assert "only the file has more" in refused(state | {"more": torch.zeros(1)})
    assert "only the network has head.output.bias" in refused({k: v for k, v in state.items() if k != "head.output.bias"})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": "resnet9000"}, r"no model 'resnet9000'; there are: lenet5, "),
        ({"model": 5}, "no model '5'"),
        ({"classes": ["a", "b"]}, "num_classes of the network is 10, but classes and pictures need 2"),
        ({"classes": 5}, "is damaged"),
        ({"config": {"nothing": 1}}, "is damaged .*lenet5_modern has no setting 'nothing'"),
        ({"config": {"size": "large"}}, "is damaged"),
        ({"config": "x"}, "is damaged"),
        ({"config": {"in_channels": 3}}, "in_channels of the network is 3, but classes and pictures need 1"),
        ({"picture": {"like": "nothing"}}, "no pictures like 'nothing' are known; there are: mnist"),
        ({"picture": {"like": ["mnist"]}}, "is damaged"),
        ({"picture": {"resize": 10**9, "crop": 224}}, "cannot be scaled to 1000000000"),
        ({"picture": {"resize": 100, "crop": 224}}, "cannot be scaled to 100 and cut to 224"),
        ({"picture": {}}, "says nothing of 'resize'"),
        ({"preprocess": {"size": 32, "mean": [0.1, 0.2], "std": [1.0]}}, "mean and std are of 2 and 1 channels, not of 1"),
        ({"preprocess": None}, "is damaged"),
        ({"protocol": "144 crops"}, "no protocol '144 crops'"),
    ],
)
def test_a_config_that_cannot_be_is_refused(folder, fields, said):
    change(folder, **fields)
    assert re.search(said, refusal(folder))


def test_a_config_that_is_none_of_ours(folder):
    path = folder / "config.json"
    for text, said in (
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("\udcff", "is damaged"),
        ('{"architecture": "resnet18", "num_classes": 1000}', "not of a network that convatlas has written"),
        ("[" * 100_000, "is damaged"),
    ):
        path.write_bytes(text.encode(errors="surrogateescape"))
        assert said in refusal(folder)


def test_any_value_of_a_setting_is_built_or_refused(folder):
    """What a network makes of a value that it did not expect is its own affair; it must not be an error of ours."""
    refused = 0
    for model in ("lenet5", "alexnet", "vgg11", "googlenet", "resnet20", "densenet121", "mobilenet_v1", "mobilenet_v3_small"):
        for setting in MODELS[model][1].__dataclass_fields__:
            for value in (None, "x", -1, 0, 1.5, [], {}, [[1, 2]]):
                change(folder, model=model, config={setting: value})
                try:
                    read(folder)
                except Mistake:
                    refused += 1
    assert refused > 200


def test_pickles_are_refused_unread(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert re.search(r"has no model\.safetensors, only pytorch_model\.bin: pickles can run code and are not read", refusal(folder))
    (folder / "pytorch_model.bin").unlink()
    assert "has no model.safetensors: it holds no network" in refusal(folder)


def test_the_commands(convatlas, done, tmp_path):
    Image.new("L", (28, 28), 255).save(tmp_path / "white.png")
    place = tmp_path / "digits"
    said = convatlas("pack", done.folder, place, "--licence", "mit")
    assert (said.returncode, said.stderr) == (0, "")
    assert f"--weights {place}" in said.stdout
    seen = [json.loads(convatlas("predict", *words, tmp_path / "white.png", "--json").stdout) for words in
            ([done.folder], ["--weights", place], ["--weights", place, "--model", "lenet5_modern"])]  # fmt: skip
    assert seen[0] == seen[1] == seen[2]
    refused = convatlas("predict", tmp_path / "white.png", "--weights", place, "--model", "resnet18")
    assert refused.returncode == 2
    assert "is for lenet5_modern, not for resnet18" in refused.stderr
    again = convatlas("pack", done.folder, place)
    assert again.returncode == 2
    assert "is not empty" in again.stderr
    told = json.loads(convatlas("pack", done.folder, tmp_path / "more", "--json").stdout)
    assert told == {"folder": str(tmp_path / "more"), "files": ["README.md", "config.json", "model.safetensors"]}
    with pytest.raises(Mistake, match="is for lenet5_modern, not for resnet18"):
        package.load(place, "resnet18")
