"""Sounds as pictures: log-mel spectrograms of windows of fixed length (the extra `audio`: soundfile and soxr; wav, flac, ogg, mp3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ..mistake import Mistake
from .found import Entry, Found

SOUNDS = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"}
CHANNELS, RATE = 16, 400_000  # more of either is not believed


@dataclass(frozen=True, kw_only=True)
class Spectrogram:
    """How a sound becomes pictures: mono, at `rate` a second, cut into windows of `seconds` of which neighbours share `overlap`.

    A picture has `mels` rows, the highest frequency on top, and a column every `hop` samples: the power in Hann windows of
    `fft` samples, summed by triangles evenly spaced on the mel scale from `low` to `high` Hz (half the rate by default), in
    decibels below the loudest of the window, `depth` dB and more as 0. What is shorter than a window stands in its middle.
    """

    rate: int = 16_000
    seconds: float = 1.0
    overlap: float = 0.5
    fft: int = 512
    hop: int = 250
    mels: int = 64
    low: float = 50.0
    high: float | None = None
    depth: float = 80.0

    def __post_init__(self) -> None:
        high = self.high or self.rate / 2
        if not (0 <= self.overlap < 1 and self.seconds > 0 and 0 <= self.low < high <= self.rate / 2 and 1 <= self.hop <= self.fft):
            raise Mistake(f"{self} cannot be: 0 <= overlap < 1, 0 <= low < high <= rate / 2 and hop <= fft are needed.")

    def starts(self, length: float) -> list[float]:
        """Where the windows of a sound of `length` seconds begin; the last ends with it."""
        over = max(0.0, length - self.seconds)
        step = self.seconds * (1 - self.overlap)
        return [min(k * step, over) for k in range(ceil(over / step - 1e-9) + 1)]

    def __call__(self, sound: Tensor) -> Tensor:
        """The picture (mels, columns) uint8 of a window's samples (T,), at `rate`."""
        size = round(self.seconds * self.rate)
        if (short := size - len(sound)) > 0:
            sound = torch.nn.functional.pad(sound, (short // 2, short - short // 2))
        power = torch.stft(sound[:size], self.fft, self.hop, window=torch.hann_window(self.fft), return_complex=True).abs().square()
        mel = triangles(self) @ power[:, : size // self.hop]
        decibels = 10 * torch.log10(mel.clamp(min=1e-10))
        shade = (decibels - decibels.max() + self.depth).clamp(min=0) * (255 / self.depth)
        return shade.round().to(torch.uint8).flip(0) if mel.max() > 1e-9 else torch.zeros(mel.shape, dtype=torch.uint8)


DEFAULT = Spectrogram()


@cache
def triangles(how: Spectrogram) -> Tensor:
    """The weights (mels, fft / 2 + 1) of the mel bands, each a triangle of height 1, on the scale of HTK and torchaudio."""

    def mel(hz: float) -> float:
        return 2595 * float(np.log10(1 + hz / 700))

    corners = torch.linspace(mel(how.low), mel(how.high or how.rate / 2), how.mels + 2, dtype=torch.float64)
    hz = 700 * (10 ** (corners / 2595) - 1)
    at = torch.linspace(0, how.rate / 2, how.fft // 2 + 1, dtype=torch.float64)
    up = (at - hz[:-2, None]) / (hz[1:-1] - hz[:-2])[:, None]
    down = (hz[2:, None] - at) / (hz[2:] - hz[1:-1])[:, None]
    return torch.minimum(up, down).clamp(min=0).float()


def sounds(entries: Sequence[Entry], paths: Sequence[Path], how: Spectrogram, problems: dict[str, str]) -> Found:
    """The windows of recordings as pictures; those of one recording stay in one split."""
    windows: list[Entry] = []
    places: list[tuple[Path, float]] = []
    for entry, path in zip(entries, paths, strict=True):
        try:
            starts = how.starts(length(path, entry.name))
        except Mistake as error:
            problems[entry.name] = str(error).removeprefix(f"{entry.name} ")
            continue
        windows += [entry._replace(name=f"{entry.name}@{start:g}s", group=entry.name) for start in starts]
        places += [(path, start) for start in starts]

    def get(i: int) -> Tensor:
        path, start = places[i]
        return how(window(path, start, how, windows[i].name)).expand(3, -1, -1)

    return Found(windows, get, problems=problems)


def libraries() -> tuple[Any, Any]:
    try:
        import soundfile
        import soxr
    except ImportError:
        raise Mistake("sounds need soundfile and soxr: pip install 'convatlas[audio]'.") from None
    return soundfile, soxr


def length(path: Path, name: str) -> float:
    """Seconds of a recording. Raises Mistake, calling it `name`, where it cannot be read or is empty."""
    soundfile, _ = libraries()
    try:
        if not path.is_file():
            raise Mistake(f"{name} {'is no ordinary file' if path.exists() else 'is not there'}.")
        about = soundfile.info(str(path))
    except (OSError, RuntimeError) as error:  # soundfile's own are RuntimeErrors
        raise Mistake(f"{name} cannot be read as sound: {str(error).rpartition(': ')[2].rstrip('.')}.") from error
    if not 0 < about.channels <= CHANNELS or not 0 < about.samplerate <= RATE or about.frames <= 0:
        raise Mistake(f"{name} has {about.channels} channels of {about.frames} samples at {about.samplerate} a second.")
    return about.frames / about.samplerate


def window(path: Path, start: float, how: Spectrogram, name: str) -> Tensor:
    """The samples (T,) at `how.rate` of the window of a recording that begins at `start` seconds, mono; only they are read."""
    soundfile, soxr = libraries()
    try:
        with soundfile.SoundFile(str(path)) as file:
            file.seek(round(start * file.samplerate))
            held: NDArray[np.float32] = file.read(ceil(how.seconds * file.samplerate), dtype="float32", always_2d=True)
            rate = file.samplerate
    except (OSError, RuntimeError) as error:
        raise Mistake(f"{name} cannot be read as sound: {str(error).rpartition(': ')[2].rstrip('.')}.") from error
    if not len(held) or not np.isfinite(held).all():
        raise Mistake(f"{name} holds {'no sound' if not len(held) else 'numbers that are none'}.")
    mono = held.mean(1)
    return torch.from_numpy(mono if rate == how.rate else soxr.resample(mono, rate, how.rate))


@dataclass(frozen=True, kw_only=True)
class SpecAugment:
    """Stripes of a spectrogram hidden under its mean: `times` of up to `wide` columns, `bands` of up to `high` rows (Park et al. 2019)."""

    times: int = 2
    wide: int = 16
    bands: int = 2
    high: int = 8

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        n, rows, columns = len(x), x.shape[2], x.shape[3]
        across = stripes(n, columns, self.times, self.wide, generator)[:, None, None, :]
        down = stripes(n, rows, self.bands, self.high, generator)[:, None, :, None]
        return torch.where(across | down, x.mean((2, 3), keepdim=True), x)


def stripes(n: int, size: int, count: int, widest: int, generator: Generator) -> Tensor:
    """(n, size) bool: `count` stripes in each row, of a width drawn evenly from 0 to `widest`, anywhere that they fit."""
    wide = torch.randint(min(widest, size) + 1, (n, count, 1), generator=generator)
    begin = (torch.rand(n, count, 1, generator=generator) * (size - wide + 1)).long()
    at = torch.arange(size)
    return ((at >= begin) & (at < begin + wide)).any(1)
