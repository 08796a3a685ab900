"""The service under load: one process on all cores, clients on the same machine, beside the network's own throughput.

A server answers with efficientnet_lite0 in int8 while 64 requests are always under way, for 60 seconds: pixels in place (NumPy arrays of
`--pictures` pictures), or JPEGs, which have to be decoded. Then with three times as many and a budget of half a second. What it could
answer at most is measured before and after, by the twin alone in batches of 32. Memory is the server's, at the beginning and the end.
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
from pathlib import Path
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


def raw(folder: Path, seconds: float = 10.0) -> float:
    """Pictures a second of the twin alone."""
    keep_memory()
    trained, listed = of_weights(MODEL, offline=True), open_data(folder)
    x = torch.cat([trained.preprocess(trained.place(listed.read(i))[None]) for i in range(128)])
    twin = fast(trained.net, "int8", 32, SIZE, calibration=x)
    batch, done, begun = x[:32], 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        twin(batch)
        done += 32
    return done / (time.perf_counter() - begun)


def bodies(folder: Path, kind: str, pictures: int) -> list[dict[str, Any]]:
    listed = open_data(folder)
    placed = [np.asarray(Image.fromarray(listed.read(i).permute(1, 2, 0).numpy()).resize((SIZE, SIZE))) for i in range(64)]
    found = []
    for start in range(8):
        some = [placed[(start * pictures + i) % 64] for i in range(pictures)]
        if kind == "arrays":
            file = io.BytesIO()
            np.save(file, np.stack(some))
            found.append({"content": file.getvalue(), "headers": {"content-type": "application/x-npy"}})
        else:
            jpegs = []
            for picture in some:
                Image.fromarray(picture).save(file := io.BytesIO(), "JPEG", quality=90)
                jpegs.append(("pictures", ("p", file.getvalue())))
            request = httpx.Request("POST", "http://x/", files=jpegs)
            found.append({"content": request.read(), "headers": {"content-type": request.headers["content-type"]}})
    return found


async def load(where: str, asked: list[dict[str, Any]], pictures: int, under_way: int, seconds: float) -> dict[str, Any]:
    codes, took, end = Counter(), [], time.perf_counter() + seconds
    limits = httpx.Limits(max_connections=under_way, max_keepalive_connections=under_way)
    async with httpx.AsyncClient(base_url=where, timeout=60, limits=limits) as client:

        async def client_of(n: int) -> None:
            while time.perf_counter() < end:
                begun = time.perf_counter()
                answer = await client.post(f"/v1/predict?model={MODEL}&top=1", **asked[n % len(asked)])
                codes[answer.status_code] += 1
                if answer.status_code == 200:
                    took.append(time.perf_counter() - begun)
                else:
                    await asyncio.sleep(0.05)

        begun = time.perf_counter()
        await asyncio.gather(*(client_of(n) for n in range(under_way)))
        spent = time.perf_counter() - begun
    quantiles = {f"p{q}": round(1e3 * float(np.quantile(took, q / 100)), 1) for q in (50, 95, 99)}
    return {"under_way": under_way, "images_per_s": round(len(took) * pictures / spent, 1), "ms": quantiles, "codes": dict(codes)}


def memory(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def served(folder: Path, kind: str, pictures: int, under_way: int, seconds: float, budget: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "convatlas", "serve", "--port", "0", "--precision", "int8", "--calibration", str(folder)]
    with subprocess.Popen([*command, "--budget", str(budget)], stdout=subprocess.PIPE, text=True) as process:
        where = re.match(r"(http://\S+)/ is", process.stdout.readline())[1]
        asked = bodies(folder, kind, pictures)
        asyncio.run(load(where, asked, pictures, 8, 5.0))  # opens the network
        before = memory(process.pid)
        found = asyncio.run(load(where, asked, pictures, under_way, seconds))
        found |= {"kind": kind, "pictures": pictures, "budget_s": budget, "mb": [round(before), round(memory(process.pid))]}
        process.terminate()
    print(found, flush=True)
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("folder", type=Path)
    words.add_argument("--pictures", type=int, default=16)
    words.add_argument("--seconds", type=float, default=60.0)
    given = words.parse_args()
    before = raw(given.folder)
    rows = [
        served(given.folder, "arrays", given.pictures, 64, given.seconds, 10.0),
        served(given.folder, "jpeg", given.pictures, 64, given.seconds, 10.0),
        served(given.folder, "arrays", given.pictures, 192, given.seconds / 2, BUDGET),
    ]
    after = raw(given.folder)
    alone = (before + after) / 2
    text = {
        "what": "the service under load, clients on the same cores",
        "raw_images_per_s": [round(before, 1), round(after, 1)],
        "rows": [{**row, "share_of_raw": round(row["images_per_s"] / alone, 3)} for row in rows],
        "command": "python bench/service.py PICTURES",
        "environment": environment(),
    }
    OUT.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
