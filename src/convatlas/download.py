"""Files from the network: shown as they come, gone on with after a break, checked by their hash, written whole or not at all.

What has come stands in FILE.part. It takes its name only once its hash is right; with a wrong one it is taken away.
"""

import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from .disk import named, sync_folder
from .mistake import Mistake

BLOCK = 1 << 20
LIMIT = 4 << 30  # bytes: no file of weights here is a quarter of that
TRIES = 4
SECONDS = 30.0  # without a byte, until a connection counts as broken

Progress = Callable[[int, int | None], None]  # bytes that are here, and bytes in all where the server says so


class Broken(Exception):
    """A connection that ended before the file did, and may be tried again."""


def disconnected(offline: bool) -> bool:
    """Whether the network is not to be asked: because of `offline`, or where CONVATLAS_OFFLINE is 1 in the environment."""
    return offline or os.environ.get("CONVATLAS_OFFLINE", "") not in ("", "0")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def download(url: str, path: Path, sha256: str, progress: Progress | None = None, pause: float = 1.0) -> None:
    """Fetches `url` to `path`, going on where an earlier attempt ended. `sha256` is the file's, or how it begins.

    A broken connection is tried again a few times, `pause` seconds later and each time twice as long. Raises Mistake for an address
    that answers with anything but the file whose hash that is; OSError for a disk that is full or not writable.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise Mistake(f"{url} is no address of the web.")
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    resumed = part.exists() and part.stat().st_size > 0
    with alone(part) as file:
        complete(url, file, progress, pause)
        if resumed and not whole_and_right(part, sha256):  # what was there before may have been of another file
            file.truncate(0)
            complete(url, file, progress, pause)
        os.fsync(file.fileno())
        if not whole_and_right(part, sha256):
            found = sha256_of(part)
            part.unlink()
            raise Mistake(f"{url} gave another file: its sha256 begins with {found[:12]}, not {sha256[:12]}. It was taken away.")
        part.replace(path)
        sync_folder(path.parent)


def whole_and_right(part: Path, sha256: str) -> bool:
    return sha256_of(part).startswith(sha256)


@contextmanager
def alone(part: Path) -> Iterator[BinaryIO]:
    """The file open for adding to, by this process only. Raises Mistake if another has it."""
    with named(part), part.open("ab", buffering=0) as file:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Mistake(f"{part} is being fetched by another process; wait for it.") from None
        yield file


def complete(url: str, file: BinaryIO, progress: Progress | None, pause: float) -> None:
    """Adds what is missing, in as many attempts as are allowed."""
    for attempt in range(TRIES):
        before = os.fstat(file.fileno()).st_size
        try:
            receive(url, file, progress)
        except Broken as error:
            have = os.fstat(file.fileno()).st_size
            if attempt == TRIES - 1:
                raise Mistake(f"{url} broke off after {have:,} bytes ({error}). Ask again, and it goes on from there.") from error
            time.sleep(0.0 if have > before else pause * 2**attempt)
        else:
            return


def receive(url: str, file: BinaryIO, progress: Progress | None) -> None:
    """One attempt to fetch what is missing. Raises Broken if it may be tried again, Mistake if not."""
    have = os.fstat(file.fileno()).st_size
    wanted = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers={"User-Agent": "convatlas", "Accept-Encoding": "identity", **wanted})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - download() has looked at the scheme
            if have and not goes_on(answer, have):
                file.truncate(0)
                have = 0
            write(answer, file, have, progress)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return  # nothing is missing, or what is there is wrong: the hash will tell
        if error.code >= http.client.INTERNAL_SERVER_ERROR or error.code == http.client.TOO_MANY_REQUESTS:
            raise Broken(f"the server answers {error.code} {error.reason}") from error
        raise Mistake(f"{url} cannot be fetched: the server answers {error.code} {error.reason}.") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise Broken(str(getattr(error, "reason", error)) or type(error).__name__) from error


def goes_on(answer: http.client.HTTPResponse, have: int) -> bool:
    """Whether the server sends the rest, and not the whole file anew."""
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return answer.status == http.client.PARTIAL_CONTENT and found is not None and int(found[1]) == have


def write(answer: http.client.HTTPResponse, file: BinaryIO, have: int, progress: Progress | None) -> None:
    length = answer.headers.get("Content-Length", "")
    total = have + int(length) if length.isdecimal() else None
    if total is not None and total > LIMIT:
        raise Mistake(f"{answer.url} says that it holds {total:,} bytes, more than {LIMIT >> 30} GiB; that is not fetched.")
    while block := answer.read(BLOCK):
        with named(Path(str(file.name))):
            file.write(block)
        have += len(block)
        if have > LIMIT:
            raise Mistake(f"{answer.url} does not end after {LIMIT >> 30} GiB; it is not fetched.")
        if progress:
            progress(have, total)
    if total is not None and have < total:
        raise Broken(f"{total - have:,} bytes are missing")


@contextmanager
def shown(what: str) -> Iterator[Progress]:
    """A bar on a terminal, a line elsewhere; both on the error output."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        print(f"Fetching {what}", file=sys.stderr)
        yield lambda *_: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda have, total: bar.update(task, completed=have, total=total)
