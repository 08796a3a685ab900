import errno
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import convatlas
from convatlas.data.rest import Rest
from convatlas.disk import whole
from convatlas.mistake import Mistake
from convatlas.recipes import RECIPES
from convatlas.run import begin, open_run, read_state

SHORT = replace(RECIPES["lenet5_modern-mnist"], steps=60, test=20, batch=50, threads=1)


def finished(folder: Path, recipe=SHORT, seed: int = 0):
    run = begin(folder, "short", recipe, seed)
    for _ in run.go():
        pass
    return run


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("runs") / "done")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "weights.safetensors")


def same(a: Path, b: Path) -> bool:
    one, other = weights(a), weights(b)
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_the_folder_holds_what_it_should_and_nothing_half_made(done):
    names = {path.name for path in done.folder.iterdir()}
    assert names == {"recipe.json", "log.jsonl", "state.pt", "weights.safetensors", "scores.safetensors", "result.json", ".lock"}
    assert done.result().keys() >= {"top1_error", "top5_error", "n", "interval", "seconds", "environment", "published"}
    assert done.result()["n"] == 10_000
    low, high = done.result()["interval"]
    assert low <= done.result()["top1_error"] <= high


def test_the_log_has_every_test_and_the_environment(done):
    log = done.log()
    assert [line["step"] for line in log if "test_error" in line] == [20, 40, 60]
    assert log[0]["environment"].keys() >= {"torch", "python", "cores", "threads", "commit", "processor"}
    assert [line["step"] for line in log if "loss" in line] == list(range(1, 61))


def test_a_run_is_loaded_as_a_network_and_its_errors_are_those_it_wrote(done):
    from convatlas.data import source
    from convatlas.evaluate import evaluate, scores

    net = convatlas.load(done.folder)
    assert not net.training
    test = source("mnist").load("test")
    assert evaluate(scores(net, test.x, SHORT.preprocess), test.y).top1_error == done.result()["top1_error"]


def test_weights_are_kept_after_the_steps_that_the_recipe_names(done, tmp_path):
    kept = finished(tmp_path / "kept", replace(SHORT, kept=(5, 60)))
    first, last = (load_file(kept.folder / f"kept-{n}.safetensors") for n in (5, 60))
    assert same(kept.folder, done.folder)
    assert all(torch.equal(last[name], w) for name, w in weights(kept.folder).items())
    assert not torch.equal(first["features.C1.0.weight"], last["features.C1.0.weight"])
    assert len([*kept.folder.glob("kept-*")]) == 2
    stopped = begin(tmp_path / "stopped", "short", replace(SHORT, kept=(5, 60)), 0)
    for progress in stopped.go(save_every=0.0):
        if progress.step == 5:
            stopped.stop()
    assert read_state(stopped.folder)["step"] == 5
    again = load_file(stopped.folder / "kept-5.safetensors")
    assert all(torch.equal(again[name], w) for name, w in first.items())


def test_seeds_differ_and_repeat(done, tmp_path):
    assert same(done.folder, finished(tmp_path / "again").folder)
    assert not same(done.folder, finished(tmp_path / "other", seed=1).folder)


def test_a_run_stopped_at_any_step_goes_on_to_the_same_bits(done, tmp_path):
    for at in (1, 19, 20, 21, 59):
        run = begin(tmp_path / str(at), "short", SHORT, 0)
        steps = iter(range(1, 100))
        session = run.go(save_every=0.0)
        while next(steps) <= at:
            next(session)
        run.stop()
        list(session)  # goes on to its end, which is the checkpoint
        resumed = open_run(run.folder)
        assert 0 < read_state(run.folder)["step"] < 60
        for _ in resumed.go():
            pass
        assert same(done.folder, resumed.folder)
        timeless = [[{k: v for k, v in line.items() if k not in ("seconds", "images_per_s", "environment")} for line in r.log()
                     if "event" not in line] for r in (done, resumed)]  # fmt: skip
        assert timeless[0] == timeless[1]


def test_a_run_in_which_pictures_rest_goes_on_to_the_same_bits(tmp_path):
    recipe = replace(SHORT, steps=75, test=75, batch=1500, rest=Rest(share=0.4, start=0.0))  # 24 steps, 40 steps, and a third pass
    done = finished(tmp_path / "done", recipe)
    run = begin(tmp_path / "cut", "short", recipe, 0)
    for at in (24, 70):
        for progress in run.go(save_every=60.0):
            if progress.step >= at:
                run.stop()
        assert at <= read_state(run.folder)["step"] < 75
        run = open_run(run.folder)
    for _ in run.go():
        pass
    assert same(done.folder, run.folder)
    assert read_state(done.folder)["order"]["pass"] == 2
    assert not same(done.folder, finished(tmp_path / "without", replace(recipe, rest=None)).folder)


def test_a_checkpoint_holds_nothing_but_plain_values_and_tensors(done):
    state = torch.load(done.folder / "state.pt", weights_only=True)
    assert state.keys() == {
        "weights",
        "averaged",
        "optimiser",
        "generator",
        "order",
        "step",
        "errors",
        "seconds",
        "loss",
        "summed",
        "losses",
        "best",
    }


def test_a_folder_in_use_is_left_alone(tmp_path):
    run = begin(tmp_path / "run", "short", SHORT, 0)
    going = run.go()
    next(going)
    with pytest.raises(Mistake, match="is being trained by another process"):
        next(open_run(run.folder).go())
    going.close()
    next(open_run(run.folder).go())


@pytest.mark.parametrize("content", ["recipe.json", "something.txt"])
def test_a_folder_that_holds_something_is_refused(tmp_path, content):
    (tmp_path / content).write_text("{}")
    with pytest.raises(Mistake, match=r"Go on with it by --resume .*, or choose another place by --out"):
        begin(tmp_path, "short", SHORT, 0)
    assert [path.name for path in tmp_path.iterdir()] == [content]


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Mistake, match=r"cannot be written: Not a directory. Choose another place by --out"):
        begin(tmp_path / "file" / "run", "short", SHORT, 0)


def test_a_damaged_recipe_is_named(tmp_path):
    with pytest.raises(Mistake, match="holds no run"):
        open_run(tmp_path)
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(Mistake, match=r"recipe\.json is damaged"):
        open_run(tmp_path)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_what_was(tmp_path):
    run = begin(tmp_path / "run", "short", replace(SHORT, rate=replace(SHORT.rate, peak=1e9)), 0)
    with pytest.raises(Mistake, match=r"the loss is (nan|inf) at step \d+: lower the rate"):
        list(run.go(save_every=0.0))
    assert not run.finished


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole(path) as draft:
        draft.write_text("ne")
        1 / 0  # noqa: B018
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with whole(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new"


COMMAND = [sys.executable, "-m", "convatlas", "train"]
CHANGES = ["lenet5_modern-mnist", "--recipe.steps", "400", "--recipe.test", "150", "--recipe.batch", "32", "--recipe.threads", "1"]


def test_a_full_disk_loses_nothing_and_is_said(tmp_path, calm):
    """A limit on the size of a file stands in the way as a full disk does: a write fails half done."""
    folder = tmp_path / "run"
    assert subprocess.run([*COMMAND, *CHANGES, "--recipe.steps", "5", "--out", folder], capture_output=True, check=False).returncode == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def little():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    again = tmp_path / "again"
    failed = subprocess.run([*COMMAND, *CHANGES, "--out", again], capture_output=True, text=True, check=False, preexec_fn=little)
    assert failed.returncode == 2
    assert os.strerror(errno.EFBIG) in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not list(again.glob(".*.draft"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    resumed = subprocess.run([*COMMAND, "--resume", again, "--json"], capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["n"] == 10_000


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="a small disk of one's own can only be mounted by root")
def test_a_disk_that_is_truly_full(tmp_path, calm):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", small], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        failed = subprocess.run(
            [*COMMAND, *CHANGES, "--save-every", "0.1", "--out", small / "run"], capture_output=True, text=True, check=False
        )
        assert failed.returncode == 2
        assert os.strerror(errno.ENOSPC) in failed.stderr
        assert "Traceback" not in failed.stderr
        subprocess.run(["mount", "-o", "remount,size=20m", small], check=True)
        assert subprocess.run([*COMMAND, "--resume", small / "run"], capture_output=True, check=False).returncode == 0
        assert (small / "run" / "report.html").exists()
    finally:
        subprocess.run(["umount", small], check=False)


def begins(folder: Path) -> int:
    """How often training has begun or gone on in a run's folder."""
    log = folder / "log.jsonl"
    return log.read_text().count('"event": "begin"') if log.exists() else 0


def test_killed_ten_times_at_random_moments_it_ends_at_the_same_bits(tmp_path, calm):
    """Real processes, real SIGKILL, while they train, test, log and save: the run goes on from whatever is on the disk."""
    steps = ["lenet5_modern-mnist", "--recipe.steps", "1500", "--recipe.test", "400", "--recipe.batch", "32", "--recipe.threads", "1"]
    whole_run, torn = tmp_path / "whole", tmp_path / "torn"
    subprocess.run([*COMMAND, *steps, "--out", whole_run], capture_output=True, check=True)
    generator = torch.Generator().manual_seed(0)
    reached = []
    for kill in range(10):
        before = begins(torn)
        words = [*COMMAND, *(["--resume", torn] if kill else [*steps, "--out", torn]), "--save-every", "0.02"]
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        while begins(torn) == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.6 * float(torch.rand((), generator=generator)))
        process.kill()
        assert process.wait() == -9, "it ended before it was killed: give it more steps"
        reached.append(read_state(torn)["step"] if (torn / "state.pt").exists() else 0)
    assert reached == sorted(reached)
    assert len(set(reached)) > 5  # it was getting on in between
    subprocess.run([*COMMAND, "--resume", torn], capture_output=True, check=True)
    assert same(whole_run, torn)
    assert not list(torn.glob(".*.draft"))
    assert len(list(torn.glob("weights*"))) == 1
