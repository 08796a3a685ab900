"""Ray for real: its processes are started here, killed, and must be gone afterwards."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image
from test_launch import SHORT, apart, step, until

from convatlas.data import source

COMMAND = [sys.executable, "-m", "convatlas"]
BRIEF = ["--recipe.steps", "60", "--recipe.test", "30"]

pytest.importorskip("ray")
pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="workers are found in /proc")


def descendants(pid: int) -> dict[int, str]:
    """All processes below one, and what they are called."""
    found, new = {}, [pid]
    while new:
        top = new.pop()
        try:
            children = [int(word) for word in Path(f"/proc/{top}/task/{top}/children").read_text().split()]
            found |= {child: Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode() for child in children}
            new += children
        except (FileNotFoundError, ProcessLookupError):  # it has just gone
            continue
    return found


def gone(pids) -> bool:
    def state(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return "Z"

    return all(state(pid) == "Z" for pid in pids)


def killed(process: subprocess.Popen) -> None:
    """SIGKILL, after which all that works goes by itself; two of Ray's agents look for their parent once in a minute or so."""
    below = descendants(process.pid)
    process.kill()
    assert process.wait() == -9, "it ended before it was killed: give it more to do"
    agents = {pid for pid, name in below.items() if "Agent" in name}
    until(lambda: gone(below.keys() - agents))
    for pid in agents:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture
def command(calm):
    """Begins a command; whatever becomes of the test, neither it nor any of Ray's processes below it stays."""
    begun: list[subprocess.Popen] = []

    def begin(*words) -> subprocess.Popen:
        begun.append(subprocess.Popen([*COMMAND, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield begin
    for process in begun:
        for pid in (*descendants(process.pid), process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.communicate()


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Six thousand digits in three shards, and a run that reads digits."""
    place = tmp_path_factory.mktemp("ray")
    x = source("mnist").load("test").x[:6000, 0].numpy()
    for n in range(3):
        with tarfile.open(place / f"digits-{n}.tar", "w") as tar:
            for i in range(2000 * n, 2000 * (n + 1)):
                held = io.BytesIO()
                Image.fromarray(x[i]).save(held, "BMP")
                info = tarfile.TarInfo(f"{i:05}.bmp")
                info.size = len(held.getvalue())
                tar.addfile(info, io.BytesIO(held.getvalue()))
    subprocess.run([*COMMAND, "train", *SHORT, *BRIEF, "--out", place / "run"], check=True, capture_output=True)
    return place


def test_many_pictures_killed_in_the_middle_stand_in_the_table_once(digits, command, tmp_path):
    """SIGKILL to the command when a part is there: Ray goes with it, and the same words do the rest."""
    words = ("predict", digits / "run", digits, "--engine", "ray", "--csv", tmp_path / "out.csv", "--json")
    process = command(*words)
    parts = tmp_path / "out.csv.parts"
    until(lambda: len(list(parts.glob("0*.json"))) > 0)
    killed(process)
    assert 0 < len(list(parts.glob("0*.json"))) < 6
    process = command(*words)
    out, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert json.loads(out) == {"csv": str(tmp_path / "out.csv"), "pictures": 6000, "problems": 0}
    rows = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert [name for name, _ in rows] == [f"digits-{i // 2000}.tar/{i:05}.bmp" for i in range(6000)]
    y = source("mnist").load("test").y[:6000].tolist()
    assert sum(int(label) == answer for (_, label), answer in zip(rows, y, strict=True)) > 3000
    assert not parts.exists()


@pytest.mark.slow
def test_a_killed_looker_is_replaced(digits, command, tmp_path):
    process = command("predict", digits / "run", digits, "--engine", "ray", "--workers", "2", "--csv", tmp_path / "out.csv", "--json")
    until(lambda: list((tmp_path / "out.csv.parts").glob("0*.json")))
    looker = next(pid for pid, name in descendants(process.pid).items() if "MapWorker" in name)
    os.kill(looker, signal.SIGKILL)
    out, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert json.loads(out)["pictures"] == 6000
    assert len(set((tmp_path / "out.csv").read_text().splitlines())) == 6001


@pytest.mark.slow
def test_a_killed_worker_of_ray_is_replaced_and_goes_on_to_the_same_bits(command, tmp_path):
    words = (*SHORT, "--recipe.steps", "300", "--recipe.test", "150", "--workers", "2", "--save-every", "0.2", "--out")
    process = command("train", *words, tmp_path / "torn", "--launch", "ray")
    until(lambda: step(tmp_path / "torn"))
    workers = [pid for pid, name in descendants(process.pid).items() if "RayTrainWorker" in name]
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    _, said = process.communicate(timeout=150)
    assert process.returncode == 0, said
    log = [json.loads(line) for line in (tmp_path / "torn" / "log.jsonl").read_text().splitlines()]
    assert [line["environment"]["workers"] for line in log if line.get("event") == "begin"] == [2, 2]
    subprocess.run([*COMMAND, "train", *words, tmp_path / "whole"], check=True, capture_output=True)
    assert apart(tmp_path / "torn", tmp_path / "whole") == 0


@pytest.mark.slow
def test_what_rays_workers_find_wrong_is_said(command, tmp_path):
    process = command("train", *SHORT, *BRIEF, "--recipe.rate.peak", "1e9", "--launch", "ray", "--workers", "2", "--out", tmp_path / "run")
    _, said = process.communicate(timeout=150)
    assert process.returncode == 2
    assert said.count("convatlas: the loss is") == 1


@pytest.mark.slow
def test_a_sweep_trains_each_setting_with_each_seed_and_goes_on_where_it_was_killed(command, tmp_path):
    words = ("sweep", *SHORT, *BRIEF, "--recipe.rate.peak", "0.1", "--recipe.rate.peak=0.2", "--seeds", "2", "--out", tmp_path, "--json")
    process = command(*words)
    until(lambda: list(tmp_path.glob("*/result.json")))
    killed(process)
    first = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/result.json")}
    assert len(first) < 4
    process = command(*words, "--workers", "2")
    out, said = process.communicate(timeout=150)
    assert process.returncode == 0, said
    assert {path: path.stat().st_mtime_ns for path in first} == first
    rows = json.loads(out)
    assert rows == json.loads((tmp_path / "sweep.json").read_text())
    assert [row["setting"]["rate"]["peak"] for row in rows] == ["0.1", "0.2"]
    for row in rows:
        errors = [json.loads((Path(folder) / "result.json").read_text())["top1_error"] for folder in row["folders"]]
        assert row["errors"] == errors
        assert row["mean"] == pytest.approx(sum(errors) / 2)
        assert row["gain"] == pytest.approx(row["mean"] - row["together"])
        assert {json.loads((Path(folder) / "recipe.json").read_text())["seed"] for folder in row["folders"]} == {0, 1}
