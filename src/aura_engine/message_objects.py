"""Message objects: the JSON objects that stand among the words of a message. Pure.

An object counts only as a whole: what is inside of another one, complete or not, never stands for itself. Otherwise a
part of what an agent says would silently replace it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import attrs

from aura_contracts.errors import InvalidInput

TEXT_LIMIT = 1_048_576
"""The most characters of a message in which objects are looked for."""

_WASTE_LIMIT = 16_000_000
"""The most characters that are read of what turns out not to be an object: some ten milliseconds."""

_BEGINNING = re.compile(r'\{\s*["}]')


@attrs.frozen
class MessageObject:
    """An object that is in no other one."""

    data: dict[str, Any]
    repeated: str | None = None
    """A key that occurs twice in it, or in an object inside of it: which value counts is not known."""


def objects_in(text: str) -> list[MessageObject]:
    """Return the outermost objects in a text, in order.

    Raises `InvalidInput` if the text is too long, its objects are nested too deeply, or too many are never complete:
    whether an object is inside of another one is not known then.

    >>> [one.data for one in objects_in('As {"a": {"b": 1}} says, {"c": [')]
    [{'a': {'b': 1}}]
    """
    if len(text) > TEXT_LIMIT:
        raise _refused(f"it has {len(text)} characters, and at most {TEXT_LIMIT} are read", "shorten it")
    return list(_found(text))


def _found(text: str) -> Iterator[MessageObject]:
    repeated: list[str] = []
    decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: _object(pairs, repeated), parse_int=_number)
    place, reached, wasted = 0, 0, 0
    while (beginning := _BEGINNING.search(text, place)) is not None:
        place = beginning.start()
        repeated.clear()
        try:
            data, end = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            reached, wasted = max(reached, error.pos), wasted + error.pos
            place += 1
            if wasted > _WASTE_LIMIT:
                raise _refused("too many of its objects are never complete", "close each object") from None
            continue
        except RecursionError:
            raise _refused("its objects are nested too deeply", "nest them less") from None
        if place >= reached:
            yield MessageObject(data, repeated[0] if repeated else None)
        place = end


def _object(pairs: list[tuple[str, Any]], repeated: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            repeated.append(key)
        found[key] = value
    return found


def _number(digits: str) -> int | float:
    """Return a number; Python refuses to read integers of thousands of digits."""
    return int(digits) if len(digits) < 400 else float(digits)


def _refused(reason: str, remedy: str) -> InvalidInput:
    return InvalidInput(field="message", reason=reason, remedy=remedy)
