"""Photos prepared as torchvision and timm prepare them, and as TensorFlow's rule says."""

import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as tv

from convatlas.data.imagenet import classes, indices, table
from convatlas.mistake import Mistake
from convatlas.photo import Photo

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def smooth(height: int, width: int) -> torch.Tensor:
    x = torch.rand(1, 3, height // 8 + 2, width // 8 + 2)
    return (torch.nn.functional.interpolate(x, (height, width), mode="bilinear")[0] * 255).to(torch.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(300, 400), (401, 277), (256, 256), (100, 90), (50, 900)])
def test_the_crop_after_is_torchvisions(shape, interpolation):
    x = smooth(*shape)
    photo = Photo(size=224, resize=256, interpolation=interpolation, mean=MEAN, std=STD)
    picture = tv.resize(Image.fromarray(x.permute(1, 2, 0).numpy()), 256, tv.InterpolationMode(interpolation))
    theirs = tv.pil_to_tensor(tv.center_crop(picture, [224, 224]))
    ours = photo.place(x)
    assert ours.shape == (3, 224, 224)
    if max(shape) < 8 * min(shape):
        assert torch.equal(ours, theirs)
    else:
        assert (ours.int() - theirs.int()).abs().max() <= 2
    normal = tv.normalize(tv.convert_image_dtype(theirs), MEAN, STD)
    assert (photo(x)[0] - normal).abs().max() < 0.02


def test_the_crop_before_is_tensorflows():
    x = smooth(333, 500)
    photo = Photo(size=224, resize=256, crop="before", interpolation="bicubic", mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    side = int(224 / 256 * 333)  # 291
    top, left = (333 - side + 1) // 2, (500 - side + 1) // 2
    cut = Image.fromarray(x[:, top : top + side, left : left + side].permute(1, 2, 0).numpy())
    assert torch.equal(photo.place(x), tv.pil_to_tensor(cut.resize((224, 224), Image.Resampling.BICUBIC)))
    assert torch.allclose(photo(x)[0], (photo.place(x).float() - 127) / 128, atol=1e-5)


@pytest.mark.parametrize("crop", ["after", "before"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50_000), (50_000, 1), (2, 3)])
def test_strips_and_specks_are_pictures_too(shape, crop):
    photo = Photo(size=224, resize=256, crop=crop, mean=MEAN, std=STD)
    assert photo.place(torch.full((3, *shape), 77, dtype=torch.uint8)).unique().tolist() == [77]


def test_there_are_a_thousand_classes_each_with_one_name():
    assert len(set(classes())) == len({wnid for wnid, _ in table()}) == 1000
    assert table()[0] == ("n01440764", "tench")
    assert table()[999][1] == "toilet tissue"
    assert [wnid for wnid, _ in table()] == sorted(wnid for wnid, _ in table())


def test_labels_are_numbers_wordnet_numbers_or_names():
    assert indices(["3", "n01440764", "Tench", "house_finch", "999"]) == [3, 0, 0, 12, 999]
    assert indices(["Cardigan", "cardigan"]) == [264, 474]
    assert indices(classes()) == list(range(1000))
    with pytest.raises(Mistake, match="'CARDIGAN' is no class of ImageNet"):  # which of the two?
        indices(["tench", "CARDIGAN"])
    with pytest.raises(Mistake, match="'1000' is no class"):
        indices(["1000"])
