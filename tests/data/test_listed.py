"""Data of one's own as it is: each kind of place, and each kind of mess."""

import csv
import io
import json
import os
import struct
import tarfile
import tempfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convatlas.data.listed import Listed, open_data, opened
from convatlas.data.report import look
from convatlas.mistake import Mistake
from convatlas.recipes import RECIPES, Tuning
from convatlas.sets import load_sets

RED = (200, 30, 40)


def picture(colour=RED, size=(40, 30), mode="RGB"):
    return Image.new("RGB", size, colour).convert(mode)


def packed(kind="JPEG", colour=RED, **options):
    file = io.BytesIO()
    picture(colour).save(file, kind, **options)
    return file.getvalue()


def folders(root, **classes):
    """A folder for each class with so many pictures, PNG."""
    for label, count in classes.items():
        (root / label).mkdir(parents=True)
        for i in range(count):
            picture((i, 0, 0)).save(root / label / f"{i}.png")
    return root


def cut_short(path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8))
    noise.save(path / "a.jpg")
    (path / "a.jpg").write_bytes((path / "a.jpg").read_bytes()[:-500])


def empty(path):
    (path / "a.jpg").touch()


def text(path):
    (path / "a.jpg").write_text("404 Not Found")


def cmyk(path):
    picture(mode="CMYK").save(path / "a.jpg", quality=95)


def deep(path):
    Image.fromarray(np.full((30, 40), 200 * 257, np.uint16)).save(path / "a.png")


def palette_with_alpha(path):
    see_through = picture().convert("RGBA")
    see_through.putpixel((0, 0), (0, 0, 0, 0))
    see_through.quantize(16).save(path / "a.png")


def animated(path):
    picture().save(path / "a.gif", save_all=True, append_images=[picture((0, 0, 255))])


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(size=(30, 40)).save(path / "a.jpg", exif=exif, quality=95)


def huge(path):
    whole = bytearray(packed())
    at = whole.index(b"\xff\xc0")
    whole[at + 5 : at + 9] = b"\xff\xff\xff\xff"  # 65,535 x 65,535, in a file of some hundred bytes
    (path / "a.jpg").write_bytes(whole)


def huge_png(path):
    file = bytearray(packed("PNG"))
    file[16:24] = (60000).to_bytes(4, "big") * 2
    file[29:33] = zlib.crc32(file[12:29]).to_bytes(4, "big")
    (path / "a.png").write_bytes(file)


def pipe(path):
    os.mkfifo(path / "a.jpg")


def dangling(path):
    (path / "a.jpg").symlink_to("nowhere.jpg")


def looped_file(path):
    (path / "a.jpg").symlink_to("a.jpg")


HANDLED = {  # what the picture's middle then is
    "CMYK": (cmyk, RED),
    "16-bit": (deep, (200, 200, 200)),
    "palette with alpha": (palette_with_alpha, RED),
    "animated GIF": (animated, RED),
    "EXIF rotation": (turned, RED),
}
REPORTED = {
    "truncated JPEG": (cut_short, "truncated"),
    "zero bytes": (empty, "is empty"),
    "text named .jpg": (text, "cannot identify"),
    "huge dimensions": (huge, "pixels"),
    "huge dimensions, PNG": (huge_png, "pixels"),
    "a pipe": (pipe, "no ordinary file"),
    "a link to nothing": (dangling, "No such file"),
    "a link to itself": (looped_file, "symbolic links"),
}


@pytest.mark.parametrize("name", HANDLED)
def test_odd_pictures_are_read_as_they_should_be_seen(name, tmp_path):
    make, colour = HANDLED[name]
    make(folders(tmp_path, odd=0, plain=3) / "odd")
    found = open_data(tmp_path)
    x = found.read(found.names.index(next(n for n in found.names if n.startswith("odd/"))))
    assert x.shape == (3, 30, 40)
    assert torch.allclose(x[:, 15, 20].float(), torch.tensor(colour).float(), atol=12)
    assert not look(opened(tmp_path))["problems"]


@pytest.mark.parametrize("name", REPORTED)
def test_broken_files_are_reported_and_left_out(name, tmp_path):
    make, reason = REPORTED[name]
    make(folders(tmp_path, odd=2, plain=3) / "odd")
    splits = opened(tmp_path)
    found = look(splits)
    assert [p["file"].split(".")[0] for p in found["problems"]] == ["odd/a"]
    assert reason in found["problems"][0]["reason"]
    assert sum(found["counts"].values()) == 5
    assert sum(len(listed.pictures(8)) for listed in splits.values()) == 5
    with pytest.raises(Mistake, match="odd/a"):
        look(opened(tmp_path), strict=True)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_file_that_must_not_be_read_is_reported():
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are open to their owner alone
        place = folders(Path(name), odd=2, plain=3)
        place.chmod(0o755)
        (place / "odd" / "0.png").chmod(0)
        (place / "shut").mkdir(mode=0)
        found = as_nobody(lambda: look(opened(place)))
    assert {p["file"]: p["reason"] for p in found["problems"]} == {
        "odd/0.png": "cannot be read: Permission denied.",
        "shut": "cannot be opened: Permission denied.",
    }


def as_nobody(work):
    """What `work` gives, done in a child without the rights of root, who may read all, where this is root."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        if os.getuid() == 0:
            os.setgroups([])
            os.setuid(65534)
        os.write(writer, json.dumps(work()).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as file:
        return json.loads(file.read())


def test_names_in_any_script_or_in_none(tmp_path):
    folders(tmp_path, Käse=2, 猫=2)
    picture().save(tmp_path / "猫" / "写真 1.png")
    with open(os.fsencode(tmp_path / "猫") + b"/\xff.png", "wb") as file:  # noqa: PTH123
        file.write(packed("PNG"))
    splits = opened(tmp_path)
    found = look(splits)
    assert splits["train"].classes == ("Käse", "猫")  # written as one letter, however the disk has it
    assert sum(found["counts"].values()) == 6
    assert not found["problems"]
    json.dumps(found).encode()
    print(*(name for listed in splits.values() for name in listed.names))


def test_loops_of_links_end(tmp_path):
    folders(tmp_path, a=2, b=2)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "c").symlink_to(tmp_path / "b")
    found = look(opened(tmp_path))
    assert sum(found["counts"].values()) == 4
    assert [p["file"] for p in found["problems"]] == ["a/up", "c"]
    assert "again, by a link" in found["problems"][0]["reason"]


def test_a_class_of_one_picture_goes_to_train(tmp_path):
    splits = opened(folders(tmp_path, many=10, one=1))
    assert {split: listed.y.tolist().count(1) for split, listed in splits.items()} == {"train": 1, "val": 0, "test": 0}
    assert "classes of one picture, all in train: 1" in splits["train"].split


def test_what_is_named_twice_is_taken_once(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        picture().save(tmp_path / name)
    (tmp_path / "labels.csv").write_text("file,label\na.png,x\na.png,x\nb.png,y\nb.png,x\nc.png,y\n,x\n")
    found = look(opened(tmp_path))
    assert sum(found["counts"].values()) == 3
    reasons = {p["file"]: p["reason"] for p in found["problems"]}
    assert reasons["a.png, line 3"] == "is named twice; it is taken once."
    assert reasons["b.png, line 5"] == "is named twice, with another label; the first is kept."
    assert reasons["line 7"] == "names no file."


def shard(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_shards_are_read_where_they_lie_and_lead_nowhere(tmp_path):
    evil = [("../evil.jpg", packed()), ("/etc/evil.jpg", packed()), ("good/../../evil.jpg", packed())]
    good = [
        (f"{i:05}{ending}", data)
        for i in range(12)
        for ending, data in ((".jpg", packed(colour=(i * 20, 0, 0))), (".cls", b"%d" % (i % 2)))
    ]
    shard(tmp_path / "train-0.tar", [*evil, *good, ("00003.jpg", packed())])
    with tarfile.open(tmp_path / "train-1.tar", "w") as tar:
        info = tarfile.TarInfo("link.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    splits = opened(tmp_path)
    found = look(splits)
    assert sum(found["counts"].values()) == 12
    assert splits["train"].classes == ("cat", "dog")
    whole = {n: int(listed.read(i)[0, 0, 0]) for listed in splits.values() for i, n in enumerate(listed.names)}
    assert all(abs(red - 20 * int(name[-9:-4])) < 6 for name, red in whole.items())
    assert {p["file"]: p["reason"].split(";")[0] for p in found["problems"]} == {
        "train-0.tar/../evil.jpg": "leads out of the archive",
        "train-0.tar//etc/evil.jpg": "leads out of the archive",
        "train-0.tar/good/../../evil.jpg": "leads out of the archive",
        "train-0.tar/00003.jpg (again)": "is there twice",
        "train-1.tar/link.jpg": "is a link or no ordinary file",
    }


def test_shards_cut_short_or_packed_are_reported(tmp_path):
    shard(tmp_path / "a.tar", [(f"{i}{e}", d) for i in range(9) for e, d in ((".cls", b"1"), (".png", packed("PNG")))])
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:9000])
    (tmp_path / "b.tar").write_bytes(b"\x1f\x8b" + bytes(100))
    splits = opened(tmp_path)
    found = look(splits)
    assert 2 <= sum(found["counts"].values()) < 9
    assert "unpack it" in next(p["reason"] for p in found["problems"] if p["file"] == "b.tar")


def test_thousands_of_members_are_quick(tmp_path):
    shard(tmp_path / "a.tar", [(f"{i:05}{e}", d) for i in range(4000) for e, d in ((".png", b"x"), (".cls", b"3"))])
    assert sum(map(len, opened(tmp_path).values())) == 4000


def test_a_place_may_say_the_split(tmp_path):
    for split, count in (("train", 20), ("val", 4), ("test", 3)):
        folders(tmp_path / split, a=count, b=count)
    splits = opened(tmp_path)
    assert {k: len(v) for k, v in splits.items()} == {"train": 40, "val": 8, "test": 6}
    assert splits["val"].names[0] == "val/a/0.png"
    assert splits["train"].split == "as the place says: train, val, test."


def test_what_is_held_out_without_a_test_folder_is_the_test(tmp_path):
    folders(tmp_path / "train", a=20, b=20)
    folders(tmp_path / "val", a=4, b=4)
    splits = opened(tmp_path)
    assert {k: len(v) for k, v in splits.items()} == {"train": 36, "val": 4, "test": 8}
    assert splits["test"].names[0].startswith("val/")
    assert splits["val"].names[0].startswith("train/")


def test_the_split_is_by_class_and_by_seed_alone(tmp_path):
    folders(tmp_path, a=40, b=10, c=3, d=2)
    one, again, other = (opened(tmp_path, seed) for seed in (0, 0, 1))
    count = {k: v.y.bincount(minlength=4).tolist() for k, v in one.items()}
    assert count == {"train": [32, 8, 1, 1], "val": [4, 1, 1, 0], "test": [4, 1, 1, 1]}
    assert one["test"].names == again["test"].names != other["test"].names
    names = [name for listed in one.values() for name in listed.names]
    assert len(set(names)) == len(names) == 55


def test_a_table_may_have_numbers_splits_and_another_mark(tmp_path):
    (tmp_path / "images").mkdir()
    with (tmp_path / "mine.csv").open("w", newline="", encoding="utf-8-sig") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["id", "target", "split"])
        for i in range(12):
            picture((i, 0, 0)).save(tmp_path / "images" / f"{i}.png")
            rows.writerow([i, 10 - i % 2 * 8, "validation" if i > 9 else "test" if i > 7 else "train"])
        rows.writerow([99, 2, "train"])
    splits = opened(tmp_path / "mine.csv")
    found = look(splits)
    assert splits["train"].classes == ("2", "10")
    assert found["counts"] == {"train": 8, "val": 2, "test": 2}
    assert [p["file"] for p in found["problems"]] == ["99"]


def test_pictures_without_labels_are_test(tmp_path):
    folders(tmp_path / "train", a=20, b=20)
    (tmp_path / "test").mkdir()
    picture().save(tmp_path / "test" / "x.png")
    assert opened(tmp_path)["test"].y.tolist() == [-1]


def test_pictures_in_memory_are_cropped_or_squashed(tmp_path):
    (tmp_path / "a").mkdir()
    wide = Image.new("RGB", (60, 20), (0, 0, 0))
    wide.paste((255, 255, 255), (20, 0, 40, 20))
    wide.save(tmp_path / "a" / "x.png")
    found = open_data(tmp_path)
    assert (found.pictures(10).x == 255).all()
    squashed = found.pictures(12, how="squash").x[0, 0]
    assert squashed[:, [0, -1]].max() == 0
    assert squashed[:, 5:7].min() == 255


def test_pictures_do_not_fill_the_memory():
    many = Listed(
        ("x",) * 10_000_000, torch.zeros(10_000_000, dtype=torch.int64), ("a",), lambda i: torch.zeros(3, 1, 1, dtype=torch.uint8)
    )
    with pytest.raises(Mistake, match=r"10,000,000 pictures of 224 x 224 take 1505.3 GB"):
        many.pictures(224)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p / "nothing", "is not there"),
        (lambda p: p, "holds no pictures"),
        (lambda p: (p / "a.zip").write_bytes(b"") * 0 or p / "a.zip", "is no data set"),
        (lambda p: (p / "a.csv").write_text("x,y\n") * 0 or p / "a.csv", "it needs one called file"),
        (lambda p: (p / "a.parquet").write_bytes(b"PAR1") * 0 or p / "a.parquet", "parquet"),
    ],
)
def test_what_is_no_data_set_is_said(make, said, tmp_path):
    with pytest.raises(Mistake, match=said):
        open_data(make(tmp_path))


def test_what_is_no_class_and_no_picture_is_reported(tmp_path):
    folders(tmp_path / "a", cat=6, dog=6)
    (tmp_path / "a" / "bird").mkdir()
    (tmp_path / "a" / "cat" / "phone.HEIC").write_bytes(b"x")
    problems = open_data(tmp_path / "a").problems
    assert problems == {
        "bird": "holds nothing that can be used, and is no class.",
        "cat/phone.HEIC": "is of a kind that is not read (.HEIC); make it .jpg or .png.",
    }


def test_a_table_of_splits_that_are_none_leaves_them_out(tmp_path):
    folders(tmp_path, cat=6, dog=6)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    rows = [f"{name},{name[:3]},{('train', 'holdout')[i % 3 == 0]}" for i, name in enumerate(names)]
    (tmp_path / "t.csv").write_text("\n".join(["file,label,split", *rows, "a\0b.jpg,cat,train"]))
    splits = opened(tmp_path / "t.csv")
    assert sum(len(part) for part in splits.values()) == 8
    problems = splits["train"].problems
    assert problems["line 14"] == "names no file."
    assert len([reason for reason in problems.values() if reason.startswith("is of split 'holdout', which is none of dev, test")]) == 4


@pytest.mark.parametrize("make", [lambda place: folders(place, cat=9), lambda place: folders(place / "inner", cat=5, dog=5)])
def test_one_class_is_nothing_to_learn_from(make, convatlas, tmp_path):
    make(tmp_path / "one")
    told = convatlas("data", tmp_path / "one")
    assert "Nothing can be learned from it: all pictures of" in told.stdout
    recipe = replace(RECIPES["resnet20-cifar10"], data=str(tmp_path / "one"), tuning=Tuning(weights="none", classes=("x",)))
    with pytest.raises(Mistake, match=r"are of one class, '(cat|inner)'; name a place with a folder for each class"):
        load_sets(recipe)


def test_a_split_that_is_not_there_is_said(tmp_path):
    with pytest.raises(Mistake, match="no split 'dev'"):
        open_data(tmp_path, "dev")
    with pytest.raises(Mistake, match=r"has no test pictures; it has: train \(1\)"):
        open_data(folders(tmp_path, a=1), "test")


def test_the_command_tells_and_goes_on(convatlas, tmp_path):
    empty(folders(tmp_path / "set", a=10, b=10) / "a")
    done = convatlas("data", tmp_path / "set", "--report", tmp_path / "data_report.json")
    assert done.returncode == 0
    assert "a/a.jpg: is empty." in done.stdout
    written = json.loads((tmp_path / "data_report.json").read_text())
    assert written["problems"] == [{"file": "a/a.jpg", "reason": "is empty."}]
    assert written["classes"]["a"] == {"train": 8, "val": 1, "test": 1}
    assert json.loads(convatlas("data", tmp_path / "set", "--json").stdout)["counts"] == written["counts"]
    strict = convatlas("data", tmp_path / "set", "--strict")
    assert strict.returncode == 2
    assert "a/a.jpg is empty" in strict.stderr


def parquet(path, rows, names=None, columns=("image", "label")):
    pa = pytest.importorskip("pyarrow", reason="the extra `data` is not installed")
    import pyarrow.parquet as pq

    pictures, labels = zip(*rows, strict=True)
    held = {columns[0]: [{"bytes": data, "path": None} for data in pictures], columns[1]: list(labels)}
    whole = pa.table(held)
    if names:
        told = json.dumps({"info": {"features": {columns[1]: {"names": names, "_type": "ClassLabel"}}}})
        whole = whole.replace_schema_metadata({"huggingface": told})
    path.parent.mkdir(exist_ok=True)
    pq.write_table(whole, path, row_group_size=3)


def test_parquet_is_read_by_row_and_names_its_classes(tmp_path):
    rows = [(packed("PNG", (i * 10, 0, 0)), i % 2) for i in range(20)]
    parquet(tmp_path / "data" / "train-00000-of-00002.parquet", rows[:8], ["cat", "dog"])
    parquet(tmp_path / "data" / "train-00001-of-00002.parquet", rows[8:], ["cat", "dog"])
    parquet(tmp_path / "data" / "validation-00000-of-00001.parquet", [*rows[:3], (b"", 1), (b"no picture", 0)], ["cat", "dog"])
    splits = opened(tmp_path)
    found = look(splits)
    assert splits["train"].classes == ("cat", "dog")
    assert found["counts"] == {"train": 18, "val": 2, "test": 3}
    assert [int(splits["test"].read(i)[0, 0, 0]) for i in (2, 0, 1)] == [20, 0, 10]
    assert [p["file"] for p in found["problems"]] == [f"validation-00000-of-00001.parquet#{i}" for i in (3, 4)]


def test_parquet_without_names_has_numbers_or_words(tmp_path):
    for i, labels in enumerate(((10, 9, 2), ("b", "a", "c"))):
        parquet(tmp_path / f"{i}.parquet", [(packed("PNG"), label) for label in labels], columns=("img", "label"))
        assert opened(tmp_path / f"{i}.parquet")["train"].classes == (("2", "9", "10"), ("a", "b", "c"))[i]
    parquet(tmp_path / "c.parquet", [(packed("PNG"), 0)], columns=("img", "kind"))
    with pytest.raises(Mistake, match="no train pictures"):  # nothing there is called a label
        open_data(tmp_path / "c.parquet")


def test_idx_files_are_grey_pictures_in_three_channels():
    from convatlas.data.mnist import FOLDER, load

    found = open_data(FOLDER, "test")
    assert len(found) == 10_000
    assert torch.equal(found.read(7), load("test").x[7].expand(3, -1, -1))
    assert torch.equal(found.y, load("test").y)


def test_a_place_is_a_source(tmp_path):
    from convatlas.data import source

    place = source(str(folders(tmp_path / "set", a=10, b=10)), size=12)
    assert place.load("test").x.shape == (2, 3, 12, 12)
    assert place.adapt(torch.zeros(3, 20, 30, dtype=torch.uint8)).shape == (3, 12, 12)
    with pytest.raises(Mistake, match="no data called 'nowhere'"):
        source("nowhere")


def mat(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def array(kind, *parts):
    return mat(14, mat(6, bytes([kind]) + bytes(7)) + mat(5, struct.pack("<ii", 1, 1)) + mat(1, b"") + b"".join(parts))


def meta(rows):
    """As the devkit's meta.mat: a packed struct array of numbers and text."""
    names = ("ILSVRC2012_ID", "WNID", "words")
    cells = b"".join(
        array(6, struct.pack("<HH", 2, 1) + bytes([number, 0, 0, 0])) + array(4, mat(4, wnid.encode("utf-16-le")))
        + array(4, mat(4, words.encode("utf-16-le")))
        for number, wnid, words in rows
    )  # fmt: skip
    small = struct.pack("<HHI", 5, 4, 32)
    whole = array(2, small, mat(1, b"".join(name.encode().ljust(32, b"\0") for name in names)), cells)
    packed = zlib.compress(whole)
    return bytes(128) + struct.pack("<II", 15, len(packed)) + packed


SYNSETS = [
    (1, "n02119789", "kit fox, Vulpes macrotis"),
    (2, "n01440764", "tench, Tinca tinca"),
    (3, "n03126707", "crane"),
    (4, "n02012849", "crane"),
]


def ilsvrc(place):
    pictures = place / "ILSVRC" / "Data" / "CLS-LOC"
    folders(pictures / "train", **{wnid: 3 for _, wnid, _ in SYNSETS})
    (pictures / "val").mkdir()
    for i in range(1, 5):
        picture((i, 0, 0)).save(pictures / "val" / f"ILSVRC2012_val_{i:08}.JPEG")


def with_devkit(place):
    kit = place / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    (kit / "meta.mat").write_bytes(meta(SYNSETS))
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n1\n4\n3\n")


def with_tables(place):
    (place / "LOC_synset_mapping.txt").write_text("".join(f"{wnid} {words}\n" for _, wnid, words in SYNSETS))
    rows = [f"ILSVRC2012_val_{i:08},{SYNSETS[n][1]} 1 2 3 4" for i, n in ((1, 1), (2, 0), (3, 3), (4, 2))]
    (place / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]))


@pytest.mark.parametrize("says", [with_devkit, with_tables])
def test_ilsvrc_is_read_as_it_is_given_out(says, tmp_path):
    ilsvrc(tmp_path)
    says(tmp_path)
    splits = opened(tmp_path)
    assert splits["train"].classes == ("tench", "crane (n02012849)", "kit fox", "crane (n03126707)")
    assert splits["test"].y.tolist() == [0, 2, 1, 3]
    assert sorted(splits["train"].y.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert not look(splits)["problems"]


def test_a_devkit_that_is_none_is_said(tmp_path):
    ilsvrc(tmp_path)
    with_devkit(tmp_path)
    path = tmp_path / "ILSVRC2012_devkit_t12" / "data" / "meta.mat"
    for damaged in (b"", bytes(300), path.read_bytes()[:200]):
        path.write_bytes(damaged)
        with pytest.raises(Mistake, match="not the devkit's table"):
            open_data(tmp_path)
