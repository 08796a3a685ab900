import gzip
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from convatlas.data import source
from convatlas.data.standard import CIFAR10, FASHION
from convatlas.mistake import Mistake


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine that has no data set, and no network to ask."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CONVATLAS_OFFLINE", "1")
    monkeypatch.delenv("CONVATLAS_DATA", raising=False)
    return tmp_path


def batch(n: int, first: int) -> bytes:
    """n pictures as CIFAR's binary files hold them: class, then 1,024 bytes of red, of green, of blue."""
    rows = np.zeros((n, 3073), np.uint8)
    rows[:, 0] = (np.arange(n) + first) % 10
    rows[:, 1:1025], rows[:, 1025:2049], rows[:, 2049:] = 10, 20, 30
    rows[:, 1] = first
    return rows.tobytes()


def files() -> dict[str, bytes]:
    return {**{f"data_batch_{i}.bin": batch(4, i) for i in range(1, 6)}, "test_batch.bin": batch(3, 9)}


def archive(place: Path) -> None:
    place.mkdir(parents=True)
    with tarfile.open(place / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for name, data in files().items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def test_cifar_is_read_from_its_archive_without_unpacking_it(bare):
    archive(bare / "cache" / "convatlas" / "datasets" / "cifar10")
    train, test = CIFAR10.load("train"), CIFAR10.load("test")
    assert (train.x.shape, test.x.shape) == ((20, 3, 32, 32), (3, 3, 32, 32))
    assert train.y.tolist() == [(i + first) % 10 for first in range(1, 6) for i in range(4)]
    assert train.x[4, :, 0, :2].tolist() == [[2, 10], [20, 20], [30, 30]]
    assert [p.name for p in (bare / "cache" / "convatlas" / "datasets" / "cifar10").iterdir()] == ["cifar-10-binary.tar.gz"]


def test_cifar_is_read_from_the_files_of_the_archive_too(bare, monkeypatch):
    folder = bare / "data" / "cifar10"
    folder.mkdir(parents=True)
    for name, data in files().items():
        (folder / name).write_bytes(data)
    monkeypatch.setenv("CONVATLAS_DATA", str(bare / "data"))
    assert torch.equal(CIFAR10.load("test").y, torch.tensor([9, 0, 1]))


def test_what_is_not_here_says_where_it_belongs(bare):
    with pytest.raises(Mistake, match=r"cifar10 is not here.*cifar-10-binary\.tar\.gz.*CONVATLAS_DATA"):
        source("cifar10").load("train")


def test_a_damaged_archive_is_told(bare):
    place = bare / "cache" / "convatlas" / "datasets" / "cifar10"
    archive(place)
    packed = place / "cifar-10-binary.tar.gz"
    packed.write_bytes(packed.read_bytes()[:200])
    with pytest.raises(Mistake, match="does not hold cifar10"):
        CIFAR10.load("train")


def test_fashion_is_read_from_packed_and_plain_idx_files(bare, monkeypatch):
    folder = bare / "data" / "fashion-mnist"
    folder.mkdir(parents=True)
    x = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    images = b"\0\0\x08\x03" + b"".join(n.to_bytes(4) for n in x.shape) + x.tobytes()
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x02\x03\x09")
    monkeypatch.setenv("CONVATLAS_DATA", str(bare / "data"))
    test = FASHION.load("test")
    assert torch.equal(test.x[:, 0], torch.from_numpy(x))
    assert [test.classes[i] for i in test.y] == ["Dress", "Ankle boot"]


@pytest.mark.skipif("CONVATLAS_DATA" not in os.environ, reason="CONVATLAS_DATA names no folder that holds cifar10")
def test_the_real_cifar_has_ten_thousand_test_pictures_of_ten_equal_classes():
    test = source("cifar10").load("test")
    assert test.x.shape == (10_000, 3, 32, 32)
    assert test.y.bincount().tolist() == [1000] * 10


def test_a_download_is_held_to_its_hash(bare, monkeypatch):
    monkeypatch.delenv("CONVATLAS_OFFLINE")
    nowhere = replace(CIFAR10, files=(replace(CIFAR10.files[0], url="ftp://127.0.0.1/cifar-10-binary.tar.gz"),))
    with pytest.raises(Mistake, match="no address of the web"):
        nowhere.load("train")
