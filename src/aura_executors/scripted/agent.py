"""The agent of the executor `scripted`: a program that carries out a list of steps.

It runs isolated (`aura_executors.isolated`), imports the standard library alone, and speaks JSON lines:

    first line of its standard input    {"prompt": ..., "finished": <rounds done>, "rounds" or "script": ...}
    to its standard output              {"aura": {"type": "message", "text": "..."}}     an entry of the port
    further lines of standard input     {"answer": {"request_id": ..., "granted": ..., "feedback": ...}}

Everything else that it writes is plain output. It works in its current directory, and on no file outside of it.
Exit codes: 0 all steps done, 1 a step failed, 2 the steps are invalid, or what `fail` says.

`aura_executors.scripted` describes the steps.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from aura_executors.scripted.steps import InvalidSteps, Step, rounds_of, script_at

SESSION = "scripted-{}"
"""Of the number of rounds that are done in the session."""

POLL_INTERVAL = 0.005
"""Seconds between two checks of what a step waits for."""

PIECE = 65_536
"""Bytes that are written at once, about."""


class ScriptStepFailed(Exception):
    """A step that could not be carried out, or that fails on purpose."""

    def __init__(self, message: str, exit_code: int = 1, reason: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.reason = reason


class ScriptedAgent:
    """Carries out one round."""

    def __init__(self, prompt: str, finished: int, number: int, answers: BinaryIO) -> None:
        self._prompt = prompt
        self._finished = finished
        self._number = number
        self._answers = answers
        self._asked = 0
        self._children: list[subprocess.Popen[bytes]] = []
        self._root = Path.cwd().resolve()
        self._streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}

    def run(self, steps: list[Step]) -> int:
        """Carry out `steps`, and return the exit code.

        The session is named by the rounds that are done: one that was cut off is done again when it is resumed, one
        that came to its end, well or not, is followed by the next.
        """
        named = any(name == "session" for name, _ in steps)
        if not named:
            self.send("session_started", session_id=SESSION.format(self._finished))
        code = 0
        try:
            self._carry_out(steps)
        except ScriptStepFailed as failed:
            self._fail(failed)
            code = failed.exit_code
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            self._fail(ScriptStepFailed(str(error)))
            code = 1
        if not named:
            self.send("session_started", session_id=SESSION.format(self._finished + 1))
        return code

    def send(self, kind: str, **fields: object) -> None:
        """Write an entry."""
        self._put("stdout", json.dumps({"aura": {"type": kind, **fields}}).encode() + b"\n")

    def _carry_out(self, steps: list[Step]) -> None:
        for name, arguments in steps:
            getattr(self, f"_do_{name}")(**arguments)

    def _fail(self, failed: ScriptStepFailed) -> None:
        message = str(failed)
        if failed.reason:
            self.send("finished", failure={"reason": failed.reason, "message": message})
        elif message:
            self.send("error", message=message)
        if message:
            self._put("stderr", _bytes(message) + b"\n")

    def _put(self, stream: str, data: bytes) -> None:
        self._streams[stream].write(data)
        self._streams[stream].flush()

    def _inside(self, path: str, *, entry: bool = False) -> Path:
        """Return where `path` is, or fail if that is outside. With `entry`, a link is meant and not where it leads."""
        given = self._root / path
        place = given.parent.resolve() / given.name if entry and given.name != ".." else given.resolve()
        if self._root not in place.parents:
            raise ScriptStepFailed(f"{path}: is not inside of the folder that the agent works in")
        return place

    # --- Files

    def _do_write(self, path: str, text: str) -> None:
        place = self._inside(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(_bytes(text))

    def _do_append(self, path: str, text: str) -> None:
        with self._inside(path).open("ab") as file:
            file.write(_bytes(text))

    def _do_edit(self, path: str, old: str, new: str) -> None:
        place = self._inside(path)
        content = place.read_bytes()
        if (found := content.count(_bytes(old)) if old else 0) != 1:
            raise ScriptStepFailed(f"{path}: {old!r} is in there {found} times, not once")
        place.write_bytes(content.replace(_bytes(old), _bytes(new)))

    def _do_delete(self, path: str) -> None:
        place = self._inside(path, entry=True)
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()

    def _do_rename(self, path: str, to: str) -> None:
        source, target = self._inside(path, entry=True), self._inside(to, entry=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)

    # --- Output

    def _do_print(self, text: str, stream: str = "stdout", repeat: int = 1, *, newline: bool = True) -> None:
        line = _bytes(text) + (b"\n" if newline else b"")
        at_once = max(1, PIECE // max(1, len(line)))
        piece = line * min(at_once, repeat)
        for _ in range(repeat // at_once):
            self._put(stream, piece)
        self._put(stream, line * (repeat % at_once))

    def _do_print_prompt(self) -> None:
        self._do_print(self._prompt)

    def _do_expect_prompt(self, contains: str) -> None:
        if contains not in self._prompt:
            raise ScriptStepFailed(f"the prompt lacks {contains!r}: {self._prompt!r}")

    def _do_close(self, stream: str) -> None:
        """Close a stream, as daemons do, and continue."""
        number = 1 if stream == "stdout" else 2
        self._streams[stream].flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)

    # --- Talking

    def _do_say(self, text: str) -> None:
        self.send("message", text=text)

    def _do_session(self, id: str) -> None:
        self.send("session_started", session_id=id)

    def _do_usage(self, **usage: float) -> None:
        self.send("usage", usage=usage)

    def _do_ask(
        self,
        tool: str,
        arguments: dict[str, Any] | None = None,
        diff: str | None = None,
        then: Iterable[Step] = (),
        otherwise: Iterable[Step] | None = None,
    ) -> None:
        arguments = arguments or {}
        self._asked += 1
        request_id = f"round-{self._number}-ask-{self._asked}"
        call = json.dumps([tool, arguments], sort_keys=True)
        fingerprint = hashlib.sha256(call.encode()).hexdigest()
        self.send(
            "permission_request",
            request_id=request_id,
            tool=tool,
            fingerprint=fingerprint,
            arguments=arguments,
            diff=diff,
            call_id=request_id,
        )
        answer = self._answer_to(request_id)
        if answer.get("granted") is True:
            self.send("tool_call", call_id=request_id, tool=tool, arguments=arguments)
            self._carry_out(list(then))
            self.send("tool_result", call_id=request_id)
            return
        feedback = answer.get("feedback")
        denied = f"permission for {tool} was denied" + (f": {feedback}" if feedback else "")
        self.send("tool_result", call_id=request_id, success=False, output=denied)
        if otherwise is not None:
            self._carry_out(list(otherwise))
        else:
            self._do_print(denied)

    def _answer_to(self, request_id: str) -> dict[str, Any]:
        """Wait for the answer; the end of standard input is a no, because no answer can come any more."""
        while line := self._answers.readline():
            try:
                answer = json.loads(line)["answer"]
                if answer["request_id"] == request_id:
                    return dict(answer)
            except (ValueError, LookupError, TypeError, RecursionError):
                self._put("stderr", b"scripted: not an answer: " + line[:200].rstrip(b"\n") + b"\n")
        return {"granted": False, "feedback": "no answer can come any more"}

    # --- Time and processes

    def _do_sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))

    def _do_wait_for(self, path: str) -> None:
        """Wait until there is something at `path`, which may be anywhere: it is neither read nor written."""
        while not (self._root / path).exists():
            time.sleep(POLL_INTERVAL)

    def _do_spawn(self, argv: list[str], *, detach: bool = False, wait: bool = False) -> None:
        nothing = subprocess.DEVNULL
        output = nothing if detach else None
        child = subprocess.Popen(argv, stdin=nothing, stdout=output, stderr=output, start_new_session=detach)  # noqa: S603
        self._do_print(f"spawned {child.pid}")
        if wait and child.wait() != 0:
            raise ScriptStepFailed(f"{argv[0]}: ended with {child.returncode}")
        self._children.append(child)  # kept, because collecting it would warn of a child that runs on

    def _do_ignore_signals(self, numbers: Iterable[int] = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)) -> None:
        for number in numbers:
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError) as error:
                raise ScriptStepFailed(f"signal {number}: {error}") from error

    def _do_signal(self, number: int) -> None:
        os.kill(os.getpid(), number)

    def _do_fail(self, exit_code: int = 1, message: str = "", reason: str = "") -> NoReturn:
        raise ScriptStepFailed(message, exit_code, reason)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


# --- Program ----------------------------------------------------------------------------------------------------------


def main() -> int:
    """Read the first line of standard input and do what it says."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # die by it as programs do, instead of printing a traceback
    try:
        order = json.loads(sys.stdin.buffer.readline())
        rounds = rounds_of(script_at(order["script"]) if "script" in order else {"rounds": order["rounds"]})
        prompt, finished = str(order["prompt"]), int(order["finished"])
    except (InvalidSteps, ValueError, LookupError, TypeError, RecursionError) as error:
        sys.stderr.buffer.write(b"scripted: " + _bytes(str(error)) + b"\n")
        return 2
    number = min(finished, len(rounds) - 1)
    try:
        return ScriptedAgent(prompt, finished, number + 1, sys.stdin.buffer).run(rounds[number])
    except BrokenPipeError:  # standard output is closed: the rest of the buffers cannot be written at exit either
        os._exit(1)
