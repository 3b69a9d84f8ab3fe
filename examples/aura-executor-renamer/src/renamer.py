"""Renamer: a tiny agent. It renames words in the files of the folder it works in, and asks before it edits.

    renamer [--ask] [--only PATTERN] [--new-session ID | --session ID]

It does not depend on AURA. Its protocol is one JSON object per line:

    <-  {"prompt": "Rename fetch to load"}
     -> {"type": "session", "id": "s-1", "model": "renamer-1"}
     -> {"type": "call", "id": "1", "tool": "rename", "arguments": {"path": "a.py", "old": "fetch", "new": "load"}}
     -> {"type": "permission", "id": "p1", "call": "1", "tool": "rename", "arguments": {...}, "diff": "..."}
    <-  {"permission": "p1", "allow": true, "reason": ""}
     -> {"type": "changed", "path": "a.py", "call": "1"}
     -> {"type": "result", "call": "1", "ok": true, "output": "2 places"}
     -> {"type": "text", "text": "Renamed fetch to load in 1 file."}
     -> {"type": "usage", "read": 120, "written": 2}
     -> {"type": "done", "ok": true}

It performs every ``rename A to B`` of the prompt, in order; ``undo`` reverts the last one of the session. Sessions are
files in ``$RENAMER_HOME``. Like many agents it always exits with 0; ``done`` reports the result.
"""

import argparse
import difflib
import json
import os
import re
import sys
import uuid
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

VERSION = "1.0"

_ORDER = re.compile(
    r"\brename\s+[`'\"]?(?P<old>\w+)[`'\"]?\s+to\s+[`'\"]?(?P<new>\w+)|\b(?P<undo>undo)\b", re.IGNORECASE
)

_SIZE_LIMIT = 1_048_576
"""Bytes of a file that it looks into."""


class GaveUp(Exception):
    """It cannot continue; `code` is one of no_session, refused, stopped."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def main() -> int:
    """Do what the prompt on standard input says."""
    arguments = _parser().parse_args()
    denied: list[str] = []
    try:
        work = Work(arguments, denied)
        work.do(_read().get("prompt", ""))
    except GaveUp as error:
        say("done", ok=False, code=error.code, message=str(error), denied=denied)
    except KeyboardInterrupt:
        say("done", ok=False, code="stopped", message="it was interrupted", denied=denied)
    else:
        say("done", ok=True, denied=denied)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="renamer", description="Rename words in the files of this folder.")
    parser.add_argument("--version", action="version", version=f"renamer {VERSION}")
    parser.add_argument("--ask", action="store_true", help="ask before a file is changed")
    parser.add_argument("--only", metavar="PATTERN", default="*", help="only files whose path matches this")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--session", metavar="ID", help="resume this session")
    which.add_argument("--new-session", metavar="ID", help="start a session with this id")
    return parser


class Work:
    """One run in one session."""

    def __init__(self, arguments: argparse.Namespace, denied: list[str]) -> None:
        self._ask, self._only, self._denied = arguments.ask, arguments.only, denied
        self._calls = self._read = self._written = 0
        identity = arguments.session or arguments.new_session or str(uuid.uuid4())
        self._file = _home() / f"{re.sub(r'[^A-Za-z0-9-]', '_', identity)}.json"
        if arguments.session and not self._file.is_file():
            raise GaveUp("no_session", f"there is no session {identity}")
        self._done: list[list[str]] = json.loads(self._file.read_text()) if arguments.session else []
        self._keep()
        say("session", id=identity, model=f"renamer-{VERSION}")

    def do(self, prompt: str) -> None:
        """Do what the prompt orders."""
        orders = list(_ORDER.finditer(prompt))
        if not orders:
            raise GaveUp("refused", "I only rename words: say `rename A to B`, or `undo`")
        for order in orders:
            if not order["undo"]:
                self._rename(order["old"], order["new"])
                self._done.append([order["old"], order["new"]])
            elif self._done:
                old, new = self._done.pop()
                self._rename(new, old)
            else:
                raise GaveUp("refused", "there is nothing to undo in this session")
            self._keep()
        say("usage", read=self._read, written=self._written)

    def _keep(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._done))

    def _rename(self, old: str, new: str) -> None:
        word, files = re.compile(rf"\b{re.escape(old)}\b"), 0
        for path, text in _texts(self._only):
            self._read += len(text.split())
            after, places = word.subn(new, text)
            if places and self._edit(path, text, after, {"path": path, "old": old, "new": new}, places):
                files += 1
                self._written += places
        say("text", text=f"Renamed {old} to {new} in {files} file{'s' * (files != 1)}.")

    def _edit(self, path: str, before: str, after: str, arguments: dict[str, str], places: int) -> bool:
        """Write a file, if it may; say so."""
        self._calls += 1
        call = str(self._calls)
        say("call", id=call, tool="rename", arguments=arguments)
        if self._ask:
            lines = difflib.unified_diff(before.split("\n"), after.split("\n"), f"a/{path}", f"b/{path}", lineterm="")
            say("permission", id=f"p{call}", call=call, tool="rename", arguments=arguments, diff="\n".join(lines))
            answer = _read()
            if answer.get("stop"):
                raise GaveUp("stopped", "it was asked to stop")
            if answer.get("permission") != f"p{call}" or answer.get("allow") is not True:
                self._denied.append(path)
                say("result", call=call, ok=False, output=f"denied: {answer.get('reason', '')}")
                return False
        Path(path).write_text(after, "utf-8", newline="")
        say("changed", path=path, call=call)
        say("result", call=call, ok=True, output=f"{places} place{'s' * (places != 1)}")
        return True


def _home() -> Path:
    return Path(os.environ.get("RENAMER_HOME") or Path.home() / ".local/state/renamer")


def _texts(only: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of every file here that is text, in a fixed order."""
    for folder, folders, files in os.walk("."):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_symlink() or not fnmatch(path.as_posix(), only) or path.stat().st_size > _SIZE_LIMIT:
                continue
            try:
                yield path.as_posix(), path.read_bytes().decode("utf-8")
            except UnicodeDecodeError:
                continue


def _read() -> dict[str, Any]:
    """Return the next line of standard input; an invalid line or the end of input is an empty answer."""
    try:
        line = json.loads(sys.stdin.readline() or "{}")
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def say(kind: str, **what: Any) -> None:
    """Write one line of the protocol."""
    print(json.dumps({"type": kind, **what}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
