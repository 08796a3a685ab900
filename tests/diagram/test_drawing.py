"""Every picture is measured: its words as the renderer sets them, its boxes, its lines."""

import json
from functools import lru_cache
from itertools import combinations

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.transforms import Bbox
from PIL import Image

from convatlas.cli import main
from convatlas.diagram import diagram
from convatlas.diagram.drawing import figure, short
from convatlas.diagram.structure import Structure, structure
from convatlas.mistake import Mistake
from convatlas.models import MODELS, build

X = chr(215)  # the sign for times
DIVERSE = [
    "lenet5", "alexnet", "nin_cifar10", "vgg19_bn", "googlenet", "plain20", "resnet18", "preresnet110", "wide_resnet28_10",
    "resnext50_32x4d", "densenet_40_12", "se_resnet18", "squeezenet1_1", "xception", "mobilenet_v1_full", "mobilenet_v3_large",
]  # fmt: skip


@lru_cache(maxsize=8)
def read(model: str) -> Structure:
    with torch.device("meta"):
        return structure(build(model))


def drawn(model: str) -> Figure:
    return figure(model, read(model))


def inside(inner: Bbox, outer: Bbox, slack: float = 0.0) -> bool:
    return inner.x0 >= outer.x0 - slack and inner.y0 >= outer.y0 - slack and inner.x1 <= outer.x1 + slack and inner.y1 <= outer.y1 + slack


def disjoint(a: Bbox, b: Bbox) -> bool:
    return a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0


def faults(picture: Figure) -> list[str]:
    """All that is not as it should be: words over words, over the edge of their box, of the picture; a line through words."""
    renderer = FigureCanvasAgg(picture).get_renderer()
    (axes,) = picture.axes
    words = [(text.get_text(), text.get_window_extent(renderer)) for text in axes.texts]
    boxes = [patch.get_window_extent(renderer) for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    slabs = [patch.get_window_extent(renderer) for patch in axes.patches if isinstance(patch, Polygon)]
    lines = [patch.get_transform().transform_path(patch.get_path()) for patch in axes.patches if isinstance(patch, PathPatch)]
    assert words
    assert lines
    assert slabs
    found = [f"{a!r} is over {b!r}" for (a, one), (b, other) in combinations(words, 2) if not disjoint(one, other)]
    for text, extent in words:
        middle = ((extent.x0 + extent.x1) / 2, (extent.y0 + extent.y1) / 2)
        around = [box for box in boxes if box.contains(*middle)]
        found += [f"{text!r} is wider than its box" for box in around if not inside(extent, box)]
        found += [f"{text!r} is cut by a box" for box in boxes if box not in around and not disjoint(extent, box)]
        found += [f"a line goes through {text!r}" for line in lines if line.intersects_bbox(extent, filled=False)]
        found += [f"a slab is over {text!r}" for slab in slabs if not disjoint(extent, slab)]
    for one, other in combinations(boxes, 2):
        if not (disjoint(one, other) or inside(one, other) or inside(other, one)):
            found.append("two boxes overlap")
    shown = [*words, *(("a box", box) for box in boxes), *(("a slab", slab) for slab in slabs)]
    shown += [("a line", Bbox.from_extents(line.get_extents().extents)) for line in lines]
    return found + [f"{what!r} is over the picture's edge" for what, extent in shown if not inside(extent, picture.bbox)]


@pytest.mark.parametrize("model", DIVERSE)
def test_nothing_is_over_anything_else(model):
    assert faults(drawn(model)) == []


@pytest.mark.slow
@pytest.mark.parametrize("model", [model for model in MODELS if model not in DIVERSE])
def test_nothing_is_over_anything_else_in_any_network(model):
    assert faults(drawn(model)) == []


def test_the_measure_finds_what_is_wrong():
    picture = drawn("resnet18")
    for text in picture.axes[0].texts:
        text.set_fontsize(1.6 * text.get_fontsize())
    found = " ".join(faults(picture))
    assert "is over '" in found
    assert "is wider than its box" in found
    picture = drawn("resnet18")
    picture.axes[0].texts[0].set_x(-50)
    assert faults(picture) == ["'resnet18' is over the picture's edge"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("resnet101", ["44.5 M", "7.57 G", f"{X}23", f"block B {X}22", f"14{X}14{X}1024", "conv4_x"]),
        ("vgg16", [f"3{X}3, 256 {X}3", "fc6", "linear, 4096", "138 M"]),
        ("lenet5", ["C3", f"5{X}5, 16, 60 of 96 pairs", "connections", "1998"]),
        ("googlenet", ["aux1", "aux2", "3.19 M parameters", "concatenate", "inception4e"]),
        ("densenet_40_12", [f"block A {X}12", "dense1", "..."]),
    ],
)
def test_a_picture_says_what_its_network_is(model, said):
    texts = [text.get_text() for text in drawn(model).axes[0].texts]
    assert [words for words in said if not any(words in text for text in texts)] == []


def test_side_heads_stand_over_the_stage_that_they_read():
    texts = {text.get_text(): text.get_position() for text in drawn("googlenet").axes[0].texts}
    for side, stage in (("aux1", "inception4a"), ("aux2", "inception4d")):
        assert texts[side][0] == pytest.approx(texts[stage][0], abs=1)
        assert texts[side][1] < texts[stage][1]


def test_a_slab_is_as_high_as_the_root_of_its_maps_side():
    fronts = [patch.get_xy() for patch in drawn("lenet5_modern").axes[0].patches if isinstance(patch, Polygon)]
    heights = sorted({round(float(xy[:, 1].max() - xy[:, 1].min()), 6) for xy in fronts if len(xy) == 5 and xy[0][0] == xy[3][0]})
    sides = [1, 5, 10, 14, 28, 32]
    expected = [112 * (side / 32) ** 0.5 for side in sides]
    assert all(any(abs(height - wanted) < 1e-3 for height in heights) for wanted in expected)


def test_counts_are_written_in_three_digits():
    assert [short(n) for n in (0, 156, 999, 1000, 9_408, 60_000, 341_000, 999_600, 25_557_032, 11_282_415_616)] == [
        "0", "156", "999", "1.00 k", "9.41 k", "60.0 k", "341 k", "1.00 M", "25.6 M", "11.3 G",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["x.svg", "x.png", "X.SVG"])
def test_a_file_is_written_and_the_same_each_time(name, tmp_path):
    first, second = tmp_path / name, tmp_path / f"again-{name}"
    done = diagram("lenet5", first)
    diagram("lenet5", second)
    assert first.read_bytes() == second.read_bytes()
    assert done["file"] == str(first)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([first.name, second.name])
    if name == "x.svg":
        assert b"60 of 96 pairs" in first.read_bytes()  # words are words, to be found and read aloud
        assert f'width="{done["width"]}'.encode() in first.read_bytes()


def test_a_wrong_suffix_and_a_wrong_name_are_mistakes(tmp_path):
    with pytest.raises(Mistake, match=r"should end in \.svg or \.png"):
        diagram("lenet5", tmp_path / "x.pdf")
    with pytest.raises(Mistake, match="no model 'nothing'; there are: lenet5, "):
        diagram("nothing", tmp_path / "x.svg")
    assert list(tmp_path.iterdir()) == []


def test_an_old_file_stands_if_the_new_one_cannot_be_written(tmp_path):
    (tmp_path / "x.svg").mkdir()
    with pytest.raises(OSError, match="directory"):
        diagram("lenet5", tmp_path / "x.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]
    with pytest.raises(FileNotFoundError):
        diagram("lenet5", tmp_path / "nowhere" / "x.png")


def test_the_command_draws_and_says_where(tmp_path, capsys):
    main_with("diagram", "lenet5", "-o", tmp_path / "x.png", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"model", "file", "width", "height"}
    with Image.open(found["file"]) as picture:
        assert picture.size == (found["width"], found["height"])
    main_with("diagram", "lenet5", "--out", tmp_path / "x.svg")
    assert f"Look at {tmp_path / 'x.svg'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "file", "said"),
    [
        ("nothing", "x.svg", "no model 'nothing'; there are: lenet5, "),
        ("lenet5", "x.jpg", "x.jpg should end in .svg or .png"),
        ("lenet5", "nowhere/x.svg", "nowhere/x.svg: No such file or directory"),
    ],
)
def test_the_command_says_what_is_wrong(model, file, said, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main_with("diagram", model, "-o", tmp_path / file)
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []


def main_with(*words) -> None:
    try:
        main([str(word) for word in words])
    except SystemExit as done:
        if done.code:
            raise
