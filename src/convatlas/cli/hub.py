"""The verbs that hand on what was trained: pack, push."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .output import Json, print_json

Licence = Annotated[str | None, Parameter(help='What others may do with the weights, by the hub\'s identifier: "mit", "cc-by-4.0".')]


def pack(run: Path, folder: Path, *, licence: Licence = None, json: Json = False) -> None:
    """Write a finished run as a folder to hand on: model.safetensors, config.json and a model card, as on the Hugging Face hub.

    `convatlas predict photo.jpg --weights FOLDER` uses it, and so does convatlas.load. No path of this machine is in it.

    Parameters
    ----------
    run
        The folder of a finished run.
    folder
        Where to write, new or empty.
    """
    from ..packed import pack as packed
    from ..run import open_run

    packed(open_run(run), folder, licence)
    if json:
        print_json({"folder": str(folder), "files": sorted(file.name for file in folder.iterdir())})
    else:
        print(f"{folder} is written; try: convatlas predict photo.jpg --weights {folder}")


def push(
    run: Path,
    repository: str,
    *,
    private: Annotated[bool, Parameter(negative=())] = False,
    licence: Licence = None,
    json: Json = False,
) -> None:
    """Put a finished run on the Hugging Face hub, in one commit: what `pack` writes. Needs the extra `hub` and a login (`hf auth login`).

    `convatlas predict photo.jpg --weights hf://USER/NAME` uses it, and so does convatlas.load. Other files there are left as they are.

    Parameters
    ----------
    run
        The folder of a finished run.
    repository
        USER/NAME; it is made if it is not there.
    private
        Make it for you alone to see; refused where it is there already for all.
    """
    from ..hub import push as pushed
    from ..run import open_run

    done = pushed(open_run(run), repository, private, licence)
    if json:
        print_json(done)
    else:
        print(f"{done['repository']} has it now. This very state, for ever: {done['load']}")
