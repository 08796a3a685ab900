"""The command as a user meets it: its output and exit codes, as a process of its own wherever that could make a difference."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from convatlas.cli import app
from convatlas.data.mnist import load
from convatlas.models import MODELS
from convatlas.recipes import RECIPES

HERE = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "convatlas"]
QUICK = ["lenet5_modern-mnist", "--recipe.steps", "300", "--recipe.test", "150", "--recipe.rate.peak", "0.1"]
SHORT = ["lenet5_modern-mnist", "--recipe.steps", "60", "--recipe.test", "30"]


ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}  # as the tests themselves: they run side by side, and bits depend on it


def process(*words, cwd=None):
    return subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True, check=False, cwd=cwd, timeout=240, env=ALONE)


@pytest.fixture(scope="module")
def run(convatlas, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    trained = convatlas("train", *QUICK, "--out", folder)
    assert trained.returncode == 0, trained.stderr
    return folder


def verbs() -> list[str]:
    return [name for name in app if not name.startswith("-")]


def test_help_answers_at_once_for_it_does_not_load_torch():
    code = "import sys; from convatlas.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        best = min(best, time.perf_counter() - start)
    assert best < 1.0  # 0.3 s on an idle machine, which this is not


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_help_takes_json_and_is_in_the_readme(convatlas, verb):
    shown = convatlas(verb, "--help")
    assert shown.returncode == 0
    assert "--json" in shown.stdout
    assert f"convatlas {verb}" in (HERE / "README.md").read_text()


def test_every_command_in_the_readme_exists():
    blocks = re.findall(r"```(?:console|sh)\n(.*?)```", (HERE / "README.md").read_text(), re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    used = {line.split()[1] for line in lines if line.startswith("convatlas ")}
    assert used
    assert used <= set(verbs())
    targets = {line.split()[1] for line in lines if line.startswith("make ")}
    assert {"demo", "test"} <= targets
    makefile = (HERE / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_a_reader_that_stops_reading_is_no_error():
    listed = subprocess.run(
        f"{sys.executable} -m convatlas recipes lenet5-mnist | head -n 1", shell=True, capture_output=True, text=True, check=True
    )
    assert listed.stdout.startswith("--recipe.source")
    assert listed.stderr == ""


def test_models_and_recipes_list_all(convatlas):
    models = json.loads(convatlas("models", "lenet", "--json").stdout)
    assert [row["name"] for row in models] == [name for name in MODELS if "lenet" in name]
    assert models[0].keys() == {"name", "family", "year", "idea", "size", "parameters", "macs"}
    assert [row["name"] for row in json.loads(convatlas("models", "--json").stdout)] == list(MODELS)
    listed = convatlas("models", "lenet5*").stdout.splitlines()
    assert listed[2] == f"lenet, 1998. {models[0]['idea']}"
    assert listed[3].split() == ["lenet5", "32", "60,000", "326,520"]
    assert list(json.loads(convatlas("recipes", "--json").stdout)) == list(RECIPES)
    assert len(json.loads(convatlas("models", "*_modern", "--json").stdout)) == 1
    assert "--recipe.rate.peak" in convatlas("recipes", "lenet5_modern-mnist").stdout


def test_show_as_json_is_the_public_form(convatlas):
    shown = json.loads(convatlas("show", "lenet5", "--json").stdout)
    assert shown["totals"]["parameters"] == 60_000
    assert shown["totals"]["connections"] == 340_908
    assert shown.keys() >= {"model", "size", "layers", "totals"}
    assert shown["layers"][0].keys() >= {"name", "kind", "shape", "parameters", "macs", "activations", "field", "jump"}


def test_show_rules_explains_the_seven_figures_of_one_resnet50(convatlas):
    shown = convatlas("show", "resnet50", "--rules").stdout.splitlines()
    assert shown[0].startswith("resnet50, Table 1: 3.8 x 10^9 FLOPs")
    assert shown[1].split() == ["rule", "resnet50", "resnet50_v1_5", "counts"]
    assert shown[2].startswith("convatlas                3,857,973,248  4,089,184,256  multiply-accumulates")
    found = json.loads(convatlas("show", "resnet50", "--rules", "--json").stdout)
    assert found["rules"][-1]["totals"] == {"resnet50": 2 * 3_857_973_248, "resnet50_v1_5": 2 * 4_089_184_256}
    assert found["printed"][0]["value"] == 3_800_000_000
    assert list(json.loads(convatlas("show", "vgg11", "--rules", "--json").stdout)["rules"][0]["totals"]) == ["vgg11"]


def test_a_run_off_the_terminal_prints_plain_lines_and_where_to_look(tmp_path):
    trained = process("train", *SHORT, "--out", "here", cwd=tmp_path)
    assert trained.returncode == 0
    assert "\x1b" not in trained.stderr + trained.stdout
    assert re.search(r"lenet5_modern-mnist 3\d/60 loss [\d.]+ error [\d.]+ % rate [\d.]+ [\d,]+ images/s \d+ s left", trained.stderr)
    assert re.search(r"seed 0: [\d.]+ % test error \(95 % interval [\d.]+ to [\d.]+, n = 10,000\)", trained.stdout)
    assert "here/report.html" in trained.stdout


def test_a_run_on_a_terminal_shows_a_live_bar(tmp_path):
    parent, child = pty.openpty()
    words = [*COMMAND, "train", *SHORT, "--out", str(tmp_path / "run")]
    process = subprocess.Popen(words, stderr=child, stdout=subprocess.DEVNULL, env={**ALONE, "TERM": "xterm", "COLUMNS": "120"})
    os.close(child)
    shown = b""
    while True:
        try:
            part = os.read(parent, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    assert process.wait() == 0
    assert b"\x1b[" in shown
    assert re.search(rb"loss.*error.*images/s", shown)


def test_train_as_json_is_one_document_and_nothing_else(tmp_path):
    trained = process("train", *QUICK, "--recipe.steps=20", "--out", tmp_path / "run", "--json")
    found = json.loads(trained.stdout)
    assert trained.stderr == ""
    assert found["n"] == 10_000
    assert Path(found["report"]).exists()


def test_eval_measures_what_the_run_wrote(convatlas, run):
    found = json.loads(convatlas("eval", run, "--json").stdout)
    assert found.keys() == {"top1_error", "top5_error", "n", "interval", "protocol"}
    assert found["top1_error"] == json.loads((run / "result.json").read_text())["top1_error"]
    assert f"{found['top1_error']:.2f} % top-1 error" in convatlas("eval", run).stdout


def test_predict_reads_digits_in_both_forms_and_says_what_it_cannot_read(convatlas, run, tmp_path):
    digits = load("test")
    files = []
    for i in (0, 1, 2):
        files.append(tmp_path / f"{int(digits.y[i])}.png")
        Image.fromarray(digits.x[i, 0].numpy()).save(files[-1])
    found = json.loads(convatlas("predict", *files, "--run", run, "--json").stdout)
    assert [row["predictions"][0]["label"] for row in found] == ["7", "2", "1"]
    assert found[0]["predictions"][0].keys() == {"index", "label", "probability"}
    assert json.loads(convatlas("predict", run, *files, "--top", "10", "--json").stdout)[0]["predictions"][9]["probability"] >= 0
    (tmp_path / "text.png").write_text("no picture")
    mixed = convatlas("predict", run, tmp_path / "text.png", files[0])
    assert mixed.returncode == 2
    assert "text.png cannot be read as a picture" in mixed.stderr
    assert mixed.stdout.startswith(f"{files[0]}: 7 ")


def test_an_interrupted_run_says_how_to_go_on_and_goes_on(convatlas, run, tmp_path):
    folder = tmp_path / "run"
    words = [*COMMAND, "train", *QUICK, "--out", str(folder)]
    going = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=ALONE)
    while not (folder / "log.jsonl").exists() or '"loss"' not in (folder / "log.jsonl").read_text():
        time.sleep(0.01)
    going.send_signal(signal.SIGINT)
    _, said = going.communicate(timeout=60)
    assert going.returncode == 130
    assert f"convatlas train --resume {folder}" in said
    assert (folder / "state.pt").exists()
    assert not (folder / "result.json").exists()
    assert convatlas("train", "--resume", folder).returncode == 0
    same = (folder / "weights.safetensors").read_bytes() == (run / "weights.safetensors").read_bytes()
    assert same


def test_a_finished_run_is_not_trained_again(convatlas, run):
    before = (run / "weights.safetensors").stat().st_mtime_ns
    assert convatlas("train", "--resume", run).returncode == 0
    assert (run / "weights.safetensors").stat().st_mtime_ns == before


def test_a_recipe_that_has_changed_since_is_said_and_the_run_can_go_on_as_begun(convatlas, run, tmp_path):
    begun = json.loads((run / "recipe.json").read_text())
    folder = tmp_path / "old"
    folder.mkdir()
    begun["recipe"]["optimiser"]["momentum"] = 0.8  # as if the package had another value when the run began
    begun["recipe"]["steps"] = begun["changed"]["steps"] = 20
    (folder / "recipe.json").write_text(json.dumps(begun))
    refused = convatlas("train", "--resume", folder)
    assert refused.returncode == 2
    assert "recipe.optimiser.momentum: 0.8, now 0.9" in refused.stderr
    assert "--as-begun" in refused.stderr
    assert convatlas("train", "--resume", folder, "--as-begun").returncode == 0
    assert json.loads((folder / "recipe.json").read_text())["recipe"]["optimiser"]["momentum"] == 0.8


MISTAKES = {
    "no such network": (["show", "lenet6"], "no model 'lenet6'; there are: lenet5"),
    "too small": (["show", "alexnet", "--size", "40"], "do not fit this network, after features.conv5"),
    "no such recipe": (["train", "resnet"], "no recipe 'resnet'; there are: lenet5-mnist"),
    "no recipe": (["train"], "name a recipe, or a run by --resume"),
    "no such field": (["train", "lenet5-mnist", "--recipe.stpes", "5"], "recipe has no 'stpes'; it has: source"),
    "bad value": (["train", "lenet5-mnist", "--recipe.steps", "many"], "recipe.steps takes something like 1200000, not 'many'"),
    "unknown option": (["train", "lenet5-mnist", "--steps", "5"], "a field of the recipe is changed by --recipe.FIELD VALUE"),
    "no value": (["train", "lenet5-mnist", "--recipe.steps"], "is not understood here"),
    "no run": (["eval", "/nowhere"], "holds no run"),
    "no run to go on with": (["train", "--resume", "/nowhere"], "holds no run"),
    "no pictures": (["predict", "--run", "RUN"], "name at least one picture"),
    "predict without a run": (["predict", "a.png"], "name a network or a run"),
    "nothing fits": (["models", "transformer"], "nothing is called like 'transformer'"),
    "occupied": (["train", "lenet5-mnist", "--out", "RUN"], "holds a run already. Go on with it by --resume"),
    "another recipe's run": (["train", "lenet5-mnist", "--resume", "RUN"], "follows lenet5_modern-mnist, not lenet5-mnist"),
    "other values": (["train", "--resume", "RUN", "--recipe.batch", "7"], "cannot go on by another recipe (recipe.batch: 100, now 7)"),
    "another seed": (["train", "--resume", "RUN", "--seed", "5"], "goes on where it is, with the seed that it began with"),
    "no seed": (["train", "lenet5-mnist", "--seed", "-1"], "--seed is -1; it must be at least 0"),
    "no workers": (["train", "lenet5-mnist", "--workers", "0"], "--workers is 0; it must be at least 1"),
    "no such model": (["train", "lenet5-mnist", "--recipe.model", "nope"], "no model 'nope'; convatlas models lists them"),
    "colours": (["train", "resnet20-cifar10", "--recipe.data", "mnist"], "takes pictures of 3 channels; those of mnist have 1"),
    "no classes": (["predict", "RUN", "a.png", "--top", "0"], "--top is 0; it must be at least 1"),
    "workers of nobody": (["predict", "RUN", "a.png", "--workers", "2"], "--workers are Ray's"),
    "no rate": (["finetune", "efficientnet_lite0", "RUN", "--rate", "nan"], "--rate is nan; it must be more than 0"),
    "one fold": (["finetune", "efficientnet_lite0", "RUN", "--folds", "1"], "--folds is 1; it must be 2 or more, or 0"),
    "a split of nothing": (["eval", "RUN", "--split", "val"], "--split is for pictures of --data PLACE"),
    "no figures": (["check", "lenet5", "--papers", "RUN"], "holds no figures: no .toml file"),
    "no port": (["serve", "--port", "99999"], "--port is 99999; ports are 1 to 65535"),
    "no precision": (["serve", "--precision", "foo"], "no precision 'foo'; there are: auto, fp32"),
    "int8 of nothing": (["serve", "--precision", "int8"], "--calibration FOLDER"),
    "no time": (["serve", "--budget", "-1"], "--budget is -1.0; it is in seconds"),
    "no results": (["page", "--results", "/nowhere"], "/nowhere is not a folder"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_answered_in_one_line_with_exit_code_2(convatlas, case, run):
    words, reason = MISTAKES[case]
    words = [run if word == "RUN" else word for word in words]
    ended = (process if case == "no such recipe" else convatlas)(*words)
    assert ended.returncode == 2
    assert reason in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


def test_a_checkpoint_that_is_none_is_said(convatlas, run, tmp_path):
    (tmp_path / "recipe.json").write_bytes((run / "recipe.json").read_bytes())
    for text in (b"garbage", b""):
        (tmp_path / "state.pt").write_bytes(text)
        ended = convatlas("predict", tmp_path, "a.png")
        assert ended.returncode == 2
        assert "state.pt is damaged, or no checkpoint" in ended.stderr


def test_a_read_only_place_is_refused(convatlas, tmp_path):
    ended = convatlas("train", *QUICK, "--out", "/proc/convatlas")
    assert ended.returncode == 2
    assert "Choose another place by --out DIR" in ended.stderr
