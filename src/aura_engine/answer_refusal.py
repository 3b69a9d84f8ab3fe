"""Answer refusals: why an answer does not count, as data."""

from typing import Any

import msgspec

from aura_contracts.errors import AuraError


class AnswerRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """The error that refused an answer, as `AuraError` has it."""

    code: str
    message: str
    remedy: str = ""
    facts: dict[str, Any] = {}


def refusal_of(error: AuraError) -> AnswerRefusal:
    """Return an error as data."""
    return AnswerRefusal(code=error.code, message=error.message(), remedy=error.remedy, facts=error.facts())
