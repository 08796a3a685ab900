import csv
import io
import tarfile

import pytest
import torch
from PIL import Image

from convatlas import bulk as parts
from convatlas.bulk import Bulk, Place, look, places
from convatlas.data.batches import Preprocess
from convatlas.mistake import Mistake
from convatlas.models import build
from convatlas.trained import Trained


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(parts, "PART", 4)


@pytest.fixture
def trained():
    net = build("lenet5_modern").eval()
    seen = Preprocess(size=32, mean=(0.1,), std=(0.3,))
    return Trained("mine", net, 1, lambda x: x, seen, tuple("abcdefghij"))


@pytest.fixture
def pictures(tmp_path):
    """Eight files, one of them no picture, and a shard of five with a link in it."""
    folder, shard = tmp_path / "pictures", tmp_path / "more.tar"
    folder.mkdir()
    draw = torch.Generator().manual_seed(0)
    files = {f"{i}.png": Image.fromarray(torch.randint(0, 256, (28, 28), generator=draw).to(torch.uint8).numpy()) for i in range(12)}
    with tarfile.open(shard, "w") as tar:
        for i, (name, picture) in enumerate(files.items()):
            if i < 7:
                picture.save(folder / name)
                continue
            held = io.BytesIO()
            picture.save(held, "PNG")
            info = tarfile.TarInfo(name)
            info.size = len(held.getvalue())
            tar.addfile(info, io.BytesIO(held.getvalue()))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    (folder / "broken.png").write_bytes(b"none")
    return folder, shard


def table(bulk: Bulk) -> list[list[str]]:
    with bulk.out.open(newline="") as file:
        return list(csv.reader(file))


def done(bulk: Bulk, trained: Trained) -> list[int]:
    left = bulk.begin(trained)
    return [look(trained, bulk.folder, n, bulk.part(n), bulk.shares) for n in left]


def test_every_picture_of_folders_and_shards_stands_in_the_table_once(pictures, trained, tmp_path):
    found, problems = places(map(str, (*pictures, pictures[0])))
    assert len(found) == 13
    assert list(problems) == ["more.tar/link.png"]
    bulk = Bulk(tmp_path / "out.csv", found, shares=False)
    assert sum(done(bulk, trained)) == 13
    problems = bulk.finish(trained)
    head, *rows = table(bulk)
    assert head == ["file", "label"]
    assert [row[0] for row in rows] == [p.name for p in found if "broken" not in p.name]
    assert "cannot be read as a picture" in problems[str(pictures[0] / "broken.png")]
    assert not bulk.folder.exists()


def test_what_is_done_is_not_done_again(pictures, trained, tmp_path):
    found, _ = places(map(str, pictures))
    whole, torn = (Bulk(tmp_path / name, found, shares=True) for name in ("whole.csv", "torn.csv"))
    done(whole, trained)
    whole.finish(trained)
    assert torn.begin(trained) == [0, 1, 2, 3]
    look(trained, torn.folder, 2, torn.part(2), shares=True)
    (torn.folder / ".00001.json.draft").write_text("half of")
    before = (torn.folder / "00002.json").stat().st_mtime_ns
    assert torn.begin(trained) == [0, 1, 3]
    done(torn, trained)
    assert (torn.folder / "00002.json").stat().st_mtime_ns == before
    torn.finish(trained)
    assert torn.out.read_bytes() == whole.out.read_bytes()


def test_parts_of_another_question_are_not_mixed_in(pictures, trained, tmp_path):
    found, _ = places(map(str, pictures))
    bulk = Bulk(tmp_path / "out.csv", found, shares=False)
    done(bulk, trained)
    for other in (Bulk(bulk.out, found[1:], shares=False), Bulk(bulk.out, found, shares=True)):
        with pytest.raises(Mistake, match="holds parts of another table"):
            other.begin(trained)
    with torch.no_grad():
        next(trained.net.parameters()).add_(1)
    with pytest.raises(Mistake, match="Delete it, or choose another --csv"):
        bulk.begin(trained)


def test_a_shard_that_goes_away_is_said(trained, tmp_path):
    bulk = Bulk(tmp_path / "out.csv", [Place("gone.tar/1.png", str(tmp_path / "gone.tar"), 512, 10)], shares=False)
    done(bulk, trained)
    assert "No such file" in bulk.finish(trained)["gone.tar/1.png"]
    assert table(bulk) == [["file", "label"]]
    with pytest.raises(Mistake, match="there are no pictures"):
        places([])
