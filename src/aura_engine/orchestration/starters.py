"""Starters: complete workflow files to begin with, which people change as they need."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from aura_contracts.errors import InvalidInput

_FOLDER = files("aura_engine.orchestration") / "templates"


@cache
def starter_names() -> Sequence[str]:
    """Return the names of the files, which are those of their workflows."""
    return tuple(sorted(one.name.removesuffix(".yaml") for one in _FOLDER.iterdir() if one.name.endswith(".yaml")))


def starter_text(name: str) -> str:
    """Return the text of a file. Raises `InvalidInput` for an unknown name."""
    if name not in starter_names():
        remedy = f"use one of {', '.join(starter_names())}"
        raise InvalidInput(field="template", reason=f"there is no template {name!r}", remedy=remedy)
    return (_FOLDER / f"{name}.yaml").read_text("utf-8")
