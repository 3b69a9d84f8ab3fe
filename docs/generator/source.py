"""Documentation in the source: docstrings, and the texts below attributes, which Python does not keep."""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any


@cache
def attribute_docs(kind: type[Any]) -> Mapping[str, str]:
    """Return the texts that stand below the attributes of a class and of its bases, by attribute."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("aura_"):
            docs |= _texts_below_names(_classes_in(base.__module__)[base.__name__])
    return docs


@cache
def _classes_in(module: str) -> Mapping[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _texts_below_names(body: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for above, below in zip(body.body, body.body[1:], strict=False):
        target = above.target if isinstance(above, ast.AnnAssign) else getattr(above, "targets", [None])[0]
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            yield target.id, one_line(str(below.value.value))


def own_words(kind: type[Any]) -> str:
    """Return the first paragraph of a class's docstring; empty where msgspec generated it."""
    return first_line(kind) if kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(") else ""


def first_line(thing: Any) -> str:
    """Return the first paragraph of a docstring, as one line."""
    return one_line(inspect.cleandoc(thing.__doc__).partition("\n\n")[0])


def one_line(text: str) -> str:
    """Return `text` without its line breaks."""
    return " ".join(text.split())
