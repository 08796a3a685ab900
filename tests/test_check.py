"""Published counts beside measured ones: when they are taken for the same, and that all of them are, or say why not."""

import json
import re

import pytest

from convatlas.check import check, counts, measure, published, rounds, status, summary
from convatlas.mistake import Mistake
from convatlas.models import MODELS

PAPERS = published()
FIGURES = [figure for figures in PAPERS.values() for figure in figures]


@pytest.fixture
def wrong(tmp_path):
    """A folder with one paper: one figure is right, one wrong and explained, one wrong."""
    rows = ("parameters", 60_000, ""), ("parameters of C3", 2_416, 'erratum = "C3 read all maps", '), ("connections of C3", 156_000, "")
    lines = [f'{{ model = "lenet5", quantity = "{q}", value = {v}, {e}place = "nowhere", trust = "read" }},' for q, v, e in rows]
    (tmp_path / "paper.toml").write_text("\n".join(["published = [", *lines, "]"]))
    return tmp_path


@pytest.mark.parametrize(
    ("measured", "value", "printed", "same"),
    [
        (3_449_999, 3_400_000, "3.4M", True),
        (3_350_000, 3_400_000, "3.4M", True),
        (3_450_001, 3_400_000, "3.4M", False),
        (3_504_872, 3_400_000, "3.4M", False),
        (138_357_544, 138_000_000, "138 million", True),
        (138_500_001, 138_000_000, "138 million", False),
        (1_000_400, 1_000_000, "1.00M", True),
        (1_006_000, 1_000_000, "1.00M", False),
        (1_814_073_344, 1_800_000_000, "1.8 x 10^9 FLOPs", True),
        (1_248_424, 1_248_424, "1,248,424 (total)", True),
        (1_248_425, 1_248_424, "1,248,424 (total)", False),
        (7, 7, "seven", False),
    ],
)
def test_a_figure_is_rounded_by_the_digits_that_are_printed(measured, value, printed, same):
    assert rounds(measured, value, printed) is same


def test_a_figure_is_equal_rather_than_rounded_and_an_erratum_only_where_it_is_wrong():
    figure = {"value": 3_400_000, "printed": "3.4M", "erratum": "said why"}
    assert [status(figure, n) for n in (3_400_000, 3_410_000, 3_500_000)] == ["equal", "rounds", "erratum"]
    assert status({"value": 3_400_000}, 3_400_001) == "differs"


def test_a_wrong_figure_differs_and_the_command_exits_with_1(convatlas, wrong):
    rows = list(check("lenet5", published(wrong)["paper"]))
    assert [(row["status"], row["difference"]) for row in rows] == [("equal", 0), ("erratum", -900), ("differs", -4_400)]
    assert summary(rows) == "1 equal, 0 round, 1 errata, 1 differ"
    told = convatlas("check", "lenet5", "--papers", wrong)
    assert told.returncode == 1
    assert told.stdout.splitlines()[-1] == summary(rows)
    assert re.search(r"^lenet5 +connections of C3 +156,000 +151,600 +differs *$", told.stdout, re.MULTILINE)
    assert "erratum: C3 read all maps" in told.stdout
    assert told.stderr == ""


def test_as_json_it_is_the_public_form(convatlas, wrong):
    told = convatlas("check", "lenet5", "squeezenet1_0", "--json", "--papers", wrong)
    rows = json.loads(told.stdout)
    assert told.returncode == 1
    assert rows == list(check("lenet5", published(wrong)["paper"]))
    assert rows[0].keys() == {"model", "quantity", "published", "measured", "rule", "status", "difference", "place", "trust"}


def test_what_cannot_be_checked_is_a_mistake(convatlas, wrong):
    assert convatlas("check", "lenet5", "--papers", wrong / "nothing").returncode == 2
    assert convatlas("check", "nothing").returncode == 2
    paper = wrong / "paper.toml"
    text = paper.read_text()
    for old, new, said in [
        ("published", "published = ", "is not TOML"),
        ('trust = "read"', 'why = "read"', "figure 1 of `published` has no 'trust'"),
        ("lenet5", "lenet7", "is of 'lenet7'"),
    ]:
        paper.write_text(text.replace(old, new))
        with pytest.raises(Mistake, match=re.escape(said)):
            published(wrong)
    with pytest.raises(Mistake, match=r"no 'parameters of C9'.* the parts here are C1, S2, C3, S4, C5, flatten, F6, output"):
        measure({"model": "lenet5", "quantity": "parameters of C9"})


def test_every_family_has_a_file_with_a_title_and_figures_of_its_own():
    families = {family.__name__.rpartition(".")[2] for family, _ in MODELS.values()}
    assert families == PAPERS.keys() - {"ilsvrc"}
    for family in families:
        assert any(MODELS[figure["model"]][0].__name__.endswith(f".{family}") for figure in PAPERS[family])


def test_every_figure_says_where_it_stands_and_how_we_know():
    for figure in FIGURES:
        assert figure["model"] in MODELS
        assert figure["place"]
        assert figure["trust"] in ("read", "memory", "computed")
        assert not figure.get("erratum") or figure["trust"] != "computed"
        assert "no rule found" not in figure.get("erratum", "") or figure["trust"] == "read"
        if figure["quantity"] in ("top1_error", "top5_error"):
            assert 0 < figure["value"] < 100
            assert figure["protocol"]


@pytest.mark.parametrize("model", ["lenet5", "lenet5_modern", "alexnet", "vgg16", "squeezenet1_0", "mobilenet_v2", "resnet50"])
def test_counts_are_those_published_or_it_is_known_why_not(model):
    rows = list(check(model, FIGURES))
    assert rows
    assert {row["status"] for row in rows} <= {"equal", "rounds", "erratum"}


@pytest.mark.slow
def test_counts_of_all_networks_are_those_published_or_say_why_not():
    rows = [row for model in MODELS for row in check(model, FIGURES)]
    assert len(rows) == len(counts(FIGURES))
    assert len({row["model"] for row in rows}) >= 90
    assert [(row["model"], row["quantity"]) for row in rows if row["status"] == "differs"] == []
    for row in rows:
        assert row["status"] == "equal" or row["trust"] != "computed"
        assert row["status"] == "erratum" or "erratum" not in row  # no excuse outlives what it excuses
        if row.get("erratum") == "cut off, not rounded":
            zeros = len(str(row["published"])) - len(str(row["published"]).rstrip("0"))
            assert 0 < row["difference"] < min(10**zeros, 0.02 * row["published"])
