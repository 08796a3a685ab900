"""The atlas as files: every link leads somewhere, and nowhere outside but to the papers."""

import re

from convatlas.web.still import write
from convatlas.web.words import IDEAS, LANGUAGES, WORDS, say


def test_the_files_hold_together(tmp_path):
    names = ["lenet5", "alexnet", "googlenet"]
    made = list(write(tmp_path, names=names))
    assert len(made) == 2 * (4 + len(names))
    missing = set()
    for name in made:
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text.count("<h1>") == 1
        for link in re.findall(r'(?:href|src)="([^"#?]+)', text):
            if not link.startswith(("https://", "data:")) and not (tmp_path / link).exists():
                missing.add(link)
        assert not re.findall(r'src="https?:', text)
    others = {f"{prefix}network-" for prefix in ("", "ko-")}
    assert all(any(link.startswith(other) for other in others) for link in missing), missing  # networks that were not asked for
    assert (tmp_path / "drawings" / "googlenet.svg").exists()


def test_every_word_is_in_both_languages():
    assert LANGUAGES == ("en", "ko")
    for key, said in WORDS.items():
        assert all(said), key
        assert any("가" <= letter <= "힣" for letter in said[1]) or key == "language", key
    assert say("timeline", "ko") == "연표"
    assert say("no such word", "en") == "no such word"


def test_every_family_has_its_idea_in_korean():
    from convatlas.web.facts import networks

    assert {row["family"] for row in networks().values()} == set(IDEAS)


def test_templates_ask_for_words_that_there_are():
    from importlib.resources import files

    for template in (files("convatlas") / "web" / "templates").iterdir():
        for key in re.findall(r't\("([^"]+)"\)', template.read_text(encoding="utf-8")):
            assert key in WORDS or key == "not tried", (template.name, key)
