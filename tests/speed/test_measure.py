"""What a measurement says, and how ways are compared."""

import os
import subprocess

import pytest

from convatlas.analysis import analyse
from convatlas.models import build
from convatlas.speed.measure import again, compared, contenders, cost, measure


def test_the_cost_is_the_analysis():
    is_, found = cost("lenet5", 3), analyse(build("lenet5"))
    assert is_["operations"] == 6 * found.macs
    assert is_["bytes"] == 4 * (found.parameters + 6 * found.total("activations"))


def test_bfloat16_may_be_met_by_float32_but_not_the_other_way():
    rounds = {
        "fast fp32": [2.0, 1.0, 2.0], "fast bf16": [3.0, 3.0, 3.0], "plain fp32": [0.5] * 3, "eager": [8.0, 4.0, 9.0],
        "openvino": [2.2, 1.1, 3.0], "openvino bf16": [1.0, 0.5, 1.1],
    }  # fmt: skip
    assert compared(rounds) == {
        "fp32": {"ours": "fast fp32", "peer": "openvino", "ratio": 1.1, "over_eager": 4.0},
        "bf16": {"ours": "fast fp32", "peer": "openvino bf16", "ratio": 0.5, "over_eager": 4.0},
    }
    assert compared({"fast fp32": [2.0]}) == {"fp32": {"ours": "fast fp32"}}


def test_a_side_that_was_asked_once_is_not_the_best_peer():
    rounds = {"fast fp32": [1.0, 2.0], "openvino": [1.1, 2.2], "onnxruntime": [0.5]}
    assert compared(rounds)["fp32"] == {"ours": "fast fp32", "peer": "openvino", "ratio": 1.1}


def test_the_best_peer_of_a_precision_is_asked_again_however_far_it_is_behind():
    pace = {"fast bf16": 1.0, "plain fp32": 9.0, "eager": 30.0, "compile bf16": 4.4, "openvino bf16": 4.0, "channels last bf16": 4.6}
    assert contenders(pace) == ["plain fp32", "eager", "fast bf16", "compile bf16", "openvino bf16"]


def test_a_row_has_what_was_measured(alone):
    *said, row = measure("lenet5_modern", 2, ("plain fp32", "eager"), rounds=2, threads=1)
    assert all(isinstance(text, str) for text in said)
    for found in row["sides"].values():
        assert len(found["ms_of_rounds"]) == 2
        assert 0 < found["ms"] <= found["p95"] <= found["p99"]
        assert found["images_per_s"] == pytest.approx(2e3 / found["ms"], rel=0.01)
        assert found["gflops"] == pytest.approx(row["operations"] / found["ms"] / 1e6, rel=0.1, abs=0.06)
        assert found["start_s"] > 0
        assert found["answers"] >= 2


def test_a_side_that_fails_says_so_and_the_others_go_on(alone, capfd):
    *_, row = measure("lenet5_modern", 2, ("no such side", "plain fp32"), rounds=1, threads=1)
    assert "has ended" in row["sides"]["no such side"]["error"]
    assert row["sides"]["plain fp32"]["ms"] > 0
    assert "no such side" in capfd.readouterr().err


def test_a_side_that_dies_on_the_way_does_not_lose_the_others(alone):
    said = measure("lenet5_modern", 2, ("plain fp32", "eager"), rounds=3, threads=1)
    for text in said:
        if "round 2" in str(text):
            subprocess.run(["pkill", "-9", "-P", str(os.getpid()), "-f", "speed.peers eager"], check=True)
        row = text
    assert "has ended" in row["sides"]["eager"]["error"]
    assert len(row["sides"]["plain fp32"]["ms_of_rounds"]) == 3


def test_what_is_measured_again_is_so_by_other_processes(alone):
    *_, row = measure("lenet5_modern", 2, ("fast fp32", "eager"), rounds=1, threads=1)
    again(row, 1, rounds=1, threads=1)
    best = row["best"]["fp32"]
    assert len(set(best["ratios"])) == 2
    assert 0 < min(best["ratios"]) < best["ratio"] < max(best["ratios"])
