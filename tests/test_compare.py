import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from convatlas.compare import POINTS, curves, found, over_all_seeds, stand
from convatlas.recipes import RECIPES
from convatlas.recipes.text import encode
from convatlas.run import begin

SHORT = replace(RECIPES["lenet5_modern-mnist"], steps=40, test=20, batch=50, threads=1)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Two seeds of one recipe, trained."""
    place = tmp_path_factory.mktemp("compare") / "runs"
    for seed in (0, 1):
        for _ in begin(place / f"short-seed{seed}", "short", SHORT, seed).go():
            pass
    return place


@pytest.fixture
def runs(done, tmp_path):
    shutil.copytree(done, tmp_path / "runs")
    return tmp_path / "runs"


def write(folder: Path, recipe=SHORT, name="other", seed=0, error=None, lines=(), **changed) -> Path:
    """The record of a run, as a run writes it, without the training."""
    begin(folder, name, recipe, seed, changed)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if error is not None:
        result = {"top1_error": error, "interval": [error - 1, error + 1], "n": 10_000, "steps": recipe.steps, "seconds": 60.0 + seed}
        (folder / "result.json").write_text(json.dumps(result | {"images_per_s": 100.0}))
    return folder


def loss(step: int, value: float = 1.0) -> dict[str, float]:
    return {"step": step, "loss": value, "rate": 0.1, "seconds": step / 10, "images_per_s": 500.0}


def test_a_finished_run_stands_where_its_result_says(done):
    run, result = stand(done / "short-seed1"), json.loads((done / "short-seed1" / "result.json").read_text())
    assert (run.name, run.seed, run.state, run.step, run.steps) == ("short", 1, "finished", 40, 40)
    assert (run.error, list(run.interval), run.n) == (result["top1_error"], result["interval"], 10_000)
    assert (run.seconds, run.images_per_s) == (result["seconds"], result["images_per_s"])
    log = map(json.loads, (done / "short-seed1" / "log.jsonl").read_text().splitlines())
    errors = [line["test_error"] for line in log if "test_error" in line]
    assert run.best == min(errors)
    assert len(errors) == 2


def test_a_run_is_running_while_a_process_trains_it_and_then_stopped_at_its_checkpoint(tmp_path):
    run = begin(tmp_path / "run", "short", SHORT, 0)
    assert (stand(run.folder).state, stand(run.folder).step) == ("stopped", 0)
    session = run.go(save_every=1e9)
    for _ in range(2):
        next(session)
    assert stand(run.folder).state == "running"
    assert stand(run.folder).step == run.log()[-1]["step"] > 0
    with pytest.raises(Exception, match="being trained by another process"):
        next(run.go())  # looking has not let go of the lock
    run.stop()
    list(session)
    (weights,) = run.folder.glob("weights-*.safetensors")
    assert (stand(run.folder).state, stand(run.folder).step) == ("stopped", int(weights.stem.removeprefix("weights-")))


def test_two_who_look_at_once_do_not_see_each_other(tmp_path):
    folder = write(tmp_path / "run")
    (folder / ".lock").touch()
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'rb'); fcntl.flock(file, fcntl.LOCK_SH); print('has it', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, folder / ".lock"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as looking:
        assert looking.stdout.readline() == b"has it\n"
        assert stand(folder).state == "stopped"
        looking.stdin.close()


DAMAGE = {
    "recipe.json": ["", "{", "[]", "null", "\0", '{"name": 3}', "RECIPE steps null", "RECIPE steps []", "RECIPE seed x"],
    "result.json": ["", "{", "[1]", "{}", "RESULT interval [1]", "RESULT interval null", "RESULT n many"],
    "log.jsonl": ['{"loss": \n', '"loss"\n', '{"step": 1, "test_error": "low"}\n', '{"test_error": 1}\n', '\0\0\0"loss"\xff\n'],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in DAMAGE.items() for text in texts])
def test_damage_is_told_of_its_own_run_and_of_no_other(convatlas, tmp_path, name, text):
    write(tmp_path / "good", name="good", error=5.0)
    folder = write(tmp_path / "bad", error=5.0, lines=[loss(1)])
    if text.split(" ")[0] in ("RECIPE", "RESULT"):
        _, key, value = text.split(" ")
        whole = json.loads((folder / name).read_text())
        place = whole["recipe"] if key == "steps" else whole
        place[key] = json.loads(value) if value not in ("x", "many") else value
        text = json.dumps(whole)
    (folder / name).write_text(text, encoding="latin-1")
    shown = convatlas("runs", tmp_path)
    assert shown.returncode == 0
    assert [line.split()[2] for line in shown.stdout.splitlines()[1:2]] == ["finished"]
    assert str(folder) in shown.stdout.split("\n\n")[1]
    rows = json.loads(convatlas("runs", tmp_path, "--json").stdout)["runs"]
    assert [row["state"] for row in rows] == ["finished", "damaged"]
    assert rows[1]["problem"]


def test_what_a_kill_leaves_is_no_damage(tmp_path):
    folder = write(tmp_path / "run", lines=[loss(10), {"step": 20, "test_error": 8.0, "seconds": 2.0}])
    with (folder / "log.jsonl").open("a") as log:
        log.write('{"step": 30, "lo')
    (folder / ".state.pt.draft").write_bytes(b"half")
    run = stand(folder)
    assert (run.state, run.error, run.best, run.seconds, run.problem) == ("stopped", 8.0, 8.0, 1.0, "")
    (folder / "log.jsonl").unlink()
    assert stand(folder).state == "stopped"


def test_runs_are_found_at_any_depth_and_each_once(tmp_path):
    deep = write(tmp_path / "a" / "b" / "c")
    write(deep / "inner")
    (tmp_path / "a" / "half").mkdir()
    (tmp_path / "a" / "half" / ".recipe.json.draft").write_text("{")
    elsewhere = write(tmp_path / "elsewhere" / "run")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "elsewhere")
    (deep / "round").symlink_to(tmp_path / "a")
    assert sorted(folder.resolve() for folder in found(tmp_path / "a")) == [deep, deep / "inner", elsewhere]
    assert list(found(deep / "inner")) == [deep / "inner"]


def test_seeds_of_one_recipe_have_a_mean_and_students_interval(tmp_path):
    for seed, error in enumerate((0.9, 1.0, 1.1)):
        write(tmp_path / str(seed), seed=seed, error=error)
    write(tmp_path / "again", seed=2, error=1.1)  # a repetition tells nothing new
    write(tmp_path / "otherwise", replace(SHORT, batch=51), seed=3, error=50.0)
    write(tmp_path / "unfinished", seed=4, lines=[{"step": 1, "test_error": 90.0}])
    (group,) = over_all_seeds(stand(folder) for folder in found(tmp_path))
    assert (group.seeds, group.error, group.published) == ([0, 1, 2], pytest.approx(1.0), SHORT.published)
    assert group.interval == pytest.approx((1 - 4.303 * 0.1 / 3**0.5, 1 + 4.303 * 0.1 / 3**0.5), abs=1e-4)
    assert group.seconds == 61.0


def test_the_published_error_is_not_shown_beside_a_recipe_that_was_varied(tmp_path):
    recipe = replace(SHORT, published=0.95)
    for seed in (0, 1):
        write(tmp_path / f"as-it-is{seed}", recipe, seed=seed, error=1.0)
        write(tmp_path / f"varied{seed}", replace(recipe, batch=9), seed=seed, error=1.0, batch="9")
    assert {g.label: g.published for g in over_all_seeds(map(stand, found(tmp_path)))} == {"other": 0.95, "other batch=9": None}


def test_the_table_has_a_line_for_each_run_and_a_line_for_the_seeds(convatlas, runs, monkeypatch):
    monkeypatch.chdir(runs.parent)
    shown = convatlas("runs").stdout
    assert "\x1b" not in shown
    head, first, second, _, over, group = shown.splitlines()
    columns = ["name", "seed", "state", "error, %", "95 % interval", "best, %", "seconds", "images/s", "when", "folder"]
    assert re.split(r"  +", head) == columns
    run = stand(runs / "short-seed0")
    assert re.match(rf"short +0  finished  {run.error:.2f} +\d+\.\d\d to \d+\.\d\d  {run.best:.2f} +{run.seconds:.0f} ", first)
    assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d  runs/short-seed1$", second)
    assert re.split(r"  +", over) == ["over seeds", "seeds", "mean error, %", "95 % interval", "published, %", "mean seconds"]
    assert re.match(r"short +2  \d", group)


def test_json_is_one_document(convatlas, runs):
    shown = json.loads(convatlas("runs", runs, "--json").stdout)
    assert [run["seed"] for run in shown["runs"]] == [0, 1]
    assert shown["runs"][0].keys() >= {
        "folder",
        "name",
        "seed",
        "state",
        "step",
        "steps",
        "error",
        "interval",
        "n",
        "best",
        "seconds",
        "when",
    }
    assert shown["groups"][0]["seeds"] == [0, 1]
    assert shown["groups"][0]["folders"] == [str(runs / "short-seed0"), str(runs / "short-seed1")]


def test_patterns_narrow_and_sorts_sort(convatlas, tmp_path):
    for name, error, seed in (("lenet-a", 3.0, 1), ("lenet-b", 1.0, 2), ("resnet", 2.0, 3)):
        os.utime(write(tmp_path / name, name=name, error=error, seed=seed) / "result.json", (seed * 1e9 / 10,) * 2)
        os.utime(tmp_path / name / "log.jsonl", (0, 0))
    write(tmp_path / "waiting", name="waiting")

    def names(*words):
        return [run["name"] for run in json.loads(convatlas("runs", tmp_path, *words, "--json").stdout)["runs"]]

    assert names() == ["lenet-a", "lenet-b", "resnet", "waiting"]
    assert names("lenet") == names("lenet-*") == ["lenet-a", "lenet-b"]
    assert names("resnet", "wait") == ["resnet", "waiting"]
    assert names("--sort", "error") == ["lenet-b", "resnet", "lenet-a", "waiting"]
    assert names("--sort", "when")[1:] == ["resnet", "lenet-b", "lenet-a"]  # the one that waits was begun just now
    assert names("--sort", "state")[0] == "waiting"
    assert names("--sort", "seconds")[0] == "lenet-a"


def test_two_runs_are_compared_value_by_value(convatlas, tmp_path):
    one = write(tmp_path / "one", error=2.0)
    other = write(tmp_path / "other", replace(SHORT, batch=25, rate=RECIPES["resnet20-cifar10"].rate), error=3.0)
    shown = convatlas("runs", other, one).stdout.split("\n\n")
    assert [line.split()[3] for line in shown[0].splitlines()[1:]] == ["3.00", "2.00"]  # as they were named
    rows = [re.split(r"  +", line) for line in shown[1].splitlines()]
    assert rows[0] == ["recipe", str(other), str(one)]
    assert ["batch", "25", "50"] in rows
    assert ["rate", "Steps", "OneCycle"] in rows
    differences = json.loads(convatlas("runs", one, other, "--json").stdout)["differences"]
    assert differences["batch"] == ["50", "25"]
    assert differences["rate.peak"] == [str(SHORT.rate.peak), ""]
    assert "steps" not in differences
    same = write(tmp_path / "same", error=2.5, seed=1)
    assert convatlas("runs", one, same).stdout.endswith("Both follow the same recipe.\n")
    assert json.loads(convatlas("runs", tmp_path, "--json").stdout)["differences"] is None


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["runs", "no such thing"], "none of 1 runs is called like 'no such thing', and there is no such folder"),
        (["runs", "--sort", "beauty"], "runs are sorted by one of: name, state, error"),
        (["runs", "--plot", "curves.pdf"], "a file called .svg or .png, not curves.pdf"),
        (["runs", "--plot", "curves.svg"], "none of these runs has written a loss or an error yet"),
        (["."], ""),
    ],
)
def test_mistakes_are_said_in_one_line(convatlas, tmp_path, monkeypatch, words, reason):
    monkeypatch.chdir(tmp_path)
    assert "there is no folder runs here" in convatlas("runs").stderr
    assert convatlas("runs", ".").stdout == "No runs here yet; convatlas train begins one.\n"
    write(tmp_path / "runs" / "run")
    ended = convatlas("runs", *words)
    assert ended.returncode == (2 if reason else 0)
    assert reason in ended.stderr
    assert ended.stderr.count("\n") == bool(reason)


def test_curves_of_a_huge_log_are_thinned_and_keep_their_end(tmp_path):
    folder = write(tmp_path / "run", lines=[*map(loss, range(1, 20_001)), {"step": 20_000, "test_error": 3.0}])
    losses, errors = curves(folder)
    assert POINTS / 2 < len(losses) <= POINTS
    assert losses[-1] == (20_000, 1.0)
    assert errors == [(20_000, 3.0)]


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_curves_are_drawn_one_colour_a_recipe(convatlas, runs, kind):
    lines = [*[loss(step, 2 / step) for step in range(1, 41)], {"step": 20, "test_error": 9.0}, {"step": 40, "test_error": 4.0}]
    write(runs / "varied", replace(SHORT, batch=25), "short", error=4.0, lines=lines, batch="25")
    write(runs / "broken", lines=[loss(1), {"loss": "x"}, loss(3)])
    file = runs / f"curves.{kind}"
    ended = convatlas("runs", runs, "--plot", file)
    assert "log.jsonl is damaged" in ended.stderr
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert f"Look at {file}" in ended.stdout
    if kind == "png":
        with Image.open(file) as picture:
            assert picture.width > 1000
            assert {(31, 119, 180), (255, 127, 14)} <= {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}
        return
    text = file.read_text()
    strokes = [re.findall(rf"stroke: {colour}; stroke-width: ([\d.]+)", text) for colour in ("#1f77b4", "#ff7f0e", "#2ca02c")]
    assert [len(lines) for lines in strokes] == [5, 3, 0]  # two axes, two seeds and a line of the legend; one seed
    assert set(strokes[0]) == {"0.7"}
    assert set(strokes[1]) == {"1.4"}
    comments = re.findall(r"<!-- (.*?) -->", text)
    assert {"step", "training loss, nats", "test error, %", "short", "short batch=25"} <= set(comments)
    before = file.read_bytes()
    convatlas("runs", runs, "--plot", file)
    assert file.read_bytes() == before


def test_too_many_recipes_for_a_legend_have_none(convatlas, tmp_path):
    for i in range(12):
        write(tmp_path / str(i), replace(SHORT, batch=10 + i), f"recipe{i}", lines=[loss(1), loss(2, 0.5)])
    assert convatlas("runs", tmp_path, "--plot", tmp_path / "many.svg").returncode == 0
    assert "recipe3" not in (tmp_path / "many.svg").read_text()


def test_hundreds_of_runs_are_listed_in_a_second_or_two_without_torch(tmp_path):
    write(
        tmp_path / "0", lines=[{"event": "begin"}, *map(loss, range(400)), *({"step": i, "test_error": 5.0} for i in range(100))], error=5.0
    )
    for i in range(1, 300):
        shutil.copytree(tmp_path / "0", tmp_path / str(i))
    write(tmp_path / "huge", lines=[*map(loss, range(300_000))])
    start = time.process_time()
    rows = [stand(folder) for folder in found(tmp_path)]
    assert time.process_time() - start < 2
    assert [row.state for row in rows].count("finished") == 300
    code = "import sys; from convatlas.cli import main; main(['runs', sys.argv[1], '--json']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, stdout=subprocess.DEVNULL)


def test_existing_runs_are_mirrored_for_tensorboard_and_the_broken_ones_told(convatlas, runs):
    write(runs / "broken", error=1.0, lines=[{"loss": "x", "step": "y"}, loss(3)])
    ended = convatlas("runs", runs, "--tensorboard")
    assert ended.returncode == 2
    assert "broken/log.jsonl is damaged" in ended.stderr
    assert ended.stdout.endswith(f"Look with: tensorboard --logdir {runs}\n")
    assert sorted(file.parent.parent.name for file in runs.rglob("events.out.tfevents*")) == ["short-seed0", "short-seed1"]


def test_without_tensorboard_that_is_said_once(runs):
    code = "import sys; sys.modules['tensorboard'] = None; from convatlas.cli import main; main(['runs', sys.argv[1], '--tensorboard'])"
    ended = subprocess.run([sys.executable, "-c", code, runs], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "convatlas: this needs TensorBoard: pip install 'convatlas[track]'.\n")


def test_the_recipe_is_read_as_it_was_written(done):
    assert stand(done / "short-seed0").recipe == json.loads(json.dumps(encode(SHORT)))
