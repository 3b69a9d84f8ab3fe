"""Quoting: text that agents and files choose, in lines for people.

Output for people consists of lines that AURA writes. A file name, a title or a message may hold line ends, escape
sequences of terminals, characters that reverse the order of others, and invisible ones. None of them may forge a line,
move a cursor, or hide a part of what a human decides on. So whatever does not come from AURA itself passes one of four
functions:

- `quoted` for a name within a line: as git quotes file names;
- `one_line` for a sentence, or for a whole line that was put together;
- `printable` for lines that may stay several;
- `block` for a text of several lines below a heading: each line is indented, so none looks like a heading.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal

_HIDDEN = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\u2800\ufe00-\ufe0d\uffa0"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Characters that Python counts as printable although nothing is shown for them (Unicode, DerivedCoreProperties.txt,
Default_Ignorable_Code_Point, and a blank one, U+2800), without the two that choose between text and picture (U+FE0E,
U+FE0F)."""

_SUSPECT = {keep: re.compile(f"[^{keep} -~]") for keep in ("", "\n", "\t", "\n\t")}
"""Whatever has to be looked at: everything but visible ASCII, and what a caller keeps."""

_UNSEEN = re.compile(f"[{_HIDDEN}]")

_SHORT = {"\a": r"\a", "\b": r"\b", "\t": r"\t", "\n": r"\n", "\v": r"\v", "\f": r"\f", "\r": r"\r"}
_C_ESCAPES = {**_SHORT, '"': r"\"", "\\": r"\\"}

VALUE_LIMIT = 60
"""Maximum characters of a value in a line of a list."""

ERROR_LIMIT = 8 * 1024
"""Maximum characters of an error's text: more than a screen shows, and little enough to store with every failure."""

CUT = "…"
"""The mark of a text that was cut."""


def quoted(name: str, *, only_ascii: bool = False) -> str:
    r"""Return a name as git quotes it with ``core.quotePath=false``: as it is, or in double quotes with C's escapes.

    Characters that cannot be seen are written as the octal values of their UTF-8 bytes; so is everything but ASCII with
    `only_ascii`, which is git's ``core.quotePath=true``.

    >>> print(quoted("docs/plan.md"), quoted("a\nb"), quoted("\u202egnp.exe"))
    docs/plan.md "a\nb" "\342\200\256gnp.exe"
    """

    def is_plain(text: str) -> bool:
        return is_visible(text) and (text.isascii() or not only_ascii)

    if is_plain(name) and '"' not in name and "\\" not in name:
        return name
    return f'"{"".join(_C_ESCAPES.get(c) or (c if is_plain(c) else _octal(c)) for c in name)}"'


def one_line(text: str) -> str:
    r"""Return a text as one line: line ends, and all that cannot be seen, are escaped.

    >>> print(one_line("done\n[aura] merged\x1b[2K"))
    done\n[aura] merged\x1b[2K
    """
    return text if is_visible(text) else _SUSPECT[""].sub(_escaped, text)


def printable(text: str, keep: Literal["", "\n", "\t", "\n\t"] = "\n") -> str:
    r"""Return a text with all that cannot be seen escaped, except for the characters in `keep`.

    >>> print(printable("one\r\ntwo"))
    one\r
    two
    """
    return _SUSPECT[keep].sub(_escaped, text)


def escaped_json(text: str) -> str:
    """Return JSON with all that cannot be seen escaped; only its strings hold such characters. It means the same."""
    return text if text.isascii() else _SUSPECT[""].sub(_escaped_in_json, text)


def block(text: str, indent: str = "  ") -> Iterator[str]:
    """Yield the lines of a text, indented, so that none can pass for a line of AURA's own. Tabs stay."""
    return (indent + printable(line, keep="\t") for line in text.split("\n"))


def is_visible(text: str) -> bool:
    """Whether every character of a text is shown, in one line and in the order in which it is written."""
    return text.isprintable() and (text.isascii() or _UNSEEN.search(text) is None)


def is_unicode(text: str) -> bool:
    """Whether a text can be encoded: it has no lone surrogates."""
    if text.isascii():  # which copies nothing
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def cut(text: str, limit: int = VALUE_LIMIT) -> str:
    """Return the text in at most `limit` characters; a text that was cut ends with the mark `CUT`."""
    return text if len(text) <= limit else f"{text[: limit - 1]}{CUT}"


def listed(items: Sequence[object], limit: int) -> str:
    """Return the first items in one line, and how many there are besides.

    >>> listed(["a", "b", "c"], 3), listed(["a", "b", "c"], 1)
    ('a, b, c', 'a and 2 more')
    """
    rest = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(map(str, items[:limit])) + rest


def bounded(text: str) -> str:
    """Return the text in about `ERROR_LIMIT` characters: a longer one keeps both ends and says how much is left out."""
    if len(text) <= ERROR_LIMIT:
        return text
    half = ERROR_LIMIT // 2
    return f"{text[:half]} … ({len(text) - 2 * half:,} characters left out) … {text[-half:]}"


def width_of(text: str) -> int:
    """Return the columns that a text takes on a terminal: wide characters take two, combining ones none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def cut_to_width(text: str, width: int) -> str:
    """Return the text in at most `width` columns of a terminal; a text that was cut ends with the mark `CUT`."""
    if width_of(text) <= width:
        return text
    taken = 0
    for place, character in enumerate(text):
        taken += _columns(character)
        if taken > width - 1:
            return f"{text[:place]}{CUT}"
    return text


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if is_visible(character):
        return character
    return character.encode("unicode_escape").decode()


def _escaped_in_json(found: re.Match[str]) -> str:
    character = found[0]
    if is_visible(character):
        return character
    units = character.encode("utf-16-be")  # RFC 8259, section 7: one escape for each unit of UTF-16
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))


def _octal(character: str) -> str:
    try:
        data = character.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair that stands for no byte
        data = character.encode("utf-8", "surrogatepass")
    return "".join(f"\\{byte:03o}" for byte in data)
