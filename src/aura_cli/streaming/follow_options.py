"""Follow options: how a task is followed."""

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from aura_cli._call import Invocation


@attrs.frozen(kw_only=True)
class FollowOptions:
    """How a task is followed."""

    since: int | None = None
    """The position after which to print events of an existing task; None for a run just started."""

    wait: bool = False
    """Keep following while an approval is pending, until the task ends."""

    keyboard: int | None = None
    """The descriptor for questions to a human."""

    review: bool = False
    """Whether to print the changes at the end."""

    hint: str = ""
    """The suffix of suggested commands: the store, if it was named."""

    preface: str = ""
    """Lines to print first."""

    @classmethod
    def of(cls, call: "Invocation", *, since: int | None = None, preface: str = "") -> "FollowOptions":
        """Return the follow options of a command."""
        given, keyboard = call.arguments, call.terminal.keyboard
        return cls(
            since=since,
            wait=given.wait,
            keyboard=None if given.no_tui else keyboard,
            review=given.review,
            hint=call.hint,
            preface=preface,
        )
