"""Bounded texts: texts of entries that the log can store, and what is remembered while an agent runs."""

from typing import Any, TypeVar

from aura_contracts.entries import TEXT_LIMIT
from aura_contracts.permission import CUT_MARK

K = TypeVar("K")
V = TypeVar("V")

MESSAGE_LIMIT = 2_000
"""Maximum characters of a failure's message."""

_SHORT = 1_000
"""Maximum characters of a key in a value, and of values nested too deeply."""

_CUT = f"\n[... {{}} {CUT_MARK} ...]\n"


def clipped(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return `text` without characters that the log cannot store, cut in the middle to about `limit` characters.

    >>> clipped("abc" * 100, 100).count("left out")
    1
    """
    if len(text) <= limit and text.isascii() and "\0" not in text:
        return text
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # a lone surrogate is not UTF-8
            text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}{_CUT.format(len(text) - 2 * half)}{text[-half:]}"


def left_out(count: int) -> str:
    """Return the mark of `count` items that are not shown. No rule allows a call with it, see `CUT_MARK`."""
    return f"[... {count} more: {CUT_MARK} ...]"


def clipped_value(value: object, limit: int = TEXT_LIMIT, depth: int = 16) -> Any:
    """Return a JSON value with every text in it clipped; values nested too deeply become text.

    A value that needs no change may be returned as it is, not as a copy.
    """
    if isinstance(value, dict):
        if depth and _is_plain(value, limit):
            return value
        if depth:
            return {clipped(str(name), _SHORT): clipped_value(one, limit, depth - 1) for name, one in value.items()}
    elif isinstance(value, str):
        return clipped(value, limit)
    elif not isinstance(value, list):
        return value
    elif depth:
        return [clipped_value(one, limit, depth - 1) for one in value]
    return clipped(str(value), _SHORT)


def _is_plain(table: dict[str, object], limit: int) -> bool:
    """Whether, by a quick check, nothing in a table needs clipping; False if something may."""
    for name, value in table.items():
        if len(name) > _SHORT or not name.isascii() or "\0" in name:
            return False
        if type(value) is str:
            if len(value) > limit or not value.isascii() or "\0" in value:
                return False
        elif isinstance(value, (dict, list)):
            return False
    return True


def put(known: dict[K, V], name: K, value: V, limit: int) -> None:
    """Add to `known`, which never holds more than `limit` items; beyond it, the oldest is dropped."""
    if len(known) >= limit:
        del known[next(iter(known))]
    known[name] = value


class Pieces:
    """A text that arrives in pieces: kept up to `TEXT_LIMIT` (or its first piece); the rest is only counted."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self._length = 0

    def add(self, text: str) -> None:
        self._length += len(text)
        if self._length <= TEXT_LIMIT or not self.kept:
            self.kept.append(text)

    def take(self) -> str:
        """Return the whole text, with a note about omissions, and start a new one; "" for a blank text."""
        if not self.kept:
            return ""
        text, length = "".join(self.kept), self._length
        self.clear()
        if not text.strip():
            return ""
        left_out = length - len(text)
        note = f"\n[... {left_out} characters left out; the output has them ...]" if left_out else ""
        return clipped(text) + note

    def clear(self) -> None:
        self.kept.clear()
        self._length = 0


class Tail:
    """The last bytes of a stream, such as standard error, which may contain the reason for a failure."""

    def __init__(self, limit: int = 16_384) -> None:
        self._limit = limit
        self._data = b""

    def feed(self, data: bytes) -> None:
        self._data = (self._data + data[-self._limit :])[-self._limit :]

    @property
    def text(self) -> str:
        return clipped(self._data.decode("utf-8", "replace").strip(), self._limit)
