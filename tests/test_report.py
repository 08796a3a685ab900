import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image

from convatlas.recipes import RECIPES
from convatlas.report import report, tiles
from convatlas.run import begin


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    recipe = replace(RECIPES["lenet5_modern-mnist"], steps=150, test=50, published=0.95)
    run = begin(tmp_path_factory.mktemp("report") / "run", "short <&> run", recipe, 3)
    for _ in run.go():
        pass
    return report(run)


def test_it_needs_nothing_else(page):
    text = page.read_text()
    assert not re.findall(r'(?:src|href)="(?!data:image/png;base64,)', text)
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    assert "$" not in re.sub(r"base64,[^\"]*", "", text)


def test_it_says_what_was_learned_and_what_goes_wrong(page):
    text = page.read_text()
    for part in ("% at 95", "test error", "published error", "How it learned", "What it confuses", "twenty worst", "first layer"):
        assert part.replace("% at 95", "at 95 %") in text
    assert re.search(r"Most often: a \d read as \d \(\d+ times\)", text)
    assert "optimiser.momentum" in text
    assert "processor" in text


def test_names_are_escaped_and_tags_are_closed(page):
    class Balance(HTMLParser):
        depth = 0

        def handle_starttag(self, tag, attrs):
            self.depth += tag in ("div", "table", "ul", "style", "title", "h1", "h2")

        def handle_endtag(self, tag):
            self.depth -= tag in ("div", "table", "ul", "style", "title", "h1", "h2")

    text = page.read_text()
    assert "short &lt;&amp;&gt; run, seed 3" in text
    parser = Balance()
    parser.feed(text)
    assert parser.depth == 0


@pytest.mark.parametrize("name", ["curves", "confusion", "mistakes", "filters"])
def test_the_same_plots_are_files(page, name):
    with Image.open(page.parent / f"{name}.png") as picture:
        assert picture.width > 400
        assert len(picture.convert("L").getcolors(256) or []) > 10  # something is drawn


def test_every_filter_is_a_tile_in_its_place():
    bank = torch.randn(5, 3, 3)
    found = tiles(bank, 2)  # two in a row, so three rows, the last half empty
    assert found.shape == (3 * 25 + 1, 2 * 25 + 1)
    for n, weights in enumerate(bank):
        down, right = 25 * (n // 2) + 1, 25 * (n % 2) + 1
        assert torch.equal(found[down : down + 24, right : right + 24][::8, ::8], weights)
        assert found[down - 1].isnan().all()
        assert found[:, right - 1].isnan().all()
    assert found[51:, 26:].isnan().all()
