"""What must hold of every conversation, whatever its agent writes; and how what agents wrote is spoilt to prove it.

`test_normalisers.py` lets Hypothesis choose what is spoilt, `fuzz_normalisers.py` lets atheris look for it, guided by
the branches that are reached.
"""

import importlib
import inspect
import json
import pkgutil
import random
import re
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import msgspec

import aura_executors.agents
from aura_contracts.entries import (
    TEXT_LIMIT,
    AnyEntry,
    Entry,
    ErrorReported,
    FileChanged,
    Finished,
    Message,
    PermissionRequested,
    PermissionWithdrawn,
    PlanStep,
    PlanUpdated,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    Unknown,
    UsageReported,
)
from aura_contracts.failures import Failure
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Answer, Conversation, Executor, Send
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.adapter.json_lines import LINE_LIMIT, UNKNOWN_ENTRIES, JsonLines
from aura_executors.custom import CustomExecutor
from aura_executors.scripted import ScriptedConversation, ScriptedExecutor

CAPTURES = Path(__file__).parents[1] / "aura_executors" / "agents" / "captures"

RUNS: dict[str, tuple[dict[str, Any], ...]] = {
    "acp": tuple(
        {"agent": agent} for agent in ("claude-agent-acp", "codex-acp", "copilot", "gemini", "opencode", "qwen")
    ),
    "codex": ({"protocol": "exec"}, {"protocol": "app-server"}),
    "custom": ({"command": "true"},),
    "lms": ({"model": "qwen3"},),
    "ollama": ({"model": "qwen3"},),
}
"""Options of the runs, for executors that need some, or have several protocols."""

FOLDERS: dict[str, str] = {
    "acp claude-agent-acp": "claude-agent-acp",
    "acp codex-acp": "codex-acp",
    "acp copilot": "copilot-acp",
    "acp gemini": "gemini-acp",
    "acp opencode": "opencode-acp",
    "acp qwen": "qwen-acp",
    "amp": "claude",
    "claude": "claude*",
    "codex exec": "codex",
    "codex app-server": "codex-app-server",
    "cursor-agent": "claude",
    "droid": "gemini",
    "qwen-code": "qwen",
}
"""Where the captures of an agent are, if not in folders that begin with its name. Agents that cannot be recorded begin
with those of one that writes alike."""

SESSION = "58f26511-6d53-484a-a228-622e507daaf7"
EXITS = tuple(
    ProcessExit(token="t", cause=cause, exit_code=code, signal=signal, message="the reason")
    for cause in ExitCause
    for code, signal in ((0, None), (1, None), (None, 15), (None, None))
)
ENTRY_LIMIT = 64 * TEXT_LIMIT
"""Bytes of an entry whose input was no longer than that: texts are bounded, and so is what consists of texts."""

ENTRIES: tuple[Entry, ...] = (
    SessionStarted(session_id=SESSION, model="m"),
    Message(text="Fertig: “hello.txt”"),
    Thinking(text="Well"),
    ToolCalled(call_id="c1", tool="write", arguments={"path": "hello.txt", "lines": [1, 2]}),
    PermissionRequested(request_id="r1", tool="write", fingerprint="f", arguments={"a": 1}, call_id="c1"),
    PermissionWithdrawn(request_id="r1"),
    FileChanged(path="hello.txt", call_id="c1", diff="--- a\n+++ b\n"),
    ToolFinished(call_id="c1", output="written", exit_code=0),
    PlanUpdated(steps=(PlanStep("one"),)),
    UsageReported(
        usage=msgspec.convert({"input_tokens": 3, "output_tokens": 2}, UsageReported.__annotations__["usage"])
    ),
    ErrorReported(message="again", retrying=True),
    Finished(),
)
"""What the agents that come with AURA write, more or less."""


# --- Who is proven ----------------------------------------------------------------------------------------------------


@attrs.frozen
class Subject:
    """A kind of conversation, and what its agent wrote."""

    name: str
    converse: Callable[[], Conversation] = attrs.field(repr=False)
    seeds: tuple[bytes, ...] = attrs.field(repr=False)
    verbatim: bool = False
    """Texts are not cut: they are those of whoever wrote the script."""


@cache
def subjects() -> dict[str, Subject]:
    """Return all that AURA comes with, by name, whether they are registered yet or not."""
    found = [subject for executor in _executors() for subject in _subjects_of(executor)]
    return {subject.name: subject for subject in sorted(found, key=lambda one: one.name)}


def _executors() -> Iterator[Executor]:
    yield from (CustomExecutor(), ScriptedExecutor())
    for module in pkgutil.iter_modules(aura_executors.agents.__path__):
        if module.name.startswith("_"):
            continue
        package = importlib.import_module(f"{aura_executors.agents.__name__}.{module.name}")
        for offered in (getattr(package, name) for name in package.__all__):
            if inspect.isclass(offered) and issubclass(offered, Executor):
                yield offered()


def _subjects_of(executor: Executor) -> Iterator[Subject]:
    for options in RUNS.get(executor.name, ({},)):
        name = " ".join([executor.name, *options.values()]) if len(RUNS.get(executor.name, ())) > 1 else executor.name
        for session in (None, SESSION) if executor.capability.resume else (None,):
            run = AgentRun(prompt="Create hello.txt", cwd="/repository", options=options, session_id=session)
            converse = _converse(executor, run)
            verbatim = isinstance(executor, ScriptedExecutor)
            yield Subject(f"{name} resumed" if session else name, converse, _seeds(name), verbatim)


def _converse(executor: Executor, run: AgentRun) -> Callable[[], Conversation]:
    return lambda: executor.converse(run)


@cache
def _seeds(name: str) -> tuple[bytes, ...]:
    kind, *_ = name.split()
    pattern = FOLDERS.get(name) or FOLDERS.get(kind, f"{kind}*")
    captures = {path.read_bytes() for path in sorted(CAPTURES.glob(f"{pattern}/*.stdout"))} - {b""}
    return tuple(sorted(captures)) or _written()


def _written() -> tuple[bytes, ...]:
    plain = [msgspec.json.encode(entry) for entry in ENTRIES]
    marked = [b'{"aura": ' + line + b"}" for line in plain]
    return tuple(b"\n".join([*lines, b"", b"What the model says.", b""]) for lines in (plain, marked))


# --- How it is spoilt -------------------------------------------------------------------------------------------------

STRANGE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**53 + 1,
    2**63,
    -(10**40),
    1e308,
    float("nan"),
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "\udc00\ud800",
    "“é\U0001f600",
    "\x1b[31m",
    "x" * 70_000,
    "é" * 70_000,
    [],
    [None],
    [[]] * 50,
    ["text"] * 2_000,
    {},
    {"": None},
    {"type": "text", "text": 5},
    {"\0": {"\ud800": "\0"}},
    {str(number): number for number in range(2_000)},
    json.loads("[" * 300 + "]" * 300),
    json.loads('{"a":' * 300 + "1" + "}" * 300),
)
"""JSON values to stand where others stood."""

JUNK: tuple[bytes, ...] = (
    b"",
    b"   \r",
    b"\0",
    b"\xff\xfe{}",
    b"{",
    b"{}",
    b"[]",
    b"null",
    b'"text"',
    b'{"type":',
    b'{"type":null}',
    b'{"type":"no such type","x":1}',
    b'{"method":"no/such","params":{}}',
    b'{"id":1,"result":{}}',
    b'{"id":1,"error":{"code":-32000,"message":"no"}}',
    b'{"id":"x","method":"session/request_permission","params":null}',
    b'{"jsonrpc":"2.0","method":"session/update","params":{"update":{"sessionUpdate":"no_such"}}}',
    b'{"n":' + b"9" * 5_000 + b"}",
    b'{"type":"\xed\xa0\x80"}',
    b"[" * 50_000,
    b'{"a":' * 5_000,
    b"Traceback (most recent call last):",
    b"x" * 200_000,
)
"""Lines that no agent should write."""

KINDS = ("byte", "drop", "double", "swap", "cut", "join", "junk", "value", "key", "rename")


@attrs.frozen
class Mutation:
    """One thing that is done to the lines; numbers are taken modulo what there is."""

    kind: str
    place: int
    what: int


def spoilt(seed: bytes, mutations: Iterable[Mutation]) -> bytes:
    """Return `seed` with all of it done."""
    lines = seed.split(b"\n")
    for mutation in mutations:
        _mutate(lines, mutation)
    return b"\n".join(lines)


def _mutate(lines: list[bytes], mutation: Mutation) -> None:
    if not lines:
        lines.append(b"")
    at, what = mutation.place % len(lines), mutation.what
    line = lines[at]
    match mutation.kind:
        case "byte" if line:
            place = what % len(line)
            lines[at] = line[:place] + bytes([(what >> 8) & 255]) + line[place + 1 :]
        case "drop":
            del lines[at]
        case "double":
            lines.insert(what % len(lines), line)
        case "swap":
            other = what % len(lines)
            lines[at], lines[other] = lines[other], line
        case "cut":
            lines[at] = line[: what % (len(line) + 1)]
        case "join" if at + 1 < len(lines):
            lines[at : at + 2] = [line + lines[at + 1]]
        case "junk":
            lines.insert(at, JUNK[what % len(JUNK)])
        case _:
            lines[at] = _changed(line, mutation)


def _changed(line: bytes, mutation: Mutation) -> bytes:
    """Return a line of JSON with one of its values replaced, taken away or under another name."""
    try:
        root = [json.loads(line)]
        places = [*_places(root)]
    except (ValueError, RecursionError):
        return line
    holder, name = places[(mutation.what >> 8) % len(places)]
    strange = STRANGE[mutation.what % len(STRANGE)]
    if mutation.kind == "value" or isinstance(holder, list):
        holder[name] = strange
    elif mutation.kind == "rename":
        holder[strange if isinstance(strange, str) else "x"] = holder.pop(name)
    else:
        del holder[name]
    try:
        return json.dumps(root[0], separators=(",", ":")).encode()
    except RecursionError:
        return line


def _places(holder: Any) -> Iterator[tuple[Any, Any]]:
    names = holder if isinstance(holder, dict) else range(len(holder))
    for name in names:
        yield holder, name
        if isinstance(holder[name], dict | list):
            yield from _places(holder[name])


# --- What must hold ---------------------------------------------------------------------------------------------------


@attrs.frozen
class Happening:
    """Something that happens when the agent has written so many bytes: an answer, a wish to stop, standard error."""

    place: int
    kind: str
    granted: bool = True


@attrs.frozen
class Outcome:
    said: tuple[Entry | Send, ...]
    failure: Failure | None
    blocked: str
    unknown: int

    @property
    def entries(self) -> list[Entry]:
        return [one for one in self.said if isinstance(one, Entry)]


TROUBLE = b"\x1b[31mError\xff: rate limit, status 429\0 \xed\xa0\x80\n"


def outcome(
    subject: Subject,
    written: bytes,
    cuts: Iterable[int] = (),
    happenings: Iterable[Happening] = (),
    ended: ProcessExit = EXITS[0],
) -> Outcome:
    """Return what a new conversation makes of it, cut at these places."""
    conversation = subject.converse()
    said: list[Entry | Send] = []
    events = sorted(happenings, key=lambda one: one.place % (len(written) + 1))
    at = {one.place % (len(written) + 1) for one in events}
    places = sorted({0, len(written), *at, *(cut % (len(written) + 1) for cut in cuts)})
    for start, end in zip(places, [*places[1:], len(written)], strict=True):
        for event in events:
            if event.place % (len(written) + 1) == start:
                said += _happened(conversation, event, said)
        said += conversation.receive(OutputSource.STDOUT, written[start:end])
    said += conversation.end(ended)
    failure = conversation.judge(ended)
    plain = isinstance(conversation, ScriptedConversation)  # what it does not mark is output, and not unknown
    unknown = conversation.unknown if isinstance(conversation, JsonLines) and not plain else -1
    return Outcome(tuple(said), failure, conversation.blocked, unknown)


def _happened(conversation: Conversation, event: Happening, said: list[Entry | Send]) -> Iterable[Entry | Send]:
    match event.kind:
        case "interrupt":
            return conversation.interrupt()
        case "trouble":
            return conversation.receive(OutputSource.STDERR, TROUBLE)
        case "answer":
            asked = [one.request_id for one in said if isinstance(one, PermissionRequested)]
            name = asked[-1] if asked else "not asked"
            return conversation.answer(name, Answer(granted=event.granted, feedback="No\0, \ud800"))
    raise AssertionError(event.kind)


def prove(subject: Subject, written: bytes, cuts: Iterable[int] = (), happenings: Iterable[Happening] = ()) -> None:
    """Raise `AssertionError`, or whatever the conversation raises, if it does not do as it must."""
    happenings = tuple(happenings)
    ended = EXITS[len(written) % len(EXITS)]
    found = outcome(subject, written, cuts, happenings, ended)
    limit = LINE_LIMIT if subject.verbatim else TEXT_LIMIT
    for one in found.said:
        if isinstance(one, Entry):
            _prove_entry(one, len(written), limit)
        else:
            assert isinstance(one, Send), one
            assert isinstance(one.data, bytes)
    assert found.failure is None or isinstance(found.failure, Failure)
    _prove_storable(msgspec.to_builtins(found.failure))
    _prove_storable(found.blocked)
    if found.unknown >= 0:
        _prove_unknown(found, written)
    again = outcome(subject, written, (), happenings, ended)
    assert again == found, "it says something else when the bytes are cut otherwise"


def _prove_entry(entry: Entry, size: int, limit: int) -> None:
    encoded = msgspec.json.encode(entry)
    assert len(encoded) <= max(ENTRY_LIMIT, 8 * size), f"an entry of {len(encoded)} bytes"
    decoded = msgspec.json.decode(encoded, type=AnyEntry)
    assert type(decoded) is type(entry)
    _prove_storable(msgspec.to_builtins(entry), limit)


def _prove_storable(value: Any, limit: int = TEXT_LIMIT) -> None:
    if isinstance(value, str):
        assert "\0" not in value, "a NUL, which PostgreSQL cannot store"
        value.encode()
        assert len(value) <= limit + 200, f"a text of {len(value)} characters"
    elif isinstance(value, dict):
        for name, one in value.items():
            _prove_storable(name, limit)
            _prove_storable(one, limit)
    elif isinstance(value, list | tuple):
        for one in value:
            _prove_storable(one, limit)


def _prove_unknown(found: Outcome, written: bytes) -> None:
    told = sum(isinstance(one, Unknown) for one in found.entries)
    assert told == min(found.unknown, UNKNOWN_ENTRIES), f"{told} told, {found.unknown} counted"
    if not any(isinstance(one, Finished) for one in found.entries):
        strange = [line for line in written.split(b"\n") if line.strip() and not line.lstrip().startswith(b"{")]
        strange = [line for line in strange if not line.startswith(b"No API key found")]
        assert found.unknown >= len(strange), f"{len(strange)} lines are no JSON objects, {found.unknown} unknown"


# --- Memory -----------------------------------------------------------------------------------------------------------

_NAMED = re.compile(rb'(?i)("[a-z_]*(?:id|path|name|model|key)"\s*:\s*"[^"\\]{2,})"')


def unending(subject: Subject, size: int) -> Iterator[bytes]:
    """Yield about `size` bytes of what the agent writes: new names each time, and a third of the lines left out."""
    luck = random.Random(1)
    seeds = [[line for line in seed.split(b"\n") if line] for seed in subject.seeds]
    number = 0
    while size > 0:
        lines = [line for line in seeds[number % len(seeds)] if luck.random() > 0.3]
        number += 1
        data = b"\n".join([*lines, b""])
        data = _NAMED.sub(rb'\1-%d"' % number, data)
        size -= max(1, len(data))
        yield data


def endless_line(size: int) -> Iterator[bytes]:
    """Yield a line that does not end, in small pieces."""
    piece = b"[" * 32_000
    yield from (piece for _ in range(size // len(piece)))


def kept(subject: Subject, pieces: Iterable[bytes]) -> int:
    """Return how many bytes a conversation holds when it was given all of `pieces`; it can still be judged."""
    conversation = subject.converse()
    tracemalloc.start()
    try:
        for piece in pieces:
            for _ in conversation.receive(OutputSource.STDOUT, piece):
                pass
            for _ in conversation.receive(OutputSource.STDERR, piece):
                pass
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    list(conversation.end(EXITS[0]))
    conversation.judge(EXITS[0])
    return held
