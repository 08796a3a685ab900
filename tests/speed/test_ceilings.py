"""What the machine can do at most."""

from convatlas.speed.ceilings import ceilings


def test_a_limit_for_each_precision_and_for_memory(alone):
    found = ceilings()
    assert {"fp32", "bf16", "copy"} <= found.keys()
    assert all(value > 1 for value in found.values())
