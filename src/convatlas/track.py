"""TensorBoard's view of a run: an event file in RUN/tensorboard, made from recipe.json and log.jsonl, which stay the truth.

A line of the log always becomes the same bytes, and a log that grew by a line a file that grew by these. So mirroring again
writes what is missing and nothing twice, whoever did it before and however far that came. Where the log went back, as it does when a run
goes on from its last checkpoint, the file is made anew under the next number and the old one emptied; the first event tells a
TensorBoard that is looking to forget what it saw. Times are those of recipe.json plus the seconds of training. Needs the extra `track`.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from .compare import alike, written
from .disk import named, whole
from .mistake import Mistake
from .recipes.text import lines

Event = Any  # of TensorBoard's message classes, which are made at run time
Summary = Any


def mirror(folder: Path) -> Path:
    """Brings the event file of the run in `folder` up to its log, and gives the place for `tensorboard --logdir`.

    Raises Mistake if recipe.json or the log is damaged or TensorBoard is not installed, OSError if it cannot be written.
    """
    part("version")
    Mirror(folder)()
    return folder / "tensorboard"


@contextmanager
def following(folder: Path) -> Iterator["Mirror"]:
    """While a run is trained: what is yielded mirrors, whenever it is called, the lines that came since, and so does the end of the block.

    Raises as `mirror` does; that TensorBoard is not installed before the block begins.
    """
    part("version")
    see = Mirror(folder)
    try:
        yield see
    finally:
        see()


class Mirror:
    """The event file of one run. Calling it brings the file up to the log, of which only what is new is read."""

    def __init__(self, folder: Path):
        self.folder, self.log, self.place = folder, folder / "log.jsonl", folder / "tensorboard"
        self.forget()

    def forget(self) -> None:
        self.read, self.last = 0, b""  # bytes of the log that are mirrored, and the last line of these
        self.path, self.size = self.place, 0  # the event file, and how much of it that is
        self.step, self.seconds = 0, 0.0  # in the last line that has them

    def __call__(self) -> None:
        text = self.unread()
        if text is None or not self.path.is_file():
            self.forget()
            self.level()
        elif text:
            self.write(self.records(text))

    def unread(self) -> bytes | None:
        """What is new in the log up to its last whole line; None if it does not hold any more what was read."""
        if not self.log.exists():
            return None if self.read else b""
        with named(self.log), self.log.open("rb") as file:
            file.seek(self.read - len(self.last))
            text = file.read()
        return text[len(self.last) : text.rfind(b"\n") + 1] if text.startswith(self.last) else None

    def level(self) -> None:
        """Writes what the newest event file lacks, or another file in its place if it is not of this log."""
        files = sorted(self.place.glob("events.out.tfevents.*.convatlas"))
        self.path = files[-1] if files else self.place / name(1)
        there = self.path.read_bytes() if files else None  # before the log is read: another process may mirror it, too
        records = packed(opening(self.folder)) + self.records(self.unread() or b"")
        if there is None or not records.startswith(there):
            self.path = self.place / name(int(self.path.name.split(".")[3]) + bool(files))
            self.place.mkdir(exist_ok=True)
            with whole(self.path) as draft:
                draft.write_bytes(records)
            self.size = len(records)
        else:
            self.size = len(there)
            self.write(records[len(there) :])
        for old in files:
            if old != self.path:
                old.write_bytes(b"")  # not away: TensorBoard's own reader would wait for it for ever

    def write(self, records: bytes) -> None:
        """At their place, not at the end: two processes that mirror the same run write the same."""
        with named(self.path), self.path.open("r+b") as file:
            file.seek(self.size)
            file.write(records)
        self.size += len(records)

    def records(self, text: bytes) -> bytes:
        """Lines of the log as events, and takes note of them as read."""
        events = []
        for line in text.splitlines(keepends=True):
            try:
                events.append(self.event(json.loads(line)))
            except (ValueError, TypeError, AttributeError) as error:
                raise Mistake(f"{self.log} is damaged at {line[:40]!r} ({error}).") from error
            self.last = line
        self.read += len(text)
        return packed(events)

    def event(self, line: dict[str, Any]) -> Event:
        self.step, self.seconds = line.get("step", self.step), line.get("seconds", self.seconds)
        numbers = {tag: value for tag, value in line.items() if tag not in ("step", "seconds") and isinstance(value, int | float)}
        summary = part("compat.proto.summary_pb2").Summary()
        for tag, value in numbers.items():
            summary.value.add(tag=tag, simple_value=value)
        if "event" in line:
            text = f"```\n{json.dumps(line, indent=1)}\n```"
            summary.MergeFrom(part("plugins.text.summary_v2").text_pb(line["event"], text))
        return part("compat.proto.event_pb2").Event(wall_time=begun(self.folder) + self.seconds, step=self.step, summary=summary)


def name(number: int) -> str:
    return f"events.out.tfevents.{number:010}.convatlas"


def begun(folder: Path) -> float:
    return (folder / "recipe.json").stat().st_mtime


def opening(folder: Path) -> list[Event]:
    """The events that a file begins with: its version, "forget what you saw", and the recipe's values."""
    about, events = written(folder), part("compat.proto.event_pb2")
    when = begun(folder)
    return [
        events.Event(wall_time=when, file_version="brain.Event:2"),
        events.Event(wall_time=when, session_log=events.SessionLog(status=events.SessionLog.START)),
        events.Event(wall_time=when, summary=described(about["name"], about["recipe"], when)),
    ]


def described(recipe: str, values: dict[str, Any], when: float) -> Summary:
    """A recipe's values for TensorBoard's HPARAMS; runs that differ in their seed alone are one of its session groups."""
    plugin, metadata = part("plugins.hparams.plugin_data_pb2"), part("plugins.hparams.metadata")
    group = f"{recipe} {sha256(alike(recipe, values).encode()).hexdigest()[:8]}"
    start = plugin.SessionStartInfo(group_name=group, start_time_secs=when)
    for key, text in lines(values):
        try:
            start.hparams[key].number_value = float(text)
        except ValueError:
            start.hparams[key].string_value = text
    content = plugin.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, session_start_info=start)
    kind = metadata.create_summary_metadata(content)
    kind.plugin_data.content = content.SerializeToString(deterministic=True)  # else its order is left to chance
    summary = part("compat.proto.summary_pb2").Summary()
    summary.value.add(tag=metadata.SESSION_START_INFO_TAG, metadata=kind, tensor=metadata.NULL_TENSOR)
    return summary


def packed(events: Iterable[Event]) -> bytes:
    """Events as records of an event file."""
    out = BytesIO()
    writer = part("summary.writer.record_writer").RecordWriter(out)
    for event in events:
        writer.write(event.SerializeToString(deterministic=True))
    return out.getvalue()


def part(name: str) -> Any:
    """A module of TensorBoard's. Raises Mistake if it is not installed."""
    try:
        return import_module(f"tensorboard.{name}")
    except ImportError:
        raise Mistake("this needs TensorBoard: pip install 'convatlas[track]'.") from None
