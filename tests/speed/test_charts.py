"""The pictures of a measurement."""

from convatlas.speed.charts import balls, roofline

ROW = {
    "model": "resnet20", "batch": 1, "operations": 8e7, "bytes": 4e6,
    "sides": {"fast fp32": {"ms": 1.0, "gflops": 80.0}, "eager": {"ms": 4.0, "gflops": 20.0}, "openvino bf16": {"error": "gone"}},
}  # fmt: skip


def test_a_roofline_names_its_roofs_and_networks(tmp_path):
    roofline([ROW], {"fp32": 500.0, "copy": 40.0}, tmp_path / "roof.svg")
    text = (tmp_path / "roof.svg").read_text()
    for name in ("fp32 500 GFLOP/s", "resnet20 1", "40 GB/s"):
        assert name in text
    assert "bf16" not in text


def test_a_ball_for_each_network(tmp_path):
    points = [
        {"model": "vgg16", "top1": 71.6, "macs": 15_470_000_000, "parameters": 138_000_000},
        {"model": "squeezenet1_1", "top1": 58.2, "macs": 350_000_000, "parameters": 1_240_000},
    ]
    balls(points, tmp_path / "balls.svg")
    text = (tmp_path / "balls.svg").read_text()
    assert all(point["model"] in text for point in points)
    assert "the largest has 138 million" in text
