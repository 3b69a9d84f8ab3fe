"""Lessons: what reviewers asked an agent for, as a section of its instructions. Pure.

The section is made again each time, so that what was said once does not stay forever, and nothing stands there twice.
"""

import re
from collections.abc import Iterable
from typing import Final

from aura_contracts.quoting import cut, one_line

HEADING: Final = "## What reviewers asked for"
_SECTION: Final = re.compile(rf"(?ms)^{re.escape(HEADING)}$.*?(?=^#{{1,2}} |\Z)")

LESSONS: Final = 20
"""The most lessons; agents heed short instructions."""

LENGTH: Final = 500
"""The most characters of a lesson."""


def lessons_of(feedback: Iterable[str | None]) -> tuple[str, ...]:
    """Return what was asked for, each once, in the order given; what differs only in case and spaces is the same."""
    found: dict[str, str] = {}
    for text in feedback:
        lesson = cut(one_line(" ".join((text or "").split())), LENGTH)
        if lesson:
            found.setdefault(lesson.casefold().rstrip(" .!"), lesson)
    return tuple(found.values())[:LESSONS]


def with_lessons(instructions: str, lessons: Iterable[str]) -> str:
    """Return instructions with these lessons in place of those that they had; as they are without any."""
    items = [f"- {lesson}" for lesson in lessons]
    if not items:
        return instructions
    section = "\n".join([HEADING, "", *items])
    if _SECTION.search(instructions) is not None:
        replaced = _SECTION.sub(lambda _: f"{section}\n\n", instructions, count=1)
        return replaced.rstrip()
    return f"{instructions.rstrip()}\n\n{section}".lstrip()


def difference(before: str, after: str) -> str:
    """Return the change of instructions as a unified diff."""
    from difflib import unified_diff  # noqa: PLC0415 - commands that read need none

    names = ("instructions before", "instructions after")
    lines = unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="")
    return "".join(f"{line}\n" for line in lines)
