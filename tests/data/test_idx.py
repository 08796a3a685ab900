import gzip

import numpy as np
import pytest

from convatlas.data.idx import read_idx
from convatlas.data.mnist import FOLDER, load
from convatlas.mistake import Mistake


def idx(array: np.ndarray, kind: int = 0x08) -> bytes:
    return bytes([0, 0, kind, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


PICTURES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_reads_plain_and_gzip_whatever_the_name(tmp_path, pack):
    path = tmp_path / "digits"
    path.write_bytes(pack(idx(PICTURES)))
    assert np.array_equal(read_idx(path), PICTURES)


def test_reads_every_type_in_big_endian(tmp_path):
    path = tmp_path / "numbers"
    for kind, dtype in ((0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")):
        numbers = np.array([-3, 2, 100], dtype)
        path.write_bytes(idx(numbers, kind))
        assert read_idx(path).tolist() == [-3, 2, 100]


WHOLE = idx(PICTURES)
DAMAGED = {
    "empty": (b"", "not an idx file: it begins with nothing"),
    "text": (b"hello world", "not an idx file: it begins with 68 65"),
    "unknown type": (b"\0\0\x07\x01\0\0\0\x01\0", "not an idx file"),
    "short header": (WHOLE[:9], "cut short in its header"),
    "short": (WHOLE[:-1], "promises 24 bytes for 2 x 3 x 4 numbers and holds only 23"),
    "long": (WHOLE + b"x", "holds more"),
    "absurd": (b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff", "not believed"),
    "gzip cut": (gzip.compress(WHOLE)[:-10], "damaged"),
    "gzip flipped": (gzip.compress(WHOLE)[:20] + b"\xff\xff\xff" + gzip.compress(WHOLE)[23:], "damaged"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_what_is_damaged_is_refused_by_name(tmp_path, case):
    content, reason = DAMAGED[case]
    path = tmp_path / "train-images"
    path.write_bytes(content)
    with pytest.raises(Mistake) as error:
        read_idx(path)
    assert str(path) in str(error.value)
    assert reason in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(Mistake, match="nowhere cannot be read: No such file"):
        read_idx(tmp_path / "nowhere")


@pytest.mark.parametrize(("split", "n"), [("train", 60_000), ("test", 10_000)])
def test_mnist_is_inside_the_package(split, n):
    digits = load(split)
    assert digits.x.shape == (n, 1, 28, 28)
    assert sorted(digits.y.unique().tolist()) == list(range(10))
    assert digits.y.bincount().min() > n * 0.089
    if split == "test":
        assert digits.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_plain_files_take_precedence_and_strangers_are_refused(tmp_path):
    for path in FOLDER.glob("t10k*.gz"):
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    assert len(load("test", tmp_path)) == 10_000
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(5, np.uint8)))
    with pytest.raises(Mistake, match="are not those of MNIST"):
        load("test", tmp_path)
