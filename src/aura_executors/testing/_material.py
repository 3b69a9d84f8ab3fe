"""Material of the conformance suite: what agents may write, how they may end, and what is understood of it."""

import json
import random
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import strategies as st

from aura_contracts.entries import Entry, PermissionRequested
from aura_contracts.failures import Failure
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import Answer, Conversation, Send
from aura_contracts.ports.processes import ExitCause, ProcessExit

SOURCES = (OutputSource.STDOUT, OutputSource.STDERR)

EXITS = tuple(
    ProcessExit(token="t", cause=cause, exit_code=code, signal=signal, message=message)  # noqa: S106 - no password
    for cause in ExitCause
    for code, signal in ((0, None), (1, None), (255, None), (None, 9), (None, 15), (None, None))
    for message in ("", "the reason")
)
"""Every way to end: all causes, with every kind of exit code and signal."""

GOOD_EXIT = ProcessExit(token="t", cause=ExitCause.OWN, exit_code=0)  # noqa: S106 - no password

GARBAGE = (
    b"",
    b"\n",
    b"\r\n\r\n",
    b"\0\0\0\n",
    b"\xff\xfe\x00\n",
    b"{}\n",
    b"[]\n",
    b"null\n",
    b'{"type"\n',
    b'{"type":null}\n',
    b'{"type":"message","text":5}\n',
    b'{"id":"\\ud800\\u0000"}\n',
    b'{"n":' + b"9" * 5000 + b"}\n",
    b"[" * 100_000 + b"\n",
    b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"\n",
    b"x" * 3_000_000,
    b"data: {\n\n",
    b"\x1b[2J\x1b[31mred\n",
)
"""What no agent should write, and some do."""

TOO_LONG = " and so on" * 10_000
UNSTORABLE = "\0"

SPOILINGS = 50
"""Texts of one transcript that are replaced."""


def understood(
    conversation: Conversation, written: Iterable[tuple[OutputSource, bytes]]
) -> tuple[list[Entry], bytes, Failure | None]:
    """Return the entries, the bytes to send, and the judgement, when the agent writes this and ends well."""
    items: list[Entry | Send] = []
    for source, data in written:
        items += conversation.receive(source, data)
    items += conversation.end(GOOD_EXIT)
    for item in items:
        assert isinstance(item, Entry | Send), f"{item!r} is neither an entry nor something to send"
    entries = [item for item in items if isinstance(item, Entry)]
    return entries, b"".join(item.data for item in items if isinstance(item, Send)), conversation.judge(GOOD_EXIT)


def pieces(data: bytes, cuts: Iterable[int]) -> list[tuple[OutputSource, bytes]]:
    """Return `data` as standard output, cut at these places."""
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [(OutputSource.STDOUT, data[start:end]) for start, end in pairwise(places)]


def jsonlike() -> st.SearchStrategy[bytes]:
    """Return lines that look as if they meant something."""
    names = st.sampled_from(["type", "aura", "id", "method", "params", "result", "session_id", "message", "text"])
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
    lines = st.dictionaries(names, values, max_size=4).map(lambda value: json.dumps(value).encode() + b"\n")
    return st.lists(lines | st.binary(max_size=20), max_size=6).map(b"".join)


def answered(conversation: Conversation, data: bytes, answer: Answer) -> tuple[list[Entry], list[bytes]]:
    """Return the entries and what is sent when each question is answered as soon as it is asked."""
    entries: list[Entry] = []
    sent: list[bytes] = []
    for line in data.splitlines(keepends=True):
        for item in list(conversation.receive(OutputSource.STDOUT, line)):
            match item:
                case Send(data=sent_item):
                    sent.append(sent_item)
                case Entry():
                    entries.append(item)
            if isinstance(item, PermissionRequested):
                sent += [sent_item.data for sent_item in conversation.answer(item.request_id, answer)]
    entries += conversation.end(GOOD_EXIT)
    return entries, sent


def spoilings(data: bytes) -> Iterator[bytes]:
    """Yield `data`, lines of which some are JSON, with one text of it replaced; at most about a hundred times."""
    lines = data.splitlines(keepends=True)
    chance = random.Random(0)  # noqa: S311 - places to change, not secrets
    places = [(index, path) for index, line in enumerate(lines) for path in _places(line)]
    for index, path in chance.sample(places, min(len(places), SPOILINGS)):
        for spoil in (TOO_LONG, UNSTORABLE):
            value = json.loads(lines[index])
            inner = value
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] += spoil
            yield b"".join((*lines[:index], json.dumps(value).encode() + b"\n", *lines[index + 1 :]))


def _places(line: bytes) -> list[tuple[Any, ...]]:
    """Return where in a line of JSON there are texts."""
    try:
        return list(_texts_below(json.loads(line), ()))
    except (ValueError, RecursionError):
        return []


def _texts_below(value: object, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str) and path:
        yield path
    elif isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts_below(inner, (*path, step))


def texts_in(value: object) -> Iterator[str]:
    """Yield every text in entries, as they are stored: names of arguments are texts too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from (name, *texts_in(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)
    elif isinstance(value, msgspec.Struct):
        yield from texts_in(msgspec.json.decode(msgspec.json.encode(value)))
