"""Pictures that come in requests: how much is read, what counts as a picture, and what is said of the rest. They stay in memory."""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from anyio import CapacityLimiter, to_thread
from fastapi import HTTPException, Request
from numpy.typing import NDArray
from PIL import Image
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ..mistake import Mistake
from ..pixels import pixels
from .batcher import Full

BODY = 32 << 20  # bytes of a request
PIXELS = 50_000_000  # of a picture
TOGETHER = 200_000_000  # of all pictures of a request: some seconds of decoding
PICTURES = 64  # in a request
HELD = 512 << 20  # bytes of all requests that are being read or answered
PATIENCE = 20.0  # seconds in which a request must have come

LARGE, SLOW = 1 << 20, ("multipart/form-data", "application/json")  # such a body, of so many bytes, is taken apart by another thread
READING = CapacityLimiter(2)  # of those at a time

MAGIC = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"))


class Whole(MultiPartParser):
    """Keeps every part in memory."""

    spool_max_size = BODY + 1


@dataclass(frozen=True)
class Asked:
    """The pictures' bytes, or their pixels (N, H, W, channels), and the other fields of the request."""

    pictures: list[bytes] | NDArray[np.uint8]
    fields: dict[str, Any]


class Room:
    """Memory for what requests bring, from before they are read until they are answered. Raises Full where there is none."""

    def __init__(self, most: int = HELD):
        self.left = most

    async def __call__(self, request: Request) -> AsyncGenerator[None, None]:
        length = request.headers.get("content-length", "")
        bytes_ = min(int(length), BODY) if length.isdecimal() else BODY
        if bytes_ > self.left:
            raise Full(1.0)
        self.left -= bytes_
        try:
            yield
        finally:
            self.left += bytes_


async def body_of(request: Request) -> bytes:
    """Raises HTTPException 413 for more than BODY bytes, 408 for a client that takes longer than PATIENCE."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > BODY:
        raise HTTPException(413, f"a request has at most {BODY >> 20} MB.")
    parts, size = [], 0
    try:
        async with asyncio.timeout(PATIENCE):
            async for part in request.stream():
                size += len(part)
                if size > BODY:
                    raise HTTPException(413, f"a request has at most {BODY >> 20} MB.")
                parts.append(part)
    except TimeoutError:
        raise HTTPException(408, f"the request did not come within {PATIENCE:.0f} seconds.") from None
    return b"".join(parts)


async def asked(request: Request, most: int = PICTURES) -> Asked:
    """What a request asks about, `most` pictures: multipart files, JSON with base64 in "pictures", or a picture as the body itself."""
    body, kind = await body_of(request), request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if len(body) > LARGE and kind in SLOW:
        found = await to_thread.run_sync(lambda: asyncio.run(taken_apart(request.headers, kind, body)), limiter=READING)
    else:
        found = await taken_apart(request.headers, kind, body)
    if not len(found.pictures):
        raise HTTPException(422, "there is no picture in the request.")
    if len(found.pictures) > most:
        raise HTTPException(413, f"a request of this kind has at most {most} picture{'s' * (most > 1)}, not {len(found.pictures)}.")
    return found


async def taken_apart(headers: Headers, kind: str, body: bytes) -> Asked:
    if kind == "multipart/form-data":
        return await multipart(headers, body)
    if kind == "application/json":
        return document(body)
    if kind == "application/x-npy":
        return Asked(array(body), {})
    if kind.startswith("image/") or kind == "application/octet-stream":
        return Asked([body], {})
    known = "multipart/form-data with files, application/json with base64 in pictures, application/x-npy, or a picture itself"
    raise HTTPException(415, f"send {known}.")


async def multipart(headers: Headers, body: bytes) -> Asked:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await Whole(headers, stream(), max_files=PICTURES + 1, max_fields=20, max_part_size=BODY).parse()
        files = [await value.read() for _, value in form.multi_items() if isinstance(value, UploadFile)]
        fields = {key: value for key, value in form.multi_items() if isinstance(value, str)}
        await form.close()
    except (MultiPartException, KeyError, ValueError, AssertionError) as error:
        raise HTTPException(400, f"the multipart body is damaged: {error or 'no boundary'}.") from error
    return Asked(files, fields)


def array(body: bytes) -> NDArray[np.uint8]:
    """NumPy's own format: uint8 (N, H, W, channels), for clients that have decoded their pictures."""
    try:
        found = np.lib.format.read_array(BytesIO(body), allow_pickle=False, max_header_size=1000)
    except Exception as error:  # as with pictures: a header can fail in many ways
        raise HTTPException(400, f"the body is no NumPy array: {error}.") from error
    if found.dtype != np.uint8 or found.ndim != 4 or found.shape[3] not in (1, 3) or not found.size:
        raise HTTPException(422, f"an array is uint8 (N, H, W, channels), not {found.dtype} {found.shape}.")
    return found


def document(body: bytes) -> Asked:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is no JSON: {error}.") from error
    coded = found.get("pictures") if isinstance(found, dict) else None
    if not isinstance(coded, list) or not all(isinstance(text, str) for text in coded):
        raise HTTPException(422, '"pictures" must be a list of base64 texts.')
    try:
        pictures = [base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True) for text in coded]
    except (binascii.Error, ValueError) as error:
        raise HTTPException(422, f"a picture is no base64: {error}.") from error
    return Asked(pictures, {key: value for key, value in found.items() if key != "pictures"})


def kind_of(data: bytes) -> str | None:
    """What the first bytes say that this is."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for magic, name in MAGIC if data.startswith(magic)), None)


def decoded(pictures: list[bytes], channels: int) -> Iterator[NDArray[np.uint8]]:
    """Each picture's pixels, (H, W, channels), once the size of all is known. Raises HTTPException: 415 for what is no picture, 413 for
    what is too large, alone or together, 422 for what is damaged.
    """
    kinds, total = [], 0
    for data in pictures:
        kind, size = described(data)
        kinds.append(kind)
        total += size
    if total > TOGETHER:
        raise HTTPException(413, f"the pictures of a request have at most {TOGETHER:,} pixels together, not {total:,}.")
    for data, kind in zip(pictures, kinds, strict=True):
        try:
            yield pixels(BytesIO(data), "the picture", channels)
        except Mistake as error:
            raise HTTPException(422, str(error)) from error
        except Exception as error:  # a reader's own trouble with what it was given is the giver's
            raise HTTPException(422, f"the {kind} cannot be read.") from error


def described(data: bytes) -> tuple[str, int]:
    """What kind of picture this is, and how many pixels it says it has."""
    kind = kind_of(data)
    if kind is None:
        raise HTTPException(415, "this is no JPEG, PNG, WebP, GIF, BMP or TIFF.")
    try:
        with Image.open(BytesIO(data), formats=[kind]) as opened:
            width, height = opened.size
    except Image.DecompressionBombError as error:
        raise HTTPException(413, f"a picture has at most {PIXELS:,} pixels.") from error
    except Exception as error:
        raise HTTPException(422, f"the {kind} cannot be read.") from error
    if width * height > PIXELS:
        raise HTTPException(413, f"a picture has at most {PIXELS:,} pixels, not {width:,} x {height:,}.")
    return kind, width * height
