"""Several real runs, small ones, judged by the same pictures: as one, beside one another, and as the mean of their weights."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import nn

from convatlas.data.batches import Preprocess
from convatlas.data.listed import opened
from convatlas.ensemble import at_its_end, compare, gain, on_its_test, soup, together, whole
from convatlas.evaluate import evaluate, scores
from convatlas.intervals import mcnemar
from convatlas.mistake import Mistake
from convatlas.recipes import RECIPES, Steps, Tuning
from convatlas.recipes.optimisers import SGD
from convatlas.run import begin, open_run
from convatlas.train import recalibrate

BASE = RECIPES["lenet5_modern-mnist"]
PHOTOS = Preprocess(size=64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Noise on a tint, of which there are three: neither hopeless nor easy."""
    folder = tmp_path_factory.mktemp("ensemble") / "tints"
    torch.manual_seed(1)
    for split, count in (("train", 30), ("test", 20)):
        for label, tint in enumerate(("red", "green", "blue")):
            (folder / split / tint).mkdir(parents=True)
            for i in range(count):
                pixels = torch.randint(0, 216, (90, 80 + i, 3), dtype=torch.uint8)
                pixels[..., label] += 40
                Image.fromarray(pixels.numpy()).save(folder / split / tint / f"{i}.png")
    return folder


def trained(folder, recipe, seed):
    run = begin(folder, "tints", recipe, seed)
    for _ in run.go():
        pass
    return run


@pytest.fixture(scope="module")
def recipe(place):
    return replace(
        BASE, model="mobilenet_v1_025", data=str(place), config=(("num_classes", 3), ("size", 64)), preprocess=PHOTOS, augment=(), steps=12,
        test=12, batch=20, recalibrate=4, rate=Steps(0.05, ()), optimiser=SGD(momentum=0.9), threads=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def runs(recipe, place):
    return [trained(place.parent / f"run{seed}", recipe, seed) for seed in range(3)]


@pytest.fixture(scope="module")
def members(runs):
    return [on_its_test(run) for run in runs]


def test_an_ensemble_says_the_mean_of_its_members_probabilities(members):
    one = together(members)
    by_hand = sum(member.scores.softmax(1) for member in members) / 3
    assert torch.allclose(one.scores.exp(), by_hand, atol=1e-6)
    assert one.evaluation() == evaluate(by_hand, members[0].y)
    assert len({member.evaluation().top1_error for member in members}) > 1


def test_its_gain_is_over_the_mean_of_the_members(members):
    one = together(members)
    better, (low, high) = gain(members, one)
    errors = [member.evaluation().top1_error for member in members]
    assert better == pytest.approx(sum(errors) / 3 - one.evaluation().top1_error)
    assert low < better < high
    assert gain([one], one)[0] == 0


def test_two_runs_are_compared_picture_by_picture(members):
    first, second, _ = members
    found = compare(first, second)
    wrong, other = (member.scores.argmax(1) != member.y for member in (first, second))
    b, c = int((wrong & ~other).sum()), int((other & ~wrong).sum())
    assert (found.only_first_wrong, found.only_second_wrong, found.p) == (b, c, mcnemar(b, c))
    assert b + c > 0
    assert found.difference == pytest.approx(100 * (b - c) / 60)
    assert found.difference == pytest.approx(found.first.top1_error - found.second.top1_error)


def test_a_finished_run_is_asked_for_what_it_wrote(runs, members):
    for run, member in zip(runs, members, strict=True):
        held = at_its_end(run)
        assert torch.equal(held.scores, member.scores)
        assert torch.equal(held.y, member.y)


def test_a_soup_has_the_mean_weights_and_statistics_of_its_own(runs, recipe):
    net, states = soup(runs), [run.trained().state_dict() for run in runs]
    for name, p in net.named_parameters():
        assert torch.allclose(p, sum(state[name] for state in states) / 3, atol=1e-6), name
    statistics = {name: tensor for name, tensor in net.state_dict().items() if "running" in name}
    assert any(not torch.allclose(tensor, sum(state[name] for state in states) / 3, rtol=1e-2) for name, tensor in statistics.items())
    assert {layer.momentum for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)} == {0.1}
    assert not any(layer.training for layer in net.modules())


def test_a_soup_of_one_run_is_the_run_with_its_norms_recalibrated(runs):
    from convatlas.sets import batches, load_sets

    net, recipe = runs[0].trained(), runs[0].recipe
    recalibrate(net, replace(recipe, recalibrate=5), batches(recipe, load_sets(recipe), 0))  # 81 pictures, 20 at a time
    again = soup([runs[0], runs[0]])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))


def test_a_protocol_for_whole_pictures_reads_them_where_they_lie(runs, place, members):
    found = on_its_test(runs[0], "ten-crop")
    listed = opened(place)["test"]
    net = runs[0].trained()
    by_hand = torch.cat([scores(net, listed.read(i)[None], PHOTOS, protocol="ten-crop") for i in range(len(listed))])
    assert torch.allclose(found.scores, by_hand, atol=1e-4)
    assert torch.equal(found.y, members[0].y)
    assert not torch.allclose(found.scores.softmax(1), members[0].scores.softmax(1), atol=1e-3)


def test_a_fold_has_no_whole_pictures(recipe):
    fold = replace(recipe, tuning=Tuning(weights="elsewhere", classes=("red", "green", "blue"), folds=3))
    with pytest.raises(Mistake, match="a fold's pictures are kept in the network's size only"):
        whole(fold)


def test_what_cannot_be_joined_is_a_mistake(runs, members, recipe, place):
    narrow = begin(place.parent / "other", "other", replace(recipe, model="squeezenet1_1"), 0)
    with pytest.raises(Mistake, match="have no mean: they are of different networks"):
        soup([runs[0], narrow])
    with pytest.raises(Mistake, match="are not judged by the same pictures"):
        together([members[0], replace(members[1], y=members[1].y.flip(0))])
    with pytest.raises(Mistake, match=r"is tested by 'single view', .* by 'flip'; name one by --protocol"):
        compare(members[0], on_its_test(runs[1], "flip"))


def test_the_command_takes_an_ensemble(convatlas, runs, members):
    folders = [run.folder for run in runs]
    found = json.loads(convatlas("eval", *folders, "--json").stdout)
    one = together(members).evaluation()
    assert (found["top1_error"], found["n"], found["protocol"], found["average"]) == (one.top1_error, 60, "single view", "scores")
    assert [row["name"] for row in found["members"]] == [str(folder) for folder in folders]
    assert [row["top1_error"] for row in found["members"]] == [member.evaluation().top1_error for member in members]
    low, high = found["gain_interval"]
    assert low <= found["gain"] <= high
    told = convatlas("eval", *folders).stdout.splitlines()
    assert len(told) == 5
    assert told[3].startswith(f"mean scores: {one.top1_error:.2f} % top-1 error (95 % interval ")
    mixed = json.loads(convatlas("eval", *folders, "--average", "weights", "--json").stdout)
    assert mixed["top1_error"] == evaluate(on_its_test(runs[0], net=soup(runs)).scores, members[0].y).top1_error
    assert len(mixed["members"]) == 3


def test_the_command_takes_a_protocol_and_other_pictures(convatlas, runs, place):
    folders = [run.folder for run in runs]
    alone = json.loads(convatlas("eval", folders[0], "--protocol", "ten-crop", "--json").stdout)
    assert alone.keys() == {"top1_error", "top5_error", "n", "interval", "protocol"}
    assert (alone["protocol"], alone["n"]) == ("ten-crop", 60)
    there = json.loads(convatlas("eval", folders[0], "--protocol", "ten-crop", "--data", place, "--split", "test", "--json").stdout)
    assert there == alone
    together_ = json.loads(convatlas("eval", *folders[:2], "--protocol", "dense", "--data", place, "--split", "train", "--json").stdout)
    assert (together_["n"], together_["protocol"], len(together_["members"])) == (81, "dense", 2)
    mixed = json.loads(convatlas("eval", *folders, "--average=weights", "--data", place, "--split", "test", "--json").stdout)
    assert (mixed["n"], len(mixed["members"])) == (60, 3)
    assert [row["name"] for row in mixed["members"]] == [str(folder) for folder in folders]


def test_the_command_compares_two(convatlas, runs, members):
    a, b, c = (run.folder for run in runs)
    found = json.loads(convatlas("eval", a, b, "--compare", "--json").stdout)
    expected = compare(members[0], members[1])
    assert (found["only_first_wrong"], found["only_second_wrong"], found["p"]) == (
        expected.only_first_wrong, expected.only_second_wrong, expected.p,
    )  # fmt: skip
    assert found["names"] == [str(a), str(b)]
    again = json.loads(convatlas("eval", a, b, "--compare", "--protocol", "flip", "--json").stdout)
    assert again["first"]["protocol"] == "flip"
    assert "by McNemar's exact test" in convatlas("eval", a, b, "--compare").stdout
    for words, reason in (
        ((a, b, c, "--compare"), "--compare takes two runs, not 3"),
        ((a, "--average", "weights"), "--average weights takes two runs or more"),
        ((a, "--protocol", "nine-crop"), "no protocol 'nine-crop'; there are: single view, flip"),
        ((a / "weights.safetensors",), "name labelled pictures by --data"),
    ):
        refused = convatlas("eval", *words)
        assert refused.returncode == 2
        assert reason in refused.stderr


def test_an_unfinished_run_is_measured(convatlas, recipe, place, runs):
    run = begin(place.parent / "unfinished", "tints", recipe, 7)
    for _ in run.go(save_every=0):
        run.stop()
    assert not open_run(run.folder).finished
    found = json.loads(convatlas("eval", runs[0].folder, run.folder, "--compare", "--json").stdout)
    assert found["second"]["n"] == 60
