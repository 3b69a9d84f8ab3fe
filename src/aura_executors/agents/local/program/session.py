"""Conversations as files, one each, so that later runs can resume them.

They are in the folder of the option `sessions`, else in ``$AURA_STATE/local-sessions``, else in
``aura/local-sessions`` under ``$XDG_STATE_HOME``, which is ``~/.local/state`` if it is not set (XDG Base Directory
Specification). A file is replaced as a whole and synchronised, so a crash leaves the old one or the new one.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aura_executors.agents.local.program.history import Message, mended

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_ROLES = frozenset({"user", "assistant", "tool"})


class SessionUnknown(Exception):
    """The session does not exist here or cannot be read; the text says why."""


def sessions_folder(option: str | None, environment: Mapping[str, str]) -> Path:
    """Return where sessions are kept."""
    if option:
        return Path(option)
    if state := environment.get("AURA_STATE"):
        return Path(state) / "local-sessions"
    state = environment.get("XDG_STATE_HOME", "")
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"  # noqa: PTH117 - may be empty
    return base / "aura" / "local-sessions"


class Session:
    """A conversation that is kept. `running` is the id of the call that is being carried out."""

    def __init__(self, folder: Path, name: str, messages: list[Message]) -> None:
        if not _NAME.fullmatch(name):
            raise SessionUnknown(f"{name!r} is not the id of a session of this agent")
        self.id = name
        self.messages = messages
        self.running: str | None = None
        self._folder = folder

    def save(self) -> None:
        """Write it down. Raises `OSError`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = {"version": 1, "session_id": self.id, "running": self.running, "messages": self.messages}
        place = self._folder / f"{self.id}.json"
        draft = self._folder / f".{self.id}.{os.getpid()}"
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(json.dumps(data).encode())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(place)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def load(folder: Path, name: str, new_name: str | None = None) -> Session:
    """Return a saved session, with interrupted calls completed; with `new_name`, a copy of it.

    Raises `SessionUnknown`.
    """
    Session(folder, name, [])  # its name leads to no other folder
    try:
        saved = json.loads((folder / f"{name}.json").read_bytes())
        messages, running = saved["messages"], saved["running"]
        _require_messages(messages)
        return Session(folder, new_name or name, mended(messages, running))
    except FileNotFoundError as error:
        raise SessionUnknown(f"session {name} does not exist in {folder}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise SessionUnknown(f"session {name} in {folder} cannot be read: {error}") from error


def _require_messages(messages: Any) -> None:
    for message in messages:
        calls = message.get("tool_calls", ())
        if message["role"] not in _ROLES or not all(isinstance(call["id"], str) for call in calls):
            raise TypeError("a message in it makes no sense")
