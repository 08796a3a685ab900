"""The atlas as files, without the server's parts: for any web host, or opened from the disk."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from . import facts
from .pages import Site
from .words import LANGUAGES

HERE = Path(__file__).parent


def name_of(path: str, language: str) -> str:
    """The file of a page: index.html, network-vgg16.html, ko-index.html."""
    stem = path.strip("/").replace("/", "-") or "index"
    return f"{'' if language == 'en' else language + '-'}{stem}.html"


def linked(language: str, results: Path | None) -> "Site":
    other = LANGUAGES[1 - LANGUAGES.index(language)]

    def link(path: str) -> str:
        if path.startswith("other:"):
            return name_of(path.removeprefix("other:"), other)
        if path.startswith(("/static/", "/code/")):
            return path.lstrip("/")
        if path.startswith("/claims/"):
            return f"drawings/claim-{path.removeprefix('/claims/')}"
        if path.endswith(".svg"):
            return f"drawings/{path.split('/')[2]}.svg"
        return name_of(path, language)

    return Site(results, link, served=False)


def write(folder: Path, results: Path | None = None, names: list[str] | None = None) -> Iterator[str]:
    """Writes every page in both languages into `folder`, new or empty; of networks these, by default all. Yields each as it is written.

    `results` is where convatlas claims --out wrote, for verdicts and their pictures.
    """
    shutil.copytree(HERE / "static", folder / "static", dirs_exist_ok=True)
    (folder / "drawings").mkdir(exist_ok=True)
    chosen = names or list(facts.networks())
    for name in chosen:
        (folder / "drawings" / f"{name}.svg").write_bytes(facts.drawing(name))
    (folder / "code").mkdir(exist_ok=True)
    for family in {facts.network(name)["family"] for name in chosen}:
        (folder / "code" / f"{family}.py").write_text(facts.code(family), encoding="utf-8")
    claims = facts.tried(results)
    for row in claims:
        if row["file"]:
            shutil.copy(row["file"], folder / "drawings" / f"claim-{row['claim']}.svg")
    for language in LANGUAGES:
        site = linked(language, results)
        pages = {"/": site.timeline, "/compare": lambda language, site=site: site.compare(language, [])}
        for path, make in pages.items():
            yield written(folder, path, language, make(language))
        for path, template in (("/calculator", "calculator.html"), ("/claims", "claims.html")):
            rows = {"rows": claims} if path == "/claims" else {}
            yield written(folder, path, language, site.plain(template, language, path, **rows))
        for name in chosen:
            yield written(folder, f"/network/{name}", language, site.network(language, name, None))


def written(folder: Path, path: str, language: str, text: str) -> str:
    file = folder / name_of(path, language)
    file.write_text(text, encoding="utf-8")
    return file.name
