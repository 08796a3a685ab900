from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from convatlas.data.augment import Crop
from convatlas.mistake import Mistake
from convatlas.precision import WAYS
from convatlas.recipes import RECIPES
from convatlas.settle import TRIED, noise, settled, settled_as

SMALL = replace(RECIPES["resnet20-cifar10"], batch=4)


@pytest.fixture
def place(tmp_path):
    for label in "abc":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(4):
            pixels = np.random.default_rng(i).integers(0, 255, (36, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{i}.jpg")
    return str(tmp_path / "photos")


def test_what_is_not_open_stays_as_it_is():
    assert settled(SMALL) == (SMALL, None)


def test_a_network_gets_as_many_classes_as_the_place_has(place):
    recipe, told = settled(replace(SMALL, data=place, config=(("shortcut", "B"),)))
    assert dict(recipe.config) == {"shortcut": "B", "num_classes": 3}
    assert recipe.published is None  # the paper's is of ten classes
    assert told is None


def test_the_published_error_stays_where_there_are_as_many_classes(place):
    recipe, _ = settled(replace(SMALL, data=place, config=(("num_classes", 3),)))
    assert recipe.published == SMALL.published


@pytest.mark.parametrize(
    ("open_", "tried"),
    [
        ({"precision": "auto", "layout": "auto"}, set(WAYS)),
        ({"precision": "auto", "layout": "plain"}, {way for way in WAYS if way.layout == "plain"}),
        ({"precision": "float32", "layout": "auto"}, {way for way in WAYS if way.precision == "float32"}),
    ],
)
def test_only_what_is_open_is_tried_and_the_choice_was_tried(open_, tried):
    recipe, told = settled(replace(SMALL, **open_))
    assert told["event"] == "settled"
    assert (told["precision"], told["layout"]) == (recipe.precision, recipe.layout)
    assert {tuple(name.split()) for name in told["ways"]} == tried
    assert (recipe.precision, recipe.layout) in tried
    assert told["pictures"] == 4
    assert replace(recipe, **open_) == replace(SMALL, **open_)
    assert settled_as(replace(SMALL, **open_), recipe) == recipe


def test_pictures_that_are_tried_have_the_size_of_those_of_training():
    recipe = RECIPES["resnet50_v1_5-imagenet-ladder-12-repeated"]  # learns at 176 and is tested at 224
    assert noise(recipe)[0][0].shape == (TRIED, 3, 176, 176)
    assert noise(replace(SMALL, augment=(Crop(24),)))[0][0].shape == (4, 3, 24, 24)
    assert noise(RECIPES["lenet5-mnist"])[0][0].shape == (1, 1, 32, 32)


def test_a_place_that_is_not_there_is_a_mistake_before_there_is_a_run():
    with pytest.raises(Mistake, match=r"'imagenet' is neither .*mnist.* nor a place .*--recipe\.data PLACE"):
        settled(RECIPES["alexnet-imagenet"])


def test_a_recipe_that_lacks_weights_says_so_before_there_is_a_run(place):
    with pytest.raises(Mistake, match=r"--recipe\.prepare\.weights"):
        settled(replace(RECIPES["vgg13-imagenet"], model="resnet20", data=place))


def test_a_protocol_that_is_not_there_is_a_mistake_before_there_is_a_run():
    with pytest.raises(Mistake, match="no protocol 'ten crops'; there are"):
        settled(replace(SMALL, protocol="ten crops"))
