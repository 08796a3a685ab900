import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.plugins.hparams import metadata

from convatlas.mistake import Mistake
from convatlas.recipes import RECIPES
from convatlas.run import begin, open_run
from convatlas.track import following, mirror

SHORT = replace(RECIPES["lenet5_modern-mnist"], steps=40, test=20, batch=50, threads=1)
TAGS = ("loss", "rate", "images_per_s", "test_error")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    run = begin(tmp_path_factory.mktemp("track") / "run", "short", SHORT, 3)
    for _ in run.go():
        pass
    return run.folder


@pytest.fixture
def run(done, tmp_path):
    """The finished run's record again, where a test may change it."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("recipe.json", "log.jsonl"):
        shutil.copy2(done / name, folder / name)
    return folder


def seen(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard's own reader finds."""
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    assert set(found.Tags()["scalars"]) <= set(TAGS)
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What the whole lines of the log say, in the precision that TensorBoard keeps."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_bytes().split(b"\n")[:-1]]
    found = {tag: [(line["step"], float(torch.tensor(line[tag]))) for line in lines if tag in line] for tag in TAGS}
    return {tag: points for tag, points in found.items() if points}


def files(folder: Path) -> list[Path]:
    """Those with something in them."""
    return sorted(file for file in (folder / "tensorboard").iterdir() if file.stat().st_size)


def test_tensorboard_reads_every_number_of_the_log(run):
    assert mirror(run) == run / "tensorboard"
    assert seen(run) == logged(run)
    assert [step for step, _ in seen(run)["test_error"]] == [20, 40]
    found = EventAccumulator(str(run / "tensorboard")).Reload()
    seconds = [line["seconds"] for line in map(json.loads, (run / "log.jsonl").read_text().splitlines()) if "loss" in line]
    begun = (run / "recipe.json").stat().st_mtime
    assert [event.wall_time - begun for event in found.Scalars("loss")] == pytest.approx(seconds, abs=1e-3)
    assert b'"environment"' in found.Tensors("begin")[0].tensor_proto.string_val[0]


def test_the_recipes_values_are_there_and_seeds_are_one_group(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    written = json.loads((other / "recipe.json").read_text())
    (other / "recipe.json").write_text(json.dumps(written | {"seed": 4}))
    starts = []
    for folder in (run, other):
        mirror(folder)
        content = EventAccumulator(str(folder / "tensorboard")).Reload().PluginTagToContent("hparams")[metadata.SESSION_START_INFO_TAG]
        starts.append(metadata.parse_session_start_info_plugin_data(content))
    assert starts[0].hparams["steps"].number_value == 40
    assert starts[0].hparams["model"].string_value == "lenet5_modern"
    assert starts[0].hparams["rate.peak"].number_value == SHORT.rate.peak
    assert starts[0].group_name == starts[1].group_name
    assert starts[0].group_name.startswith("short ")


def test_twice_is_as_once_in_this_process_and_in_another(run):
    mirror(run)
    (file,) = files(run)
    before = file.read_bytes()
    mirror(run)
    code = "import sys; from pathlib import Path; from convatlas.track import mirror; mirror(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, run], check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert files(run) == [file]
    assert file.read_bytes() == before


@pytest.mark.parametrize("cut", [0, 1, 11, 500, -1, -9])
def test_a_file_that_was_cut_off_anywhere_is_made_whole(run, cut):
    mirror(run)
    (file,) = files(run)
    before = file.read_bytes()
    file.write_bytes(before[:cut])
    mirror(run)
    assert files(run) == [file]
    assert file.read_bytes() == before


def test_a_run_is_followed_line_by_line_and_another_process_at_it_changes_nothing(run):
    text = (run / "log.jsonl").read_bytes()
    (run / "log.jsonl").unlink()
    with following(run) as see:
        see()
        assert not seen(run)
        for end in range(0, len(text), 1000):
            (run / "log.jsonl").write_bytes(text[:end])  # most end within a line
            see()
            assert seen(run) == logged(run)
            mirror(run)
        (run / "log.jsonl").write_bytes(text)
    assert seen(run) == logged(run)
    (file,) = files(run)
    followed = file.read_bytes()
    file.unlink()
    mirror(run)
    assert files(run) == [file]
    assert file.read_bytes() == followed


def test_a_run_that_goes_on_from_its_checkpoint_has_each_step_once_also_for_who_was_looking(tmp_path):
    """Lines after the checkpoint are lost with the process that wrote them; TensorBoard has seen them already."""
    run = begin(tmp_path / "run", "short", SHORT, 0)
    with following(run.folder) as see:
        session = run.go(save_every=1e9)
        for _ in range(3):
            next(session)
        run.stop()
        list(session)  # to its checkpoint
        see()
    at = json.loads((run.folder / "log.jsonl").read_text().splitlines()[-1])["step"]
    with (run.folder / "log.jsonl").open("a") as log:
        log.writelines(json.dumps({"step": at + i, "loss": 9.0, "seconds": 50.0}) + "\n" for i in (1, 2, 3))
    mirror(run.folder)
    looking = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    assert [event.step for event in looking.Scalars("loss")][-1] == at + 3
    resumed = open_run(run.folder)
    with following(run.folder) as see:
        for _ in resumed.go():
            see()
    assert seen(run.folder) == logged(run.folder)
    assert [step for step, _ in seen(run.folder)["loss"]] == list(range(1, 41))
    looking.Reload()
    assert [(event.step, event.value) for event in looking.Scalars("loss")] == logged(run.folder)["loss"]
    (file,) = files(run.folder)
    assert "0000000002" in file.name
    assert len(list(RawEventFileLoader(str(file)).Load())) == 3 + len((run.folder / "log.jsonl").read_text().splitlines())


def test_the_files_of_others_stay(run):
    (run / "tensorboard").mkdir()
    theirs = run / "tensorboard" / "events.out.tfevents.1.elsewhere"
    theirs.write_bytes(b"theirs")
    mirror(run)
    (run / "log.jsonl").write_text("")
    mirror(run)
    ours = run / "tensorboard" / "events.out.tfevents.0000000002.convatlas"
    assert files(run) == [ours, theirs]
    assert theirs.read_bytes() == b"theirs"


@pytest.mark.parametrize("line", ["{", "[]", '{"step": "first", "loss": 1.0}', "\0\0"])
def test_a_damaged_log_is_named_and_what_was_mirrored_stays(run, line):
    mirror(run)
    before = [file.read_bytes() for file in files(run)]
    with (run / "log.jsonl").open("a") as log:
        log.write(line + "\n")
    with pytest.raises(Mistake, match=r"log.jsonl is damaged at"):
        mirror(run)
    assert [file.read_bytes() for file in files(run)] == before


def test_no_run_and_no_tensorboard_are_said_before_anything_begins(run, tmp_path):
    with pytest.raises(Mistake, match=r"recipe.json cannot be read"):
        mirror(tmp_path / "nothing")
    code = (
        "import sys; sys.modules['tensorboard'] = None\n"
        "from pathlib import Path; from convatlas.track import following; from convatlas.mistake import Mistake\n"
        "try:\n with following(Path(sys.argv[1])): sys.exit('it began')\n"
        "except Mistake as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code, run], capture_output=True, text=True, check=True).stdout
    assert said == "this needs TensorBoard: pip install 'convatlas[track]'.\n"
    assert not (run / "tensorboard").exists()
