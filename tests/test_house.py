"""The rules of the house that a test can hold (docs/architecture.md)."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import convatlas

HERE = Path(__file__).parent.parent
SOURCE = HERE / "src" / "convatlas"
FILES = sorted(SOURCE.rglob("*.py"))

# What each part may import of ours; each line may use all lines above it that it names.
ARROWS = {
    "mistake": set(),
    "disk": set(),
    "analysis": set(),
    "models": {"analysis"},
    "pixels": {"mistake"},
    "data": {"mistake", "disk", "download", "pixels"},
    "photo": {"data"},
    "weights": {"mistake", "disk", "models"},
    "rules": {"analysis"},
    "check": {"mistake", "models", "analysis"},
    "catalogue": {"models", "analysis"},
    "diagram": {"mistake", "disk", "models", "analysis"},
    "recipes": {"mistake", "models", "data"},
    "precision": {"models"},
    "train": {"models", "recipes", "data", "machine"},
    "intervals": set(),
    "protocols": {"mistake", "models"},
    "evaluate": {"data", "intervals", "protocols"},
    "metrics": set(),
    "sets": {"mistake", "data", "recipes", "distribute"},
    "settle": {"mistake", "models", "data", "precision", "protocols", "recipes", "sets", "train"},
    "probe": {"disk", "models", "data", "evaluate", "sets"},
    "distribute": {"mistake"},
    "machine": set(),
    "run": {"mistake", "disk", "models", "data", "precision", "recipes", "sets", "train", "evaluate", "metrics", "distribute", "machine"},
    "finetune": {"mistake", "disk", "models", "data", "recipes", "sets", "settle", "intervals", "probe", "run", "train"},
    "download": {"mistake", "disk"},
    "pretrained": {"mistake", "disk", "models", "data", "photo", "catalogue", "weights", "download"},
    "packed": {"mistake", "disk", "models", "data", "protocols", "recipes", "weights", "download", "run"},
    "hub": {"mistake", "download", "packed", "run"},
    "trained": {"mistake", "models", "data", "photo", "weights", "pretrained", "run", "packed", "hub"},
    "predict": {"mistake", "disk", "data", "protocols", "evaluate", "trained"},
    "inference": {"mistake", "disk", "machine", "models", "photo", "pixels", "trained"},
    "export": {"mistake", "disk", "models", "inference", "trained"},
    "explain": {"mistake", "disk", "models"},
    "claims": {"mistake", "disk", "models", "analysis", "data", "evaluate", "intervals", "precision", "recipes", "train", "machine"},
    "speed": {"disk", "machine", "models", "analysis", "weights", "inference"},
    "ensemble": {
        "mistake",
        "data",
        "models",
        "recipes",
        "sets",
        "train",
        "intervals",
        "protocols",
        "evaluate",
        "run",
        "trained",
        "predict",
    },
    "watch": {"run", "track"},
    "launch": {"mistake", "distribute", "run", "watch"},
    "bulk": {"mistake", "disk", "data", "pixels", "predict", "trained"},
    "cluster": {"mistake", "distribute", "run", "launch", "trained", "bulk"},
    "compare": {"mistake", "disk", "recipes", "intervals"},
    "track": {"mistake", "disk", "recipes", "compare"},
    "report": {"disk", "data", "evaluate", "metrics", "recipes", "run", "sets"},
    "web": {"mistake", "pixels", "data", "models", "analysis", "catalogue", "check", "recipes", "compare", "diagram", "pretrained"}
    | {"trained", "inference", "explain", "claims", "machine"},
    "cli": {"mistake", "disk", "models", "analysis", "rules", "catalogue", "check", "diagram", "weights"}
    | {"recipes", "data", "evaluate", "run", "pretrained", "trained", "predict", "report", "watch"}
    | {"compare", "track", "sets", "settle", "packed", "hub", "finetune", "protocols", "ensemble"}
    | {
        "launch",
        "distribute",
        "cluster",
        "bulk",
        "intervals",
        "pixels",
        "inference",
        "export",
        "speed",
        "machine",
        "explain",
        "claims",
        "web",
    },
    "__main__": {"cli"},
    "__init__": {"analysis", "inference", "models", "recipes", "run", "train", "trained", "weights"},
}


def part(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """The parts of this package that a file imports."""
    package = path.relative_to(SOURCE).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            names = (*base, *(node.module or "").split(".")) if node.module else base
            found |= {names[0]} if names and names[0] else {alias.name for alias in node.names}
    return found - {part(path)}


def test_every_part_is_in_its_place():
    assert {part(path) for path in FILES} == set(ARROWS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_arrows_point_one_way(path):
    assert imported(path) <= ARROWS[part(path)]


def test_the_arrows_have_no_circle():
    left = dict(ARROWS)
    while left:
        free = [name for name, needs in left.items() if not needs & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_functions_stay_short(path):
    text = path.read_text()
    bound = 220 if part(path) == "models" else 420
    assert len(text.splitlines()) <= bound
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


def test_there_is_no_drawer():
    assert not [path for path in FILES if path.stem in ("utils", "helpers", "common", "misc")]


def test_public_names_are_there_and_documented():
    assert convatlas.__all__ == list(convatlas.NAMES)
    for path in FILES:  # a module of a public name's own name would take its place once it is imported
        if path.stem != "__main__":
            import_module(".".join(("convatlas", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"))
    for name in convatlas.__all__:
        assert getattr(convatlas, name).__doc__, name
        assert not inspect.ismodule(getattr(convatlas, name)), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        convatlas.nothing  # noqa: B018


def test_the_tests_mirror_the_source():
    # Tested where they are used.
    without = {
        "__init__",
        "__main__",
        "mistake",
        "disk",
        "predict",
        "net",
        "text",
        "batches",
        "watch",
        "sheet",
        "blocks",
        "machine",
        "pixels",
    }
    without |= {"deconvnet", "guided", "methods"}  # in test_rectified and test_draw
    without |= {"facts", "hosts", "words", "ray"}  # of web, in its test_service, test_pages and test_still
    without |= {"folders", "found", "parquet", "shards", "ilsvrc", "report"}  # in test_listed
    for path in FILES:
        if path.stem in without or path.parent.name in ("recipes", "mnist", "cli", "claims"):
            continue
        inner = path.relative_to(SOURCE)
        assert (HERE / "tests" / inner.parent / f"test_{inner.name}").exists(), inner


def test_the_changelog_knows_this_version():
    version = re.search(r'^version = "(.*)"', (HERE / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert f"## {version[1]}" in (HERE / "CHANGELOG.md").read_text()


def test_contributing_is_short_and_decisions_are_numbered():
    assert len((HERE / "CONTRIBUTING.md").read_text().splitlines()) < 80
    numbers = [int(path.name[:4]) for path in sorted((HERE / "docs" / "decisions").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
