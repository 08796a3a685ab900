"""Trained networks on the Hugging Face hub: hf://USER/NAME, or hf://USER/NAME@REVISION. What is there is laid out as packed.py says.

config.json is read and judged before the weights are fetched. Both come from one commit, into the cache of the hub's own client.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from .download import disconnected
from .mistake import Mistake
from .packed import CONFIG, WEIGHTS, complete, pack, read, right
from .run import Run

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PLACE = re.compile(r"hf://([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(\S+))?", re.ASCII)
SECONDS = 10.0  # to wait for the hub's first answer, before what is on this machine is taken


def find(what: str, offline: bool = False) -> tuple[Path, str] | None:
    """The folder in this layout that is meant, and a name for it: a folder, or hf://USER/NAME or hf://USER/NAME@REVISION, fetched.

    A name on the hub has the commit in it, which means the same for ever. None for anything else; Mistake as `fetch`.
    """
    if what.startswith("hf://"):
        folder = fetch(what, offline)
        return folder, f"{what.partition('@')[0]}@{folder.name}"
    return (Path(what), what) if (Path(what) / CONFIG).is_file() else None


def repository(place: str) -> tuple[str, str | None]:
    """USER/NAME and the revision. Raises Mistake."""
    found = PLACE.fullmatch(place)
    if not found:
        raise Mistake(f"{place} is no place on the hub; that is hf://USER/NAME, or hf://USER/NAME@REVISION.")
    return found[1], found[2]


def client() -> "HfApi":
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise Mistake("the hub needs huggingface-hub: pip install 'convatlas[hub]'.") from None
    return HfApi(library_name="convatlas", library_version=version("convatlas"))


def fetch(place: str, offline: bool = False) -> Path:
    """The folder in the hub's cache that holds this place's config and weights, fetched if they are not there; named as the commit.

    Without a connection, what was fetched before is taken. The network is not asked with `offline`, nor where CONVATLAS_OFFLINE or
    HF_HUB_OFFLINE is 1 in the environment. Raises Mistake where that leaves nothing, and for a place that is not as it must be.
    """
    repo, revision = repository(place)
    api = client()
    with asking(place, api):
        why = "the network is not to be asked" if silent(offline) else ask(api, place, repo, revision)

        def get(name: str, at: str | None, anew: bool = False) -> Path:
            if why:
                return cached(place, repo, name, at, why)
            return Path(api.hf_hub_download(repo, name, revision=at, force_download=anew))

        folder = get(CONFIG, revision).parent
        read(folder)
        get(WEIGHTS, folder.name)
        if not why and not right(folder):  # what is in the cache may be damaged
            get(WEIGHTS, folder.name, anew=True)
    return folder


def cached(place: str, repo: str, name: str, revision: str | None, why: str) -> Path:
    """A file in the hub's cache; the client's own `local_files_only` asks the network what program it is used by. Raises Mistake."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name, revision=revision)
    if not isinstance(found, str):
        raise Mistake(f"{place} is not in the hub's cache, and {why}.")
    return Path(found)


def silent(offline: bool) -> bool:
    from huggingface_hub.constants import HF_HUB_OFFLINE

    return disconnected(offline) or HF_HUB_OFFLINE


def ask(api: "HfApi", place: str, repo: str, revision: str | None) -> str:
    """Nothing if the hub has our files at this place, else why it does not say. Raises Mistake if it has others, the client's if none."""
    from huggingface_hub.utils import HfHubHTTPError

    try:
        found = api.model_info(repo, revision=revision, timeout=SECONDS)
    except Exception as error:  # by version those of requests, httpx or httpx2, and what one raises of an answer that is not the hub's
        if isinstance(error, HfHubHTTPError) and error.response.status_code < 500:
            raise
        return f"{api.endpoint} does not answer ({line(error)})"
    complete(place, [file.rfilename for file in found.siblings or []])
    return ""


def push(run: Run, name: str, private: bool = False, licence: str | None = None) -> dict[str, str]:
    """Writes a finished run to the hub's repository USER/NAME in one commit; makes it if it is not there. Says which commit it is.

    Raises Mistake if the hub does not take it, or if it is to be `private` and is there already for all to see.
    """
    place = name if name.startswith("hf://") else f"hf://{name}"
    repo, revision = repository(place)
    if revision:
        raise Mistake(f"{name}: what is pushed becomes the newest commit; leave out @{revision}.")
    api = client()
    if silent(False):
        raise Mistake(f"nothing is pushed to {place}: the network is not to be asked.")
    from huggingface_hub import CommitOperationAdd

    with TemporaryDirectory() as folder, asking(place, api):
        pack(run, Path(folder), licence, place)
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise Mistake(f"{place} is there already, for all to see. Make it private on its page, or leave out --private.")
        added = [CommitOperationAdd(file.name, str(file)) for file in sorted(Path(folder).iterdir())]
        done = api.create_commit(repo, added, commit_message=f"{run.name}, seed {run.seed}, by convatlas {version('convatlas')}")
    return {"repository": f"{api.endpoint}/{repo}", "commit": done.oid, "load": f"{place}@{done.oid}"}


@contextmanager
def asking(place: str, api: "HfApi") -> Iterator[None]:
    """Whatever the hub's client raises in this block as a Mistake about `place`; errors of the disk as they are."""
    try:
        yield
    except Mistake:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise Mistake(f"{place} {told(error, api.endpoint)}") from error


def told(error: Exception, hub: str) -> str:
    """What became of a request to the hub."""
    from huggingface_hub.utils import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error.__cause__, HfHubHTTPError):  # in what the client makes of a failed upload
        error = error.__cause__
    login = "log in by `hf auth login`, or set HF_TOKEN"
    match error:
        case GatedRepoError():
            return f"is gated: ask for access on its page at {hub}, then {login}."
        case RepositoryNotFoundError():
            return f"is not at {hub}, or not for everybody to see. Look at the spelling; if it is private, {login}."
        case RevisionNotFoundError():
            return "has no such revision; leave out @REVISION, or name a branch, tag or commit."
        case HfHubHTTPError():
            code = error.response.status_code
            more = f": {login}, with a token that may write there" if code in (401, 403) else ""
            return f"is refused by {hub} ({code}, {error.server_message or line(error)}){more}."
    return f"could not be had from {hub} ({line(error)}). Ask again."


def line(error: Exception) -> str:
    """The first line of an error's text, or its kind if it has none."""
    return next((text.strip() for text in str(error).splitlines() if text.strip()), type(error).__name__)
