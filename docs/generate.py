"""Writes what is made from other things: the tables in README.md, from results/; that in docs/architecture.md, from the model files;
docs/commands.md, from the command; docs/claims.md and the table in docs/speed.md, from results/; docs/recipes.md, from the recipes; the
lists of all networks and of all pretrained weights.

python docs/generate.py writes; with --check it only says what is stale, and exits with 1 if anything is.
"""

import ast
import inspect
import json
import os
import subprocess
import sys
import tokenize
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.parent

# fmt: off
# Counted 2026-11: torchvision 0.29.1, timm at aa4b5850, Keras at 3422977a, kuangliu/pytorch-cifar, tinygrad at a9069c17.
PEERS = ("torchvision", "timm", "Keras", "kuangliu", "tinygrad")
THEIRS = {  # lines, lines of code where they were counted, longest function
    "vgg":          ((511, 311, 28),   (426, None, 81),   (248, None, 208), (47, None, 13),  None),
    "googlenet":    ((345, 246, 69),   (508, None, 73),   (442, None, 356), (107, None, 39), (344, None, 28)),
    "resnet":       ((985, 664, 57),   (2266, 1573, 140), (594, 424, 169),  (132, 95, 18),   (170, 144, 29)),
    "densenet":     ((448, 287, 59),   (563, None, 133),  (495, None, 216), (107, None, 30), None),
    "efficientnet": ((1132, 777, 98),  (2973, None, 95),  (860, None, 234), (175, None, 48), (164, None, 70)),
}
# fmt: on
RECIPES = """# Recipes

Made by docs/generate.py from src/convatlas/recipes. `convatlas recipes NAME` lists every value of one, `convatlas train NAME` follows it;
where the data is imagenet, name a place of your own by `--recipe.data PLACE`. Errors are top-1, in percent, by the test protocol of the
source, as published; none was measured here. The last column names the fields whose values were not read again in the source.
"""
CLAIMS = """# Claims

Made by docs/generate.py from results/claims; `convatlas claims NAME --full --out results/claims` tries one again. "Here" is CIFAR-10 or
arithmetic, on a small machine; most claims were made of ImageNet. What is counted holds if the numbers are the paper's. A verdict on
what was trained takes an interval of 95 % that excludes chance, or what the sentence allows: over seeds, and for seven_networks over
pictures. Networks that several claims need alike (same start, plan and seed) are trained once and counted in each: seven_networks,
ten_crops and the 5x5 of stacked_filters share theirs; so do dropout and augmentation, and response_norm and overlapping_pools. Each is
trained in one thread, two at a time. ten_crops was tried with three seeds first, which left it undecided, and then with the seven that
were there.
"""


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


def seen() -> str:
    bench = json.loads((HERE / "results" / "bench" / "pretrained.json").read_text())
    rows = ["| weights | top-1 | 95 % interval | top-5 | 95 % interval | n |", "|---|---|---|---|---|---|"]
    for row in bench["rows"]:
        (a, b), (c, d) = row["top1_interval"], row["top5_interval"]
        rows.append(
            f"| `{row['weights']}` | {row['top1']:.1f} % | {a:.1f} to {b:.1f} | {row['top5']:.1f} % | {c:.1f} to {d:.1f} | {row['n']} |"
        )
    return "\n".join([*rows, "", bench["note"]])


def tuned() -> str:
    found = json.loads((HERE / "results" / "finetune" / "cifar10-1000.json").read_text())
    rows = ["| `efficientnet_lite0` | test error | 95 % interval | each seed | seconds, all in all |", "|---|---|---|---|---|"]
    for kind, said in (("probe", "a linear classifier on its features"), ("finetune", "fine-tuned")):
        row = found[kind]
        low, high = row["interval"]
        each, seconds = (", ".join(f"{v:{form}}" for v in row[key]) for key, form in (("errors", ".2f"), ("seconds", ".0f")))
        rows.append(f"| {said} | {row['top1_error']:.2f} % | {low:.2f} to {high:.2f} | {each} | {seconds} |")
    return "\n".join([*rows, f"\n{found['what']}."])


def length(path: Path) -> tuple[int, int, int]:
    """Lines; those that are neither blank nor comment nor docstring; and the lines of the longest function, its decorators not counted."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    places = [node for node in nodes if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    first = [node.body[0] for node in places if ast.get_docstring(node) is not None]
    said = {n for node in first for n in range(node.lineno, node.end_lineno + 1)}
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER}
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in quiet]
    code = {n for token in tokens for n in range(token.start[0], token.end[0] + 1)} - said
    longest = max(node.end_lineno - node.lineno + 1 for node in nodes if isinstance(node, ast.FunctionDef))
    return len(path.read_text().splitlines()), len(code), longest


def lengths() -> str:
    """Of the files in models/, and of others' files on the same paper."""
    models = HERE / "src" / "convatlas" / "models"
    rows = [f"| file | lines | code | longest function | {' | '.join(PEERS)} |", "|---|---|---|---|" + "---|" * len(PEERS)]
    ours = {path.stem: length(path) for path in sorted(models.glob("*.py"))}
    for name, counted in ours.items():
        theirs = [" / ".join(f"{n:,}" if n else "-" for n in row) if row else "" for row in THEIRS.get(name, [None] * len(PEERS))]
        rows.append(f"| `{name}` | {' | '.join(str(n) for n in counted)} | {' | '.join(theirs)} |")
    total, code, longest = zip(*ours.values(), strict=True)
    rows.append(f"| together | {sum(total):,} | {sum(code):,} | {max(longest)} |{' |' * len(PEERS)}")
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


def recipes() -> str:
    """Every recipe, a table for each file of them."""
    from convatlas.recipes import FAMILIES

    parts = [RECIPES]
    for family in FAMILIES:
        parts.append(f"## {family.__name__.rpartition('.')[2]}\n\n{inspect.getdoc(family)}\n")
        rows = ["| recipe | network | data | published error | source | only remembered |", "|---|---|---|---|---|---|"]
        for name, r in family.RECIPES.items():
            published = "" if r.published is None else f"{r.published} %"
            rows.append(f"| `{name}` | `{r.model}` | {r.data} | {published} | {r.source} | {', '.join(r.remembered)} |")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def claims() -> str:
    """A line for each claim that was tried in full, then each with its picture."""
    from convatlas.claims import NAMES

    found = {path.stem: json.loads(path.read_text()) for path in (HERE / "results" / "claims").glob("*.json")}
    rows, parts = ["| claim | verdict | found | seeds | training |", "|---|---|---|---|---|"], []
    for name in NAMES:
        if name not in found:
            rows.append(f"| `{name}` | not tried in full yet | | | |")
            continue
        row = found[name]
        took = "" if not row["trained"] else f"{row['seconds'] / 60:.0f} min"
        rows.append(f"| [`{name}`](#{name}) | {row['verdict']} | {row['says']} | {len(row['seeds']) or ''} | {took} |")
        said, machine = f"{row['says'][0].upper()}{row['says'][1:]}", row["environment"]
        parts += [
            f"## {name}\n",
            f"{row['sentence']} *{row['place']}.*\n",
            f"**{row['verdict'].capitalize()}.** {said}.\n",
            f"![{name}](../results/claims/{name}.svg)\n",
            f"`{row['command']}`, {machine['processor']}, {machine['cores']} cores\n",
        ]
    return "\n".join([CLAIMS, *rows, "", *parts])


def inference() -> str:
    """How fast each network answers here, by us and by the best peer, for each demand of accuracy."""
    path = HERE / "results" / "bench" / "inference.json"
    if not path.exists():
        return "Not measured yet."
    bench = json.loads(path.read_text())
    limits = ", ".join(f"{name} {value:,.0f} {'GB/s' if name == 'copy' else 'GFLOP/s'}" for name, value in bench["ceilings"].items())
    rows = [
        f"{bench['environment']['processor']}, {bench['environment']['cores']} cores; at most {limits}. "
        "`python bench/inference.py`, in several sittings: each row in the file has its commit.\n",
        "| network | batch | demand | ours, ms | how | arithmetic, ms | maps in memory, ms | best peer, ms | times as fast | times eager |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in bench["rows"]:
        for demand, best in row["best"].items():
            ours, peer = row["sides"][best["ours"]], row["sides"].get(best.get("peer", ""), {})
            precision = best["ours"].rpartition(" ")[2]
            how = f"{ours.get('engine', '')} {precision}, {ours.get('chunk', '')} x {ours.get('streams', '')}"
            how += f", {ours['spared']} spared" if ours.get("spared") else ""
            rows.append(
                f"| `{row['model']}` | {row['batch']} | {demand} | {ours['ms']:.2f} | {how} | {bound(row, precision, bench['ceilings'])} | "
                f"{peer.get('ms', float('nan')):.2f} ({best.get('peer', '')}) | {best.get('ratio', '')} | {best.get('over_eager', '')} |"
            )
    return "\n".join(rows)


def bound(row: dict[str, Any], precision: str, ceilings: dict[str, float]) -> str:
    """What a batch's arithmetic takes at the ceiling, and moving its weights once and each map there and back through memory."""
    size = {"fp32": 1.0, "bf16": 0.5, "int8": 0.25}[precision]
    least = row["operations"] / ceilings[precision], size * row["bytes"] / ceilings["copy"]
    return " | ".join(f"{nanoseconds / 1e6:.2f}" for nanoseconds in least)


def catalogue() -> str:
    from convatlas.catalogue import counted

    return a_line_each(counted())


def pretrained() -> str:
    from published import rows

    return a_line_each(rows())


def a_line_each(rows: Iterable[dict[str, Any]]) -> str:
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


def filled(path: Path, tables: dict[str, str]) -> str:
    """A page with what stands between <!-- name --> and <!-- end --> made anew."""
    text = path.read_text()
    for name, table in tables.items():
        before, rest = text.split(f"<!-- {name} -->")
        text = f"{before}<!-- {name} -->\n{table}\n<!-- end -->{rest.split('<!-- end -->', 1)[1]}"
    return text


def main() -> None:
    pages = {
        HERE / "README.md": filled(HERE / "README.md", {"runs": runs(), "tuned": tuned(), "speed": speed(), "pretrained": seen()}),
        HERE / "docs" / "architecture.md": filled(HERE / "docs" / "architecture.md", {"lengths": lengths()}),
        HERE / "docs" / "speed.md": filled(HERE / "docs" / "speed.md", {"inference": inference()}),
        HERE / "docs" / "claims.md": claims(),
        HERE / "docs" / "commands.md": commands(),
        HERE / "docs" / "recipes.md": recipes(),
        HERE / "src" / "convatlas" / "catalogue.json": catalogue(),
        HERE / "src" / "convatlas" / "pretrained.json": pretrained(),
    }
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(HERE)} is stale" + ("; mend it by: make fix" if "--check" in sys.argv else ", written anew"))
        if "--check" not in sys.argv:
            path.write_text(pages[path])
    sys.exit(1 if stale and "--check" in sys.argv else 0)


if __name__ == "__main__":
    main()
