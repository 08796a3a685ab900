"""The machine: what a measurement depends on besides what is measured, and how its memory is kept."""

import ctypes
import gc
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8  # of glibc's malloc.h


def environment() -> dict[str, Any]:
    """What a measurement depends on besides the recipe: versions, processor, threads, and the commit of this package if there is one."""
    import torch

    return {
        "convatlas": version("convatlas"),
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def commit() -> str | None:
    """The git commit of this package's code, with a + where files differ from it; None for an installed package."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def processor() -> str:
    try:
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    except OSError:
        names = []
    return names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()


def keep_memory() -> None:
    """Lets glibc keep the memory of a step for the next one, for as long as the process lives; other systems' allocators are left alone.

    By default each large map is given back to the system and its pages are asked for anew: a fifth of a step of ResNet-20.
    """
    tell_malloc({M_MMAP_THRESHOLD: 1 << 30, M_TRIM_THRESHOLD: (1 << 31) - 1, M_TOP_PAD: 1 << 26})


def share_memory() -> None:
    """Lets all threads that are yet to come ask glibc for memory in one place; other systems' allocators are left alone.

    By default each has its own, and keeps what it once needed: a server that decodes pictures in threads grew by 800 MB in three minutes.
    """
    tell_malloc({M_ARENA_MAX: 1})


def tell_malloc(options: dict[int, int]) -> None:
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        for option, value in options.items():
            mallopt(option, value)


def give_back_memory() -> None:
    """Lets glibc give back to the system what it keeps and nobody uses, now; other systems' allocators are left alone."""
    gc.collect()  # torch.fx's graphs are circles
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
