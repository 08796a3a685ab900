"""On folders of small coloured pictures, with a network whose weights come from nowhere: enough to show that all is joined."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from convatlas.finetune import Wish, finetune, going, write_folds
from convatlas.mistake import Mistake
from convatlas.models import build
from convatlas.probe import embeddings
from convatlas.report import report
from convatlas.run import open_run, read_state
from convatlas.sets import load_sets

COLOURS = {"red": (200, 60, 60), "green": (60, 200, 60), "blue": (60, 60, 200)}
WISH = Wish(size=16, passes=2, batch=8, rate=1e-3)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Twenty to ten noisy pictures of each colour, in the folder of their class."""
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for n, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir()
        for i in range(20 - 5 * n):
            noise = random.normal(0, 60, (20, 16, 3))
            Image.fromarray((noise + colour).clip(0, 255).astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


def begun(folder: Path, place: Path, wish: Wish = WISH, **more):
    torch.manual_seed(5)
    return finetune(folder, "resnet20", build("resnet20"), place, wish, weights="nowhere", **more)


def plain(run):
    """Fixed, so that runs compare bit by bit whatever the machine finds faster."""
    run.recipe = replace(run.recipe, layout="plain", precision="float32", threads=1)
    return run


def gone(run):
    for _ in run.go():
        pass
    return run


@pytest.fixture(scope="module")
def done(place, tmp_path_factory):
    torch.set_num_threads(1)
    return gone(plain(begun(tmp_path_factory.mktemp("runs") / "done", place)))


def test_a_run_in_a_folder_as_any_other(done):
    names = {path.name for path in done.folder.iterdir()}
    files = {
        "recipe.json",
        "log.jsonl",
        "state.pt",
        "start.safetensors",
        "weights.safetensors",
        "scores.safetensors",
        "result.json",
        ".lock",
    }
    assert names == files | {"data_report.json"}
    result = done.result()
    assert result["judged"] == "test"
    assert result["top1_error"] < 40
    assert [row["name"] for row in result["metrics"]["per_class"]] == sorted(COLOURS)
    assert open_run(done.folder).recipe.tuning.classes == tuple(sorted(COLOURS))
    assert next(line["step"] for line in done.log() if "held_error" in line) == 0
    assert done.trained()(torch.zeros(1, 3, 16, 16)).shape == (1, 3)


def test_its_page_shows_each_class_and_how_sure_it_can_be(done):
    text = report(done).read_text()
    for part in ("test error", "Each class", "<td>green", "expected calibration error", "Reliability plot", "held back"):
        assert part in text


def test_the_head_begins_as_the_classifier_of_the_features(done, place):
    told, net = done.log()[0], done.net().eval()
    assert told["event"] == "probe"
    assert told["n"] == 45 - 2 * sum(len(part) for part in held(place)) // 2
    train = load_sets(done.recipe).train
    features = embeddings(net, train.x, done.recipe.preprocess)
    with torch.no_grad():
        found = net.head.output(features)
        assert torch.allclose(found, net(done.recipe.preprocess(train.x)), atol=1e-4)
    assert float((found.argmax(1) == train.y).float().mean()) > 0.9


def held(place):
    from convatlas.data.listed import opened

    return [part for name, part in opened(place).items() if name != "train"]


def test_stopped_anywhere_it_goes_on_to_the_same_bits(done, place, tmp_path):
    for at in (3, 5):
        run = plain(begun(tmp_path / str(at), place))
        session, steps = run.go(save_every=0.0), iter(range(1, 100))
        while next(steps) <= at:
            next(session)
        run.stop()
        list(session)
        assert 0 < read_state(run.folder)["step"] < run.recipe.steps
        again = open_run(run.folder)
        gone(plain(again))
        one, other = (load_file(r.folder / "weights.safetensors") for r in (done, again))
        assert all(torch.equal(one[name], other[name]) for name in one)
        logs = [[{k: line[k] for k in ("step", "loss", "held_error") if k in line} for line in r.log()] for r in (done, again)]
        assert [line for line in logs[0] if line] == [line for line in logs[1] if line]
        assert not list(run.folder.glob("best-*"))


def test_the_best_weights_are_kept_and_waiting_ends(place, tmp_path):
    """A rate that ruins the network: nothing after the start is better, so the start is what is kept, two passes on."""
    run = begun(tmp_path / "run", place, replace(WISH, passes=9, rate=0.3, patience=2))
    gone(run)
    errors = [line["held_error"] for line in run.log() if "held_error" in line]
    assert len(errors) == 3
    assert run.result()["steps"] == 2 * run.recipe.test < run.recipe.steps
    start, kept = (load_file(run.folder / f"{name}.safetensors") for name in ("start", "weights"))
    assert all(torch.equal(start[name], kept[name]) for name in start)


def test_norms_of_few_pictures_keep_their_statistics_while_all_else_learns(place, tmp_path):
    run = begun(tmp_path / "run", place)
    run.recipe = replace(run.recipe, tuning=replace(run.recipe.tuning, held=False))  # so that the last weights are kept
    gone(run)
    start, end = (load_file(run.folder / f"{name}.safetensors") for name in ("start", "weights"))
    norms = [name for name in start if "running" in name]
    assert norms
    assert all(torch.equal(start[name], end[name]) for name in norms)
    same = [name for name, _ in run.net().named_parameters() if torch.equal(start[name], end[name])]
    assert not same


def test_the_classifier_alone_learns_from_val_too_and_is_a_run(place, tmp_path):
    run = gone(begun(tmp_path / "run", place, replace(WISH, passes=0), cache=tmp_path / "cache"))
    assert run.log()[0]["n"] == 45 - len(load_sets(run.recipe).test)
    assert run.result()["steps"] == 0
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert "penalty" in report(run).read_text()
    assert run.name == "resnet20-probe"


def test_each_picture_is_judged_once_over_all_folds_by_a_network_that_did_not_see_it(place, tmp_path):
    wish, judged, runs = replace(WISH, folds=3, passes=1), [], []
    for fold in range(3):
        run = begun(tmp_path / f"fold{fold + 1}", place, wish, fold=fold)
        sets = load_sets(run.recipe)
        seen = {bytes(sets.train.x[i].numpy()) for i in sets.rows}
        tested, watched = ([bytes(x.numpy()) for x in part.x] for part in (sets.test, sets.watch))
        assert not seen & {*tested, *watched}
        assert not set(tested) & set(watched)
        assert len(seen) + len(tested) + len(watched) == len(sets.train)
        judged += tested
        runs.append(gone(run))
    assert len(judged) == len(set(judged)) == len(load_sets(runs[0].recipe).train)
    found = write_folds(tmp_path, runs)
    assert json.loads((tmp_path / "folds.json").read_text())["n"] == len(judged) == found["n"]
    assert going(runs[1].folder, wish, "resnet20", place, 1).finished
    with pytest.raises(Mistake, match="holds another run"):
        going(runs[1].folder, replace(wish, seed=4), "resnet20", place, 1)


def test_rare_classes_by_weights_or_by_sampling(place, tmp_path):
    by_weights = begun(tmp_path / "weights", place, replace(WISH, balance="weights"))
    counts = load_sets(by_weights.recipe).train.y.bincount()
    products = torch.tensor(by_weights.recipe.loss.weights) * counts
    assert products.tolist() == pytest.approx([float(products[0])] * 3)
    sets = load_sets(begun(tmp_path / "sampling", place, replace(WISH, balance="sampling")).recipe)
    assert len(set(sets.train.y[sets.rows].bincount().tolist())) == 1


def test_a_step_is_measured_in_each_way(done):
    told = done.log()[0]
    assert {f"{done.recipe.precision} {done.recipe.layout}", "float32 plain"} <= told["ways"].keys()
    assert told["pictures"] == done.recipe.batch <= 32
    assert min(told["ways"].values()) > 0


def test_bfloat16_learns_too(place, tmp_path):
    run = begun(tmp_path / "run", place)
    run.recipe = replace(run.recipe, precision="bfloat16", layout="channels_last")
    assert gone(run).result()["top1_error"] < 40


def test_what_cannot_be_is_refused(place, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(Mistake, match="is not empty"):
        begun(tmp_path / "full", place)
    with pytest.raises(Mistake, match="balance is 'both'"):
        begun(tmp_path / "run", place, replace(WISH, balance="both"))
    with pytest.raises(Mistake, match="there must be at least 2"):
        begun(tmp_path / "run", place, replace(WISH, folds=1))
    with pytest.raises(Mistake, match="is not there"):
        begun(tmp_path / "run", place / "nowhere")
    assert not (tmp_path / "run").exists()


def test_a_stage_that_is_not_there_is_said_before_anything_is_trained(convatlas, place, alone):
    ended = convatlas("finetune", "efficientnet_lite0", place, "--freeze", "nope")
    assert ended.returncode == 2
    assert "efficientnet_lite0 has no stage 'nope'; there are: stage1" in ended.stderr


def test_the_command_tunes_tests_and_predicts(convatlas, place, alone):
    torch.save(build("resnet20").state_dict(), "mine.pth")
    words = ("finetune", "resnet20", place, "--weights", "mine.pth", "--passes", "1", "--size", "32", "--out", "run", "--json")
    tuned = convatlas(*words)
    assert tuned.returncode == 0, tuned.stderr
    found = json.loads(tuned.stdout)
    assert Path(found["report"]).exists()
    again = json.loads(convatlas("eval", "run", "--json").stdout)
    assert again["top1_error"] == found["top1_error"]
    (seen,) = json.loads(convatlas("predict", "run", place / "red" / "0.png", "--json").stdout)
    assert {p["label"] for p in seen["predictions"]} == set(COLOURS)
    assert convatlas(*words).returncode == 2  # the folder holds a run


def test_weights_of_another_network_and_files_that_are_not_what_they_are_called_are_refused(convatlas, place, alone):
    torch.save(build("resnet20").state_dict(), "resnet50-0676ba61.pth")  # the name of a file that torchvision published
    other = convatlas("finetune", "resnet50", place, "--weights", "resnet50-0676ba61.pth", "--out", "run")
    assert other.returncode == 2
    assert "weights for resnet50_v1_5, not for resnet50" in other.stderr
    wrong = convatlas("finetune", "resnet50_v1_5", place, "--weights", "resnet50-0676ba61.pth", "--out", "run")
    assert wrong.returncode == 2
    assert "its sha256 does not begin with 0676ba61" in wrong.stderr
    assert "resnet50_v1_5" in convatlas("finetune", "resnet50", place, "--out", "run").stderr
    assert not Path("run").exists()
