"""Wildcards: texts against patterns in which ``*`` is any text and ``?`` any character; brackets are ordinary.

A text may have **holes**: parts that only a running shell knows, such as the value of a variable.
"""

from enum import IntEnum
from fnmatch import fnmatchcase

HOLE = "\0"
"""Any text, also none. No argument of a program can contain this character."""


class Fit(IntEnum):
    """Whether a rule covers something. `MAYBE`: it depends on what cannot be seen here."""

    NO = 0
    MAYBE = 1
    YES = 2


def fits(text: str, pattern: str, *, classes: bool = False) -> bool:
    """Return whether `text` matches `pattern`. With `classes`, ``[ab]`` is one of these characters.

    >>> fits("app/[id]/page", "app/[id]/*"), fits("app/i/page", "app/[id]/*")
    (True, False)
    """
    return fnmatchcase(text, pattern if classes else pattern.replace("[", "[[]"))


def match(text: str, pattern: str) -> Fit:
    """Return whether `text`, which may have holes, matches `pattern` whatever is in the holes.

    >>> match("rm x", "rm *"), match("rm " + HOLE, "rm *"), match(HOLE + " x", "rm *"), match("ls " + HOLE, "rm *")
    (<Fit.YES: 2>, <Fit.YES: 2>, <Fit.MAYBE: 1>, <Fit.NO: 0>)
    """
    if fits(text, pattern):
        return Fit.YES
    return Fit.MAYBE if HOLE in text and _may_fit(text, pattern) else Fit.NO


def _may_fit(text: str, pattern: str) -> bool:
    """Return whether some text in the holes makes `text` match.

    Follows all ways through the pattern at once: bit n is set while the first n characters of the pattern may have been
    matched. A hole leads from each place to all later ones.
    """
    while "**" in pattern:
        pattern = pattern.replace("**", "*")
    stars = sum(1 << place for place, char in enumerate(pattern) if char == "*")
    takes = dict.fromkeys(text, 0)
    for place, char in enumerate(pattern):
        for one in takes if char == "?" else (char,):
            if one in takes:
                takes[one] |= 1 << place
    end = 1 << len(pattern)
    places = 1 | (stars & 1) << 1
    for char in text:
        if char == HOLE:
            places = (2 * end - 1) & -(places & -places)
        else:
            places = (places & takes[char] & ~stars) << 1 | places & stars
            places |= (places & stars) << 1
        if not places:
            return False
    return bool(places & end)
