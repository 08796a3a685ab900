"""Real workers: two processes that train one network, and what happens when they are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from convatlas.run import read_state

COMMAND = [sys.executable, "-m", "convatlas", "train"]
SHORT = ["lenet5_modern-mnist", "--recipe.batch", "64", "--recipe.threads", "1"]


def apart(a: Path, b: Path) -> float:
    """The largest difference between two runs' weights."""
    one, other = (load_file(folder / "weights.safetensors") for folder in (a, b))
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def children(pid: int) -> list[int]:
    """The workers of a process, in the order of their ranks."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(word) for word in found if b"spawn_main" in Path(f"/proc/{word}/cmdline").read_bytes()]
    except (FileNotFoundError, ProcessLookupError):  # one of them has just gone
        return []


def until(true, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)
    return found


def step(folder: Path) -> int:
    return read_state(folder)["step"] if (folder / "state.pt").exists() else 0


def begun(folder: Path, steps: int) -> subprocess.Popen:
    changes = ["--recipe.steps", str(steps), "--recipe.test", str(steps // 2), "--save-every", "0.2"]
    words = (*COMMAND, *SHORT, *changes, "--workers", "2", "--out", folder)
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def over():
    """Ends what a test began, whatever became of it."""
    left: list[subprocess.Popen] = []
    yield left
    for process in left:
        for pid in [*children(process.pid), process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.communicate()


@pytest.mark.skipif(not Path("/proc").exists(), reason="workers are found in /proc")
@pytest.mark.parametrize("killed", [(0,), pytest.param((1, 0, 1), marks=pytest.mark.slow)])
def test_a_killed_worker_is_replaced_and_training_goes_on_to_the_same_bits(tmp_path, calm, over, killed):
    """SIGKILL to these ranks, one after another. That two learn what one does is test_distribute's affair."""
    torn, whole = tmp_path / "torn", tmp_path / "whole"
    over.append(process := begun(torn, 200))
    for rank in killed:
        workers = until(lambda: len(found := children(process.pid)) == 2 and found)
        before = step(torn)
        until(lambda before=before: step(torn) > before)
        os.kill(workers[rank], signal.SIGKILL)
        until(lambda workers=workers: not set(workers) & set(children(process.pid)))
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    log = [json.loads(line) for line in (torn / "log.jsonl").read_text().splitlines()]
    assert [line["environment"]["workers"] for line in log if line.get("event") == "begin"] == [2] * (1 + len(killed))
    assert json.loads((torn / "result.json").read_text())["workers"] == 2
    over.append(process := begun(whole, 200))
    process.communicate(timeout=100)
    assert apart(torn, whole) == 0


@pytest.mark.skipif(not Path("/proc").exists(), reason="workers are found in /proc")
def test_an_interrupted_launch_ends_with_a_checkpoint_and_leaves_no_worker(tmp_path, calm, over):
    process = begun(tmp_path / "run", 100_000)
    over.append(process)
    workers = until(lambda: len(found := children(process.pid)) == 2 and found)
    until(lambda: step(tmp_path / "run"))
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Stopped. Go on with: convatlas train --resume" in said
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_what_is_wrong_is_said_once_and_not_tried_again(tmp_path, calm):
    words = [*COMMAND, *SHORT, "--recipe.steps", "200", "--recipe.rate.peak", "1e9", "--workers", "2", "--out", tmp_path / "run"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 2
    assert done.stderr.count("convatlas: the loss is") == 1
    assert "lower the rate" in done.stderr
    done = subprocess.run(
        [*words[:-1], tmp_path / "other", "--recipe.batch", "63"], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 2
    assert "recipe.batch is 63, which 2 workers cannot share evenly" in done.stderr


@pytest.mark.slow
def test_the_command_torchrun_begins_workers_as_well(tmp_path, calm):
    folder = tmp_path / "run"
    subprocess.run([*COMMAND, *SHORT, "--recipe.steps", "40", "--recipe.test", "20", "--out", folder], check=True, capture_output=True)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "convatlas", "train"]
    again = tmp_path / "again"
    subprocess.run([*COMMAND, *SHORT, "--recipe.steps", "40", "--recipe.test", "20", "--out", again], check=True, capture_output=True)
    for name in ("result.json", "state.pt", "weights.safetensors"):
        (again / name).unlink()
    done = subprocess.run([*torchrun, "--resume", again, "--json"], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["workers"] == 2
    assert apart(folder, again) < 1e-5
    assert torch.equal(load_file(again / "scores.safetensors")["y"], load_file(folder / "scores.safetensors")["y"])


def test_the_log_is_mirrored_while_it_grows(tmp_path, convatlas):
    pytest.importorskip("tensorboard")
    done = convatlas("train", *SHORT, "--recipe.steps", "6", "--recipe.test", "3", "--out", tmp_path / "run", "--track", "--json")
    assert done.returncode == 0, done.stderr
    (events,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert events.stat().st_size > 1000
