import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from convatlas.data.batches import generator
from convatlas.data.listed import open_data, opened
from convatlas.data.report import look
from convatlas.data.sound import SpecAugment, Spectrogram, triangles
from convatlas.mistake import Mistake

soundfile = pytest.importorskip("soundfile", reason="the extra `audio` is not installed")
pytest.importorskip("soxr", reason="the extra `audio` is not installed")

SOUND = Spectrogram(rate=8000, hop=125, mels=64)


def tone(hz, seconds=1.0, rate=8000):
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def recordings(root, kind="wav", rate=8000):
    for label in ("high", "low"):
        (root / label).mkdir(parents=True)
        for i in range(4):
            noise = np.random.default_rng(i).normal(0, 0.01, rate)
            soundfile.write(root / label / f"{i}.{kind}", tone({"high": 2000, "low": 300}[label], 1, rate) + noise, rate)
    return root


def test_a_tone_is_a_line_at_its_pitch():
    picture = SOUND(torch.from_numpy(tone(1000)).float())
    assert picture.shape == (64, 64)
    mel = [2595 * math.log10(1 + hz / 700) for hz in (50, 1000, 4000)]
    row = 63 - round((mel[1] - mel[0]) / (mel[2] - mel[0]) * 65 - 1)
    assert abs(int(picture[:, 32].argmax()) - row) <= 1
    assert picture.max() == 255


def test_the_triangles_share_out_what_lies_between_them():
    weights = triangles(Spectrogram(rate=16000, fft=2048, mels=20))
    first, last = (int(weights[band].argmax()) for band in (0, -1))
    assert torch.allclose(weights[:, first + 1 : last].sum(0), torch.ones(last - first - 1), atol=1e-5)
    assert (weights.max(1).values > 0.9).all()


def test_silence_is_black_and_loudness_does_not_matter():
    assert not SOUND(torch.zeros(8000)).any()
    x = torch.from_numpy(tone(700) + tone(1900)).float()
    assert (SOUND(x).int() - SOUND(x / 50).int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("seconds", "starts"), [(0.3, [0]), (1.0, [0]), (1.2, [0, 0.2]), (2.0, [0, 0.5, 1.0]), (2.25, [0, 0.5, 1.0, 1.25])]
)
def test_windows_overlap_and_the_last_ends_with_the_sound(seconds, starts):
    assert SOUND.starts(seconds) == pytest.approx(starts)


def test_windows_of_one_recording_stay_together(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(10):
            soundfile.write(tmp_path / label / f"{i}.wav", tone(500, 3), 8000)
    splits = opened(tmp_path, sound=SOUND)
    of = {split: {name.partition("@")[0] for name in listed.names} for split, listed in splits.items()}
    assert {split: len(names) for split, names in of.items()} == {"train": 16, "val": 2, "test": 2}
    assert len(set.union(*of.values())) == 20
    assert len(splits["train"]) == 16 * 5
    assert splits["train"].names[1] == "a/0.wav@0.5s" or splits["train"].names[0].startswith("a/")


@pytest.mark.parametrize(("kind", "error"), [("flac", 0), ("ogg", 12), ("mp3", 12)])
def test_every_codec_gives_the_same_pictures(kind, error, tmp_path):
    if "CONVATLAS_DATA" in os.environ:
        files = sorted((Path(os.environ["CONVATLAS_DATA"]) / "fsdd" / "recordings").glob("*_0.wav"))[:20]
        sounds = [soundfile.read(file)[0] for file in files]
    else:
        sounds = [tone(300 + 200 * i) + np.random.default_rng(i).normal(0, 0.05, 8000) for i in range(5)]
    for ending in ("wav", kind):
        (tmp_path / ending / "a").mkdir(parents=True)
        for i, sound in enumerate(sounds):
            soundfile.write(tmp_path / ending / "a" / f"{i:02}.{ending}", sound, 8000)
    plain, coded = (
        torch.cat([v.pictures(64, how="squash").x.float() for v in opened(tmp_path / k, sound=SOUND).values()]) for k in ("wav", kind)
    )
    assert plain.shape == coded.shape
    apart = (plain - coded).abs().mean((1, 2, 3))  # of 255, which are 80 dB
    assert apart.mean() <= error
    assert (error == 0) == bool(torch.equal(plain, coded))


def test_other_rates_and_channels_become_the_same(tmp_path):
    for rate, channels in ((8000, 1), (44100, 2)):
        (tmp_path / str(rate)).mkdir()
        soundfile.write(tmp_path / str(rate) / "a.wav", np.stack([tone(900, 1, rate)] * channels, 1), rate)
    found = opened(tmp_path, sound=SOUND)["train"]
    a, b = (found.read(i).int()[0] for i in range(2))
    assert (a[:, 8:-8].argmax(0) - b[:, 8:-8].argmax(0)).abs().max() <= 1


def test_broken_sounds_are_reported(tmp_path):
    recordings(tmp_path)
    (tmp_path / "low" / "empty.wav").touch()
    (tmp_path / "low" / "text.mp3").write_text("not here")
    soundfile.write(tmp_path / "low" / "none.wav", np.zeros(0), 8000)
    found = look(opened(tmp_path, sound=SOUND))
    assert sum(found["counts"].values()) == 8
    assert {p["file"] for p in found["problems"]} == {"low/empty.wav", "low/text.mp3", "low/none.wav"}


def test_impossible_settings_are_a_mistake():
    with pytest.raises(Mistake, match="overlap < 1"):
        Spectrogram(overlap=1.0)


def test_stripes_hide_and_leave(tmp_path):
    x = torch.rand(50, 3, 64, 64) * 255
    once, again = (SpecAugment()(x, generator(1)) for _ in range(2))
    assert torch.equal(once, again)
    changed = (once != x).any(1)
    assert 0.1 < changed.float().mean() < 0.6
    assert (once[changed[:, None].expand_as(x)] - 127.5).abs().max() < 10  # the mean of each picture
    columns = changed.all(1).sum(1)
    assert columns.max() <= 32
    found = open_data(recordings(tmp_path), sound=SOUND)
    assert found.classes == ("high", "low")
