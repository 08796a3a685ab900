"""Writes what is made from other things: the tables in README.md, from results/; docs/commands.md, from the command; the list of all
networks, from the networks.

python docs/generate.py writes; with --check it only says what is stale, and exits with 1 if anything is.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent.parent


def runs() -> str:
    rows = ["| recipe | test error | 95 % interval | seeds | published | training time |", "|---|---|---|---|---|---|"]
    for path in sorted((HERE / "results" / "runs").glob("*.json")):
        run = json.loads(path.read_text())
        low, high = run["interval"]
        minutes = sorted(run["seconds"])[len(run["seconds"]) // 2] / 60
        published = "" if run["published"] is None else f"{run['published']} %"
        took = f"{60 * minutes:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
        rows.append(
            f"| `{run['recipe']}` | {run['top1_error']:.2f} % | {low:.2f} to {high:.2f} | {len(run['seeds'])} | {published} | {took} |"
        )
    return "\n".join(rows)


def speed() -> str:
    bench = json.loads((HERE / "results" / "bench" / "train_lenet.json").read_text())
    rows = ["| training `lenet5_modern`, images/s | median |", "|---|---|"]
    rows += [f"| {row['path']} | {row['images_per_s']:,.0f} |" for row in bench["rows"]]
    ratio = bench["ratio"]
    rows.append(
        f"\nRatio to the faster plain way: {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f} over {bench['rounds']} rounds)."
    )
    return "\n".join(rows)


def commands() -> str:
    """--help of every command, as a terminal of 100 columns shows it."""

    def help_of(*words: str) -> str:
        environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
        command = [sys.executable, "-m", "convatlas", *words, "--help"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        return "\n".join(line.rstrip() for line in shown.strip().splitlines())

    from convatlas.cli import app

    verbs = sorted(name for name in app if not name.startswith("-"))
    parts = [f"## convatlas {verb}\n\n```\n{help_of(verb)}\n```\n" for verb in verbs]
    return "# The command\n\nMade by docs/generate.py from `--help`.\n\n" + "\n".join(parts)


def catalogue() -> str:
    from convatlas.catalogue import counted

    return "[\n" + ",\n".join(json.dumps(row) for row in counted()) + "\n]\n"


def filled(path: Path, tables: dict[str, str]) -> str:
    """A page with what stands between <!-- name --> and <!-- end --> made anew."""
    text = path.read_text()
    for name, table in tables.items():
        before, rest = text.split(f"<!-- {name} -->")
        text = f"{before}<!-- {name} -->\n{table}\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}"
    return text


def main() -> None:
    pages = {
        HERE / "README.md": filled(HERE / "README.md", {"runs": runs(), "speed": speed()}),
        HERE / "docs" / "commands.md": commands(),
        HERE / "src" / "convatlas" / "catalogue.json": catalogue(),
    }
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(HERE)} is stale" + ("; mend it by: make fix" if "--check" in sys.argv else ", written anew"))
        if "--check" not in sys.argv:
            path.write_text(pages[path])
    sys.exit(1 if stale and "--check" in sys.argv else 0)


if __name__ == "__main__":
    main()
