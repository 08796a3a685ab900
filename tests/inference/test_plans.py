"""Which ways are tried, how they are timed, and what is remembered."""

import json

import torch

from convatlas.inference import plans
from convatlas.inference.plans import Plan, finer, first_plans, key, race, recall, remember


def test_a_damaged_memory_is_forgotten(alone):
    plan = Plan("plain", "fp32", 1)
    remember("key", plan, {plan: 0.1})
    assert recall("key") == plan
    (file,) = (alone_cache := plans.cache_folder("fast")).iterdir()
    assert json.loads(file.read_text())["tried"] == [
        {"engine": "plain", "precision": "fp32", "chunk": 1, "streams": 1, "spared": "", "seconds": 0.1}
    ]
    for text in ("", "{}", '{"plan": 1}', '{"plan": {"engine": "plain"}}'):
        (alone_cache / "key.json").write_text(text)
        assert recall("key") is None


def test_a_batch_in_chunks_is_tried_once_the_engine_is_known():
    assert finer(Plan("plain", "fp32", 8), 8, threads=2) == []
    assert finer(Plan("openvino", "bf16", 1), 1, threads=2) == []
    tried = finer(Plan("openvino", "bf16", 8), 8, threads=2)
    assert {(plan.chunk, plan.streams) for plan in tried} == {(1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2)}
    assert {plan.streams for plan in finer(Plan("openvino", "bf16", 8), 8, threads=1)} == {1}


def test_the_key_knows_all_that_matters(monkeypatch):
    names = {key("graph", 1), key("graph", 2), key("other", 1)}
    torch_version = plans.version("torch")
    monkeypatch.setattr(plans, "version", lambda name: torch_version + "x")
    names.add(key("graph", 1))
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    names.add(key("graph", 1))
    torch.set_num_threads(threads)
    assert len(names) == 5


def test_a_race_goes_to_the_faster():
    quick, slow = first_plans(("fp32", "bf16"), 1)[:2]
    seconds = race({quick: lambda x: x, slow: lambda x: torch.linalg.inv(torch.eye(300))}, torch.zeros(1))
    assert seconds[quick] < seconds[slow]
