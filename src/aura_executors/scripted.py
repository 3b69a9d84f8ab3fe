"""Executor `scripted`: an agent that does what a list of steps says. For demonstrations, and for tests of AURA itself.

    rounds = [
        [{"say": "I shall add a greeting"}, {"write": {"path": "hello.txt", "text": "hello\\n"}}],
        [{"expect_prompt": "louder"}, {"edit": {"path": "hello.txt", "old": "hello", "new": "HELLO"}}],
    ]

A new session plays the first round, a follow-up the next one, and after the last the last again; a run that was cut
off plays its round again. Which round it is stands in the session's id, ``scripted-<rounds done>``, so nothing has to
be kept. The steps, with their arguments (those in brackets may be left out, a lone one may stand for the table):

    write           path, text                      make or replace a file, and its folders
    append          path, text
    edit            path, old, new                  `old` must be in the file once
    delete          path                            a file, or a folder with all in it
    rename          path, to
    print           text [stream, repeat, newline]  plain output, `stream` being stdout or stderr
    print_prompt                                    the prompt, as plain output
    expect_prompt   contains                        fail if the prompt lacks this
    close           stream                          close it, and go on
    sleep           seconds
    wait_for        path                            wait until it exists; anywhere
    say             text                            a message to the human
    session         id                              name the session so, instead of ``scripted-<n>``
    usage           [input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost]
    ask             tool [arguments, diff, then, otherwise]    ask for permission; two lists of steps
    spawn           argv [detach, wait]             start a program, which prints ``spawned PID``; `detach`: setsid
    ignore_signals  [numbers]                       by default SIGHUP, SIGINT and SIGTERM
    signal          number                          send it to oneself
    fail            [exit_code, message, reason]    `reason` is one of `FailureReason`, said in the agent's protocol

The agent (`aura_executors._scripted_agent`) is a real process. Paths cannot leave the folder it works in.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from aura_contracts.errors import InvalidInput
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import (
    TEXT_LIMIT,
    AgentRun,
    Answer,
    AnyEntry,
    Availability,
    Capability,
    Conversation,
    Entry,
    ErrorReported,
    Executor,
    Finished,
    Launch,
    Send,
    ToolFinished,
    Unknown,
    failure_of,
)
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors import _scripted_agent
from aura_executors._options import read_options
from aura_executors._scripted_agent import InvalidSteps, Step
from aura_executors.agents._conversation import UNKNOWN_LIMIT
from aura_executors.agents._texts import clipped, clipped_value

LINE_LIMIT = 1_048_576
"""Bytes of a line that is looked at; a longer one is plain output."""

_MARK = b'{"aura":'
_SESSION = re.compile(r"scripted-(?P<finished>[0-9]{1,9})")


class ScriptedOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `scripted` can be set to: exactly one of these."""

    steps: list[Any] | None = None
    """The same steps for every round."""
    rounds: list[Any] | None = None
    """Lists of steps, one for each round."""
    script: str | None = None
    """A TOML or JSON file, on the worker, that has `steps` or `rounds`; a relative path begins in the worktree."""


class ScriptedExecutor(Executor):
    """Runs steps."""

    name = "scripted"
    summary = "an agent that does what a list of steps says, for demonstrations and tests"
    capability = Capability(resume=True, permissions=True, plan=True, protocol=True)

    def launch(self, run: AgentRun) -> Launch:
        if run.fork:
            raise InvalidInput(field="fork", reason=f"{self.name} cannot fork a session", remedy="resume it")
        options = read_options(self.name, run.options, ScriptedOptions)
        given = {name: value for name, value in msgspec.structs.asdict(options).items() if value is not None}
        if len(given) != 1:
            remedy = "give exactly one of the options steps, rounds and script"
            raise InvalidInput(field="options", reason=f"executor {self.name} has no steps", remedy=remedy)
        finished = _finished_in(run.session_id)
        order: dict[str, Any] = {"prompt": run.prompt, "finished": finished}
        asks = True
        if options.script is None:
            steps = _checked(given)
            asks = _scripted_agent.has("ask", steps[min(finished, len(steps) - 1)])
            order["rounds"] = options.rounds or [options.steps]
        else:
            order["script"] = options.script
        return Launch(
            argv=(sys.executable, "-I", "-S", str(Path(_scripted_agent.__file__))),
            stdin=_line(order),
            interactive=asks,
        )

    def converse(self, run: AgentRun) -> Conversation:
        return ScriptedConversation()

    def availability(self, environment: Mapping[str, str]) -> Availability:
        found = shutil.which(sys.executable)
        if found is None:
            return Availability(available=False, reason="the Python that runs AURA has no executable of its own")
        return Availability(available=True, executable=found, version=sys.version.split()[0])


class ScriptedConversation(Conversation):
    """Reads the marked lines, ``{"aura": {...}}``, of standard output. All else is plain output and no entry."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._skipping = False
        self._failure: Failure | None = None
        self._last_error = ""

    def receive(self, source: OutputSource, data: bytes) -> Iterable[Entry | Send]:
        return self._entries(data) if source is OutputSource.STDOUT else ()

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        told = {"request_id": request_id, "granted": answer.granted, "feedback": answer.feedback}
        return [Send(_line({"answer": told}))]

    def end(self, exit: ProcessExit) -> Iterable[Entry]:  # noqa: A002 - the word for it
        return [said for said in self._entries(b"\n") if isinstance(said, Entry)] if self._line else ()

    def judge(self, exit: ProcessExit) -> Failure | None:  # noqa: A002 - the word for it
        failure = failure_of(exit)
        if exit.cause is not ExitCause.OWN:
            return failure
        if self._failure is not None:
            return replace(self._failure, exit_code=exit.exit_code, signal=exit.signal)
        if failure is not None and exit.exit_code is not None and self._last_error:
            return replace(failure, message=self._last_error)
        return failure

    def _entries(self, data: bytes) -> list[Entry | Send]:
        """Take in bytes of standard output; return the entries of the lines that they complete."""
        entries: list[Entry | Send] = []
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if not self._line and not data.startswith(_MARK, start):
                self._skipping = True  # the common case: plain output, which is not copied
            self._keep(data, start, end)
            if not self._skipping and (entry := _understood(bytes(self._line))):
                self._note(entry)
                entries.append(entry)
            self._line.clear()
            self._skipping = False
            start = end + 1
        self._keep(data, start, len(data))
        return entries

    def _keep(self, data: bytes, start: int, end: int) -> None:
        """Keep a piece of the line that is read, unless it can be no marked one any more."""
        if self._skipping or start == end:
            return
        self._line += data[start : min(end, start + LINE_LIMIT + 1)]
        head = bytes(self._line[: len(_MARK)])
        if len(self._line) > LINE_LIMIT or not _MARK.startswith(head):
            self._line.clear()
            self._skipping = True

    def _note(self, entry: Entry) -> None:
        match entry:
            case Finished(failure=failure):
                self._failure = failure
            case ErrorReported(message=message):
                self._last_error = message
            case ToolFinished(success=False, output=output):
                self.blocked = output
            case _:
                pass


class _Marked(msgspec.Struct, frozen=True):
    aura: AnyEntry


_DECODER = msgspec.json.Decoder(_Marked)


def _understood(line: bytes) -> Entry | None:
    """Return the entry in a line without its end; None if it is not marked."""
    if not line.startswith(_MARK):
        return None
    try:
        if b"\\u0000" not in line:  # a NUL, which no log can store
            return _bounded(_DECODER.decode(line).aura, line)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError):
        pass
    return Unknown(text=clipped(line.decode("utf-8", "replace"), UNKNOWN_LIMIT))


def _bounded(entry: AnyEntry, line: bytes) -> Entry:
    """Return an entry whose texts are as long as those of an entry may be."""
    if len(line) <= TEXT_LIMIT:
        return entry
    bounded: Entry = msgspec.convert(clipped_value(msgspec.to_builtins(entry)), AnyEntry)
    return bounded


def _checked(given: dict[str, Any]) -> list[list[Step]]:
    try:
        rounds = _scripted_agent.rounds_of(given)
    except (InvalidSteps, RecursionError) as error:
        raise InvalidInput(field="options", reason=str(error)) from error
    for step in (step for steps in rounds for step in steps):
        _require_known_reasons(step)
    return rounds


def _require_known_reasons(step: Step) -> None:
    name, arguments = step
    reasons = [reason.value for reason in FailureReason]
    if name == "fail" and arguments.get("reason", reasons[0]) not in reasons:
        raise InvalidInput(field="options", reason=f"fail: {arguments['reason']!r} is none of {', '.join(reasons)}")
    for inner in (*arguments.get("then", ()), *arguments.get("otherwise", ())):
        _require_known_reasons(inner)


def _finished_in(session_id: str | None) -> int:
    """Return how many rounds of the session are done; one, if the steps gave the session a name of their own."""
    if session_id is None:
        return 0
    found = _SESSION.fullmatch(session_id)
    return int(found["finished"]) if found else 1


def _line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"
