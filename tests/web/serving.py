"""A real server in a process of its own, and pictures to ask about."""

import io
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
from PIL import Image


def encoded(kind="JPEG", size=(120, 90), seed=0) -> bytes:
    rough = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(rough).resize(size, Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()


@contextmanager
def running(folder, *words):
    """The address of a server, and its process; ended as `kill -TERM` does."""
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "CONVATLAS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "convatlas", *words, "--port", "0", "--runs", str(folder / "runs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder) as process:
        found = re.match(r"(http://\S+)/ is ready", process.stdout.readline())
        try:
            assert found, "no server"
            yield found[1], process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(40)
