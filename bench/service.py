"""The service under load: one process on all cores, clients on the same machine, beside the network's own throughput.

A server answers with efficientnet_lite0 in int8 while 64 requests are always under way, for 60 seconds: pixels in place (NumPy arrays
of `--pictures` pictures), or JPEGs, which have to be decoded. Then with three times as many clients and a budget of half a second,
where those who are refused come again when they are told to. What it could answer at most is measured right before and after each,
while the server waits, by the twin alone in batches of 32. Memory is the server's, after a warm-up and at the end. And how long the
first page takes, of five starts.
Writes results/bench/service.json. Run it on an idle machine: python bench/service.py PICTURES
"""

import argparse
import asyncio
import io
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import httpx
import numpy as np
import torch
from PIL import Image

from convatlas.data.listed import open_data
from convatlas.inference.choose import fast
from convatlas.machine import environment, keep_memory
from convatlas.trained import of_weights

OUT = Path(__file__).parent.parent / "results" / "bench" / "service.json"
MODEL, SIZE, BUDGET = "efficientnet_lite0", 224, 0.5


def alone(folder: Path) -> Callable[[], float]:
    """Measures the pictures a second of the twin alone."""
    keep_memory()
    trained, listed = of_weights(MODEL, offline=True), open_data(folder)
    x = torch.cat([trained.preprocess(trained.place(listed.read(i))[None]) for i in range(128)])
    twin = fast(trained.net, "int8", 32, SIZE, calibration=x)
    batch = x[:32]

    def raw(seconds: float = 8.0) -> float:
        done, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            twin(batch)
            done += 32
        return done / (time.perf_counter() - begun)

    raw(1.0)
    return raw


def requests(folder: Path, kind: str, pictures: int) -> list[bytes]:
    """As they go over the wire."""
    listed = open_data(folder)
    placed = [np.asarray(Image.fromarray(listed.read(i).permute(1, 2, 0).numpy()).resize((SIZE, SIZE))) for i in range(64)]
    found = []
    for start in range(8):
        some = [placed[(start * pictures + i) % 64] for i in range(pictures)]
        if kind == "arrays":
            file = io.BytesIO()
            np.save(file, np.stack(some))
            body, told = file.getvalue(), "application/x-npy"
        else:
            jpegs = []
            for picture in some:
                Image.fromarray(picture).save(file := io.BytesIO(), "JPEG", quality=90)
                jpegs.append(("pictures", ("p", file.getvalue())))
            request = httpx.Request("POST", "http://x/", files=jpegs)
            body, told = request.read(), request.headers["content-type"]
        asked = f"POST /v1/predict?model={MODEL}&top=1 HTTP/1.1", "Host: localhost", f"Content-Type: {told}", f"Content-Length: {len(body)}"
        found.append("\r\n".join((*asked, "", "")).encode() + body)
    return found


async def load(where: str, asked: list[bytes], pictures: int, under_way: int, seconds: float) -> dict[str, Any]:
    """Clients that ask again when they are answered, and when they are refused as soon as they are told to."""
    codes, took, end = Counter(), [], time.perf_counter() + seconds

    async def client(n: int) -> None:
        reader, writer = await asyncio.open_connection(*where.removeprefix("http://").split(":"))
        while time.perf_counter() < end:
            begun = time.perf_counter()
            writer.write(asked[n % len(asked)])
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
            codes[code := int(head.split()[1])] += 1
            if code == 200:
                took.append(time.perf_counter() - begun)
            else:
                again = re.search(rb"retry-after: (\d+)", head)
                await asyncio.sleep(max(0.0, min(int(again[1]) if again else 1, end - time.perf_counter())))
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client(n) for n in range(under_way)))
    spent = time.perf_counter() - begun
    quantiles = {f"p{q}": round(1e3 * float(np.quantile(took, q / 100)), 1) for q in (50, 95, 99)}
    return {"under_way": under_way, "images_per_s": round(len(took) * pictures / spent, 1), "ms": quantiles, "codes": dict(codes)}


def memory(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def served(
    raw: Callable[[], float], folder: Path, kind: str, pictures: int, under_way: int, seconds: float, budget: float
) -> dict[str, Any]:
    command = [sys.executable, "-m", "convatlas", "serve", "--port", "0", "--precision", "int8", "--calibration", str(folder)]
    with subprocess.Popen([*command, "--budget", str(budget)], stdout=subprocess.PIPE, text=True) as process:
        try:
            where = re.match(r"(http://\S+)/ is", process.stdout.readline())[1]
            asked = requests(folder, kind, pictures)
            asyncio.run(load(where, asked[:1], pictures, 1, 1.0))  # opens the network
            asyncio.run(load(where, asked, pictures, under_way, seconds / 4))
            mb, bounds = [memory(process.pid)], [raw()]
            found = asyncio.run(load(where, asked, pictures, under_way, seconds))
            mb.append(memory(process.pid))
            bounds.append(raw())
            found |= {"kind": kind, "pictures": pictures, "budget_s": budget, "mb": [*map(round, mb)]}
            found |= {"raw_images_per_s": [round(v, 1) for v in bounds], "share_of_raw": round(found["images_per_s"] / mean(bounds), 3)}
        finally:
            process.terminate()
    print(found, flush=True)
    return found


def first_page() -> dict[str, float]:
    """Seconds from the command to its first page, and of these from the question to the answer."""
    seconds: list[tuple[float, float]] = []
    for _ in range(5):
        begun = time.perf_counter()
        with subprocess.Popen([sys.executable, "-m", "convatlas", "page", "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
            where = re.match(r"(http://\S+)/ is", process.stdout.readline())[1]
            asked = time.perf_counter()
            httpx.get(where).raise_for_status()
            now = time.perf_counter()
            seconds.append((now - begun, now - asked))
            process.terminate()
    from_command, from_question = (round(median(column), 3) for column in zip(*seconds, strict=True))
    return {"from_command_s": from_command, "from_question_s": from_question}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("folder", type=Path)
    words.add_argument("--pictures", type=int, default=16)
    words.add_argument("--seconds", type=float, default=60.0)
    given = words.parse_args()
    raw = alone(given.folder)
    rows = [
        served(raw, given.folder, "arrays", given.pictures, 64, given.seconds, 10.0),
        served(raw, given.folder, "jpeg", given.pictures, 64, given.seconds, 10.0),
        served(raw, given.folder, "arrays", given.pictures, 192, given.seconds / 2, BUDGET),
    ]
    text = {
        "what": "the service under load, clients on the same cores; its first page",
        "first_page": first_page(),
        "rows": rows,
        "command": "python bench/service.py PICTURES",
        "environment": environment(),
    }
    OUT.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
