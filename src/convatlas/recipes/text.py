"""Recipes as JSON and back, and changed from the words of a command line."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

from ..mistake import Mistake

PACKAGE = __name__.split(".")[0]


def encode(value: Any) -> Any:
    """A value of recipes as plain JSON: each dataclass a dictionary whose key "is" names its class."""
    if is_dataclass(value):
        kind = type(value)
        name = f"{kind.__module__.removeprefix(PACKAGE + '.')}.{kind.__name__}"
        return {"is": name} | {f.name: encode(getattr(value, f.name)) for f in fields(value)}
    return [encode(item) for item in value] if isinstance(value, tuple | list) else value


def decode(plain: Any) -> Any:
    """What `encode` was given. Raises Mistake for a class that is no value of this package, or that lacks a field."""
    if isinstance(plain, list):
        return tuple(decode(item) for item in plain)
    if not isinstance(plain, dict):
        return plain
    module, _, name = str(plain.get("is")).rpartition(".")
    parts = {key: decode(item) for key, item in plain.items() if key != "is"}
    try:
        kind: Any = getattr(import_module(f"{PACKAGE}.{module}"), name)
        if "__dataclass_fields__" not in vars(kind):
            raise TypeError(f"{name} is not a value")
        return kind(**parts)
    except (ImportError, AttributeError, TypeError) as error:
        raise Mistake(f"{plain.get('is')!r} with {', '.join(parts)} is nothing that a recipe is made of: {error}.") from error


def differences(old: Any, new: Any, name: str = "recipe") -> list[str]:
    """Where two encoded values differ, a line each: "recipe.steps: 500, now 600"."""
    if isinstance(old, dict) and isinstance(new, dict) and old.get("is") == new.get("is"):
        return [line for key in old | new for line in differences(old.get(key), new.get(key), f"{name}.{key}")]
    return [] if old == new else [f"{name}: {old}, now {new}"]


def parts(plain: Any) -> dict[str, Any]:
    """What an encoded value is made of: the fields of a dataclass, the places of a list of them; nothing for the rest."""
    if isinstance(plain, dict):
        return {key: item for key, item in plain.items() if key != "is"}
    return {str(i): item for i, item in enumerate(plain)} if isinstance(plain, list) and any(map(parts, plain)) else {}


def lines(plain: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The fields of an encoded value, and of what it is made of, by name: ("rate", "OneCycle"), ("rate.peak", "0.1")."""
    for key, item in parts(plain).items():
        if isinstance(item, dict):
            yield prefix + key, item["is"].rpartition(".")[2]
        elif not parts(item):
            yield prefix + key, ",".join(map(str, item)) if isinstance(item, list) else str(item)
        yield from lines(item, f"{prefix}{key}.")


def override(recipe: Any, changes: Mapping[str, Any]) -> Any:
    """`recipe` with fields changed from text: {"steps": "500", "rate": {"peak": "0.2"}}.

    A text is read as the kind of value that it replaces. Raises Mistake for a field that is not there or text that does not fit.
    """
    return decode(changed(encode(recipe), changes, "recipe"))


def changed(plain: Any, changes: Mapping[str, Any], name: str) -> Any:
    new = parts(plain)
    for key, text in changes.items():
        if key not in new:
            raise Mistake(f"{name} has no {key!r}; it has: {', '.join(new) or 'no fields'}.")
        inner = f"{name}.{key}"
        new[key] = changed(new[key], text, inner) if isinstance(text, Mapping) else read(new[key], text, inner)
    return list(new.values()) if isinstance(plain, list) else plain | new


def read(old: Any, text: str, name: str) -> Any:
    """`text` as a value of the kind of `old`, which is what a field holds."""
    if inside := parts(old):
        raise Mistake(f"{name} has parts; change one of them: {', '.join(f'{name}.{key}' for key in inside)}.")
    try:
        match old:
            case bool():
                return {"true": True, "false": False}[text.lower()]
            case int() | float():
                return type(old)(text)
            case list() if old:
                return [type(old[0])(item) for item in text.split(",")]
            case None:
                return float(text) if "." in text else int(text)
            case str():
                return text
    except (ValueError, KeyError):
        pass
    like = "true or false" if isinstance(old, bool) else f"something like {','.join(map(str, old)) if isinstance(old, list) else old}"
    raise Mistake(f"{name} takes {like}, not {text!r}.")
