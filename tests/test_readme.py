"""README.ko.md says what README.md says: as many headings at the same depth, and the same blocks of code."""

import re
from pathlib import Path

HERE = Path(__file__).parent.parent


def read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def depths(text: str) -> list[int]:
    return [len(mark) for mark in re.findall(r"^(#+) ", text, re.MULTILINE)]


def test_the_korean_readme_keeps_step():
    english, korean = read("README.md"), read("README.ko.md")
    assert depths(english) == depths(korean)
    assert re.findall(r"```.*?```", english, re.DOTALL) == re.findall(r"```.*?```", korean, re.DOTALL)


def test_links_inside_the_project_lead_somewhere():
    for name in ("README.md", "README.ko.md"):
        for link in re.findall(r"\]\(([^)#]+)", read(name)):
            assert "://" in link or (HERE / link).exists(), (name, link)
