"""Recipes as JSON and back, and one field of a recipe from the words of a command line."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from importlib import import_module
from typing import Any

from ..mistake import Mistake

PACKAGE = __name__.split(".")[0]


def encode(value: Any) -> Any:
    """A value of recipes as plain JSON: each dataclass a dictionary whose key "is" names its class."""
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        name = f"{kind.__module__.removeprefix(PACKAGE + '.')}.{kind.__name__}"
        return {"is": name} | {f.name: encode(getattr(value, f.name)) for f in fields(value)}
    return [encode(item) for item in value] if isinstance(value, tuple | list) else value


def decode(plain: Any) -> Any:
    """What `encode` was given. Raises Mistake for a class that is no value of this package or lacks a field."""
    if isinstance(plain, list):
        return tuple(decode(item) for item in plain)
    if not isinstance(plain, dict):
        return plain
    module, _, name = str(plain.get("is", "")).rpartition(".")
    try:
        kind = getattr(import_module(f"{PACKAGE}.{module}"), name)
        assert is_dataclass(kind)
        return kind(**{key: decode(item) for key, item in plain.items() if key != "is"})
    except (ImportError, AttributeError, AssertionError, TypeError) as error:
        raise Mistake(
            f"{plain.get('is')!r} with {', '.join(k for k in plain if k != 'is')} is nothing that a recipe is made of."
        ) from error


def differences(old: Any, new: Any, name: str = "recipe") -> list[str]:
    """Where two encoded values differ, a line each: "recipe.steps: 500, now 600"."""
    if isinstance(old, dict) and isinstance(new, dict) and old.get("is") == new.get("is"):
        return [line for key in old | new for line in differences(old.get(key), new.get(key), f"{name}.{key}")]
    return [] if old == new else [f"{name}: {old}, now {new}"]


def lines(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The fields of an encoded recipe and of what it is made of: ("rate.peak", "0.1")."""
    for key, item in value.items():
        if isinstance(item, dict):
            yield prefix + key, item["is"].rpartition(".")[2]
            yield from lines({k: v for k, v in item.items() if k != "is"}, f"{prefix}{key}.")
        elif isinstance(item, list) and any(isinstance(part, dict) for part in item):
            yield from lines({str(i): part for i, part in enumerate(item)}, f"{prefix}{key}.")
        elif key != "is":
            yield prefix + key, ", ".join(map(str, item)) if isinstance(item, list) else str(item)


def override(value: Any, changes: Mapping[str, Any], name: str = "recipe") -> Any:
    """`value` with fields changed from text: {"steps": "500", "rate": {"peak": "0.2"}}.

    A text is read as the type of what it replaces. Raises Mistake for a field that is not there or text that does not fit.
    """
    for key, text in changes.items():
        parts = (
            dict(enumerate(value))
            if isinstance(value, tuple)
            else {f.name: getattr(value, f.name) for f in fields(value)}
            if is_dataclass(value)
            else {}
        )
        parts = {str(part): old for part, old in parts.items()}
        if key not in parts:
            raise Mistake(f"{name} has no {key!r}; it has: {', '.join(parts) or 'no fields'}.")
        inner = f"{name}.{key}"
        parts[key] = override(parts[key], text, inner) if isinstance(text, Mapping) else read(parts[key], str(text), inner)
        value = tuple(parts.values()) if isinstance(value, tuple) else replace(value, **{key: parts[key]})
    return value


def read(old: Any, text: str, name: str) -> Any:
    """`text` as a value of the kind of `old`."""
    try:
        match old:
            case bool():
                return {"true": True, "false": False}[text.lower()]
            case int() | float() if text.lower() != "none":
                return type(old)(text)
            case None | int() | float():
                return None if text.lower() == "none" else float(text) if "." in text else int(text)
            case str():
                return text
            case tuple() if old and all(isinstance(item, int | float) for item in old):
                return tuple(type(old[0])(item) for item in text.split(","))
            case tuple() if not text:
                return ()
    except (ValueError, KeyError):
        pass
    kind = "on or off (true, false)" if isinstance(old, bool) else f"like {old!r}"
    inner = f"; change its fields: {', '.join(f'{name}.{f}' for f in asdict(old))}" if is_dataclass(old) else ""
    raise Mistake(f"{name} is {kind}, not {text!r}{inner}.")
