"""Files are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Errors of the disk in this block say which file they are about; a write that fails does not say it by itself."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A place to write `path` at. It takes its name once it is complete and on the disk; else the old file stands and it is gone."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        with named(path):
            yield draft
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(path)
            sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def cache_folder(kind: str) -> Path:
    """Where what can be made or fetched again is kept: $XDG_CACHE_HOME/convatlas/KIND, by default ~/.cache/convatlas/KIND."""
    home = os.environ.get("XDG_CACHE_HOME", "")  # a relative one does not count, says the XDG specification
    return (Path(home) if home.startswith("/") else Path.home() / ".cache") / "convatlas" / kind


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last through a loss of power, where the system can do that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
