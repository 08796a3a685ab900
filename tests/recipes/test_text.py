import json

import pytest

from convatlas.mistake import Mistake
from convatlas.models import MODELS
from convatlas.recipes import RECIPES
from convatlas.recipes.text import decode, differences, encode, lines, override


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name):
    assert decode(json.loads(json.dumps(encode(RECIPES[name])))) == RECIPES[name]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_where_it_comes_from_and_names_a_network_and_every_field_can_be_named(name):
    recipe = RECIPES[name]
    assert len(recipe.source) > 10
    assert recipe.model in MODELS
    shown = dict(lines(encode(recipe)))
    assert {"steps", "batch", "rate", "optimiser", "loss", "data", "published"} <= shown.keys()


def test_fields_are_changed_by_name_and_typed_by_what_they_hold():
    recipe = RECIPES["lenet5_modern-mnist"]
    new = override(recipe, {"steps": "500", "rate": {"peak": "0.2"}, "optimiser": {"nesterov": "false"}, "augment": {"0": {"shear": "0"}}})
    assert (new.steps, new.rate.peak, new.optimiser.nesterov, new.augment[0].shear) == (500, 0.2, False, 0.0)
    assert recipe.steps != 500
    assert override(recipe, {"threads": "2"}).threads == 2
    assert override(RECIPES["lenet5-mnist"], {"rate": {"rates": "1,2,3,4,5"}}).rate.rates == (1.0, 2.0, 3.0, 4.0, 5.0)


REFUSED = {
    "no such field": ({"stpes": "5"}, "recipe has no 'stpes'; it has: source, model"),
    "no such inner field": ({"rate": {"top": "5"}}, "recipe.rate has no 'top'; it has: peak, warm"),
    "not a number": ({"steps": "many"}, "recipe.steps takes something like 4200, not 'many'"),
    "not whole": ({"batch": "1.5"}, "recipe.batch takes something like 100, not '1.5'"),
    "not a switch": ({"optimiser": {"nesterov": "maybe"}}, "takes true or false, not 'maybe'"),
    "a value with parts": ({"rate": "0.1"}, "recipe.rate has parts; change one of them: recipe.rate.peak"),
    "inside a number": ({"steps": {"x": "1"}}, "recipe.steps has no 'x'; it has: no fields"),
    "too few": ({"steps": "0"}, "recipe.steps is 0; it must be at least 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_the_name_and_what_would(case):
    changes, reason = REFUSED[case]
    with pytest.raises(Mistake) as error:
        override(RECIPES["lenet5_modern-mnist"], changes)
    assert reason in str(error.value)


@pytest.mark.parametrize("plain", [{"is": "os.system", "command": "true"}, {"is": "cli.main"}, {"is": "recipes.Steps"}, {"steps": 1}])
def test_only_values_of_this_package_are_made_from_json(plain):
    with pytest.raises(Mistake, match="is nothing that a recipe is made of"):
        decode(plain)


def test_differences_name_the_field_and_both_values():
    old = RECIPES["lenet5_modern-mnist"]
    assert differences(encode(old), encode(old)) == []
    assert differences(encode(old), encode(override(old, {"rate": {"peak": "0.2"}}))) == ["recipe.rate.peak: 0.1, now 0.2"]
