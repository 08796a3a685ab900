"""Very many pictures through a trained network, in parts, of which each is looked at anew only as long as its answers are not written.

    OUT.parts/asked.json   of which network, which pictures and what is asked
    OUT.parts/00012.json   the answers of part 12 and why others of its pictures cannot be read; there whole or not at all

So whoever is killed, and however often, every picture stands in the table once: parts are made of the list alone, and the table of parts.
"""

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

from torch import Tensor

from .data.pictures import picture_of
from .data.shards import shards
from .disk import whole
from .mistake import Mistake
from .pixels import expanded
from .predict import answers
from .trained import Trained

PART = 1000  # pictures


class Place(NamedTuple):
    """Where a picture's bytes are: `size` of them from `at` on in `file`, or if that is -1 all of it."""

    name: str
    file: str
    at: int = -1
    size: int = -1

    def read(self, channels: int) -> Tensor:
        """The picture, (channels, H, W) uint8. Raises Mistake."""
        if self.at < 0:
            return picture_of(Path(self.file), self.name, channels)
        try:
            with Path(self.file).open("rb") as file:
                file.seek(self.at)
                return picture_of(BytesIO(file.read(self.size)), self.name, channels)
        except OSError as error:
            raise Mistake(f"{self.name} cannot be read: {error.strerror or error}.") from error


def places(words: Iterable[str], lines: Iterable[str] = ()) -> tuple[list[Place], dict[str, str]]:
    """The pictures that are meant, each once: files, as `pixels.expanded` finds them, and members of tar shards.

    And what in the shards cannot be used, with the reasons.
    """
    found: dict[Place, None] = {}
    problems: dict[str, str] = {}
    for word in words:
        path = Path(word)
        if path.suffix == ".tar" or (path.is_dir() and any(path.glob("*.tar"))):
            inside = shards(path)
            problems |= inside.problems
            members = zip(inside.entries, inside.get.members, strict=True)  # pyright: ignore[reportFunctionMemberAccess]: of shards
            found |= {Place(entry.name, str(member.shard), member.at, member.size): None for entry, member in members}
        else:
            found |= {Place(str(file), str(file)): None for file in expanded([word], lines)}
    if not found:
        raise Mistake(f"{', '.join(words)}: there are no pictures.{' ' + next(iter(problems.values())) if problems else ''}")
    return list(found), problems


@dataclass(frozen=True)
class Bulk:
    """What is asked: a table `out` of label, or with `shares` of every class's probability, for each of `places`."""

    out: Path
    places: list[Place]
    shares: bool

    @property
    def folder(self) -> Path:
        return self.out.with_name(f"{self.out.name}.parts")

    def begin(self, trained: Trained) -> list[int]:
        """The parts that are left to do. Raises Mistake if parts of another question are there."""
        digest = sha256(json.dumps([self.shares, trained.name, self.places]).encode())
        for name, tensor in trained.net.state_dict().items():
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        asked = {"network": trained.name, "pictures": len(self.places), "sha256": digest.hexdigest()}
        path = self.folder / "asked.json"
        if path.exists() and json.loads(path.read_text()) != asked:
            raise Mistake(
                f"{self.folder} holds parts of another table: of other pictures or another network. Delete it, or choose another --csv."
            )
        self.folder.mkdir(exist_ok=True)
        for stray in self.folder.glob(".*.draft"):
            stray.unlink()
        with whole(path) as draft:
            draft.write_text(json.dumps(asked) + "\n")
        return [n for n in range(self.count) if not part_file(self.folder, n).exists()]

    @property
    def count(self) -> int:
        return -(-len(self.places) // PART)

    def part(self, n: int) -> list[Place]:
        return self.places[n * PART : (n + 1) * PART]

    def finish(self, trained: Trained) -> dict[str, str]:
        """Makes the table of the parts, which then go, and gives what could not be read."""
        problems: dict[str, str] = {}
        with whole(self.out) as draft, draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["file", *(trained.classes if self.shares else ["label"])])
            for n in range(self.count):
                held = json.loads(part_file(self.folder, n).read_text())
                table.writerows(held["rows"])
                problems |= held["problems"]
        rmtree(self.folder)
        return problems


def part_file(folder: Path, n: int) -> Path:
    return folder / f"{n:05}.json"


def look(trained: Trained, folder: Path, n: int, asked: list[Place], shares: bool) -> int:
    """Does part `n` and writes it; gives how many pictures it has."""
    rows, problems = [], {}
    for place, found in answers(trained, asked, lambda place: place.read(trained.channels)):
        if isinstance(found, Mistake):
            problems[place.name] = str(found)
        else:
            said = [f"{p:.6g}" for p in found.tolist()] if shares else [trained.classes[int(found.argmax())]]
            rows.append([place.name, *said])
    with whole(part_file(folder, n)) as draft:
        draft.write_text(json.dumps({"rows": rows, "problems": problems}))
    return len(asked)
