"""The page about errors: their codes, which programs may rely on."""

from typing import Any

import attrs

from aura_contracts.errors import AuraError
from aura_engine.scope import ScopeEnded, TokenRefused
from generator.markdown import NOTE, page, table
from generator.prose import inline
from generator.source import first_line

_OTHERS = (ScopeEnded, TokenRefused)
"""Errors that an embedding program meets and that are not part of the contracts."""


def errors() -> str:
    """Return the page with every error."""
    return page(
        "# Errors",
        NOTE,
        "Every error that AURA raises on purpose is an `AuraError`. Its `code` is stable: it is never renamed, and"
        " never given to another error. The facts are attributes of the error, and `error.facts()` returns them by"
        " name;"
        " `aura --json` prints them with the code. `error.transient` says that the same request may succeed later,"
        " without being changed.",
        table(("code", "class", "meaning", "facts", "remedy", "transient"), (_row(kind) for kind in _all(AuraError))),
    )


def _all(kind: type[AuraError]) -> list[type[AuraError]]:
    own = [child for child in kind.__subclasses__() if child.__module__ == AuraError.__module__ or child in _OTHERS]
    return [kind, *(deeper for child in own for deeper in _all(child))]


def _row(kind: type[AuraError]) -> tuple[str, ...]:
    fields: dict[str, Any] = {field.name: field for field in attrs.fields(kind)}
    remedy = fields.pop("remedy").default
    facts = ", ".join(f"`{name}`" for name in fields)
    words = inline(first_line(kind))
    return f"`{kind.code}`", f"`{kind.__name__}`", words, facts, inline(remedy), "yes" if kind.transient else ""
