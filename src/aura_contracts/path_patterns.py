"""Path patterns: which files of a repository a pattern is about, and whether two of them have a file in common. Pure.

``*`` is any text, slashes included, and ``?`` any one character; all others, brackets too, stand for themselves, as in
policies. So ``src/api/*`` and ``src/api/**`` are both about everything below that folder.

A path is relative, with parts between single slashes, none of them ``.`` or ``..``: as git lists files.
"""

from functools import lru_cache

from aura_contracts.errors import InvalidInput

PATTERN_LENGTH = 200
"""The most characters of a pattern."""

PATTERN_WILDCARDS = 10
"""The most wildcards of a pattern, which bounds how long a comparison takes."""


Reached = tuple[int, int, int, int]
"""How much of a pattern a path may have matched by now: bit n stands for its first n characters. Four of these, by what
the last part of the path is so far: empty, ``.``, ``..``, or a name."""


def require_pattern(pattern: str, field: str) -> None:
    """Raise `InvalidInput` for a pattern that is too long, or that no path of a file matches."""
    if len(pattern) > PATTERN_LENGTH:
        reason = f"a pattern has {len(pattern)} characters, and at most {PATTERN_LENGTH} are possible"
        raise InvalidInput(field=field, reason=reason, remedy="name the folder: src/api/*")
    if sum(pattern.count(one) for one in "*?") > PATTERN_WILDCARDS:
        reason = f"{pattern!r} has more than {PATTERN_WILDCARDS} wildcards"
        raise InvalidInput(field=field, reason=reason, remedy="give several simpler patterns")
    if not overlap(pattern, "*") or pattern != pattern.strip() or not pattern.isprintable():
        reason = f"{pattern!r} matches no file: paths are relative to the top of the repository"
        raise InvalidInput(field=field, reason=reason, remedy="write it like src/api/* or README.md")


@lru_cache(maxsize=4096)
def overlap(one: str, other: str) -> bool:
    """Whether some path matches both patterns. Exact: it follows all ways through both at once.

    >>> overlap("src/api/*", "src/*/test.py"), overlap("src/api/*", "docs/*"), overlap("a/?b", "a?/b")
    (True, False, False)
    """
    pattern = _Pattern(other)
    reached: Reached = pattern.past_stars((1, 0, 0, 0))
    for char in one:
        reached = pattern.past_any(reached) if char == "*" else pattern.past(reached, char)
    return bool(reached[-1] >> len(pattern.text) & 1)


class _Pattern:
    """A pattern as sets of places in it, to follow all ways through it at once."""

    def __init__(self, text: str) -> None:
        while "**" in text:
            text = text.replace("**", "*")
        self.text = text
        self._stars = self._places("*")
        self._any = self._places("?")
        self._ordinary = ~(self._stars | self._places("/.")) & ((1 << len(text)) - 1)

    def _places(self, chars: str) -> int:
        return sum(1 << place for place, char in enumerate(self.text) if char in chars)

    def past(self, reached: Reached, char: str) -> Reached:
        """Return what is reached after this character of a path, or after any one (``?``)."""
        if char != "?":
            return self.past_stars(self._after(reached, char, self._places(char) | self._any))
        return self._past_one(reached)

    def past_any(self, reached: Reached) -> Reached:
        """Return what is reached after any text."""
        while (further := _either(reached, self._past_one(reached))) != reached:
            reached = further
        return reached

    def _past_one(self, reached: Reached) -> Reached:
        """Return what is reached after any one character."""
        slash = self._after(reached, "/", self._places("/") | self._any)
        dot = self._after(reached, ".", self._places(".") | self._any)
        return self.past_stars(_either(_either(slash, dot), self._after(reached, "", self._ordinary)))

    def _after(self, reached: Reached, char: str, takes: int) -> Reached:
        """Return what is reached after a character that the places in `takes` stand for, besides the stars."""
        empty, dot, dots, name = ((one & takes) << 1 | one & self._stars for one in reached)
        if char == "/":
            return (name, 0, 0, 0)
        if char == ".":
            return (0, empty, dot, dots | name)
        return (0, 0, 0, empty | dot | dots | name)

    def past_stars(self, reached: Reached) -> Reached:
        """Return what is reached with the stars that end here."""
        empty, dot, dots, name = (one | (one & self._stars) << 1 for one in reached)
        return (empty, dot, dots, name)


def _either(one: Reached, other: Reached) -> Reached:
    return (one[0] | other[0], one[1] | other[1], one[2] | other[2], one[3] | other[3])
