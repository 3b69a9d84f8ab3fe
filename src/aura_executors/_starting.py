"""The worker's side of a folder, without waiting: who is responsible for a process, and starting its supervisor.

Everything here blocks for some milliseconds and is called in threads.
"""

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs

from aura_contracts.errors import (
    ExecutableNotFound,
    InvalidInput,
    ProcessError,
    ProcessStartFailed,
    WorkingDirectoryMissing,
)
from aura_contracts.ports import Clock
from aura_contracts.ports.processes import ExitCause, ProcessSpec
from aura_executors import _folder
from aura_executors._cgroup import group_at
from aura_executors._launch import FAILED, NO_DIRECTORY, NOT_FOUND, encode_order
from aura_executors._reaping import LINUX, kill_carriers
from aura_executors._spool import SEGMENT_SIZE, SpoolReader

SUPERVISOR = Path(__file__).with_name("supervisor.py")

_TOKEN = re.compile(r"[A-Za-z0-9-]{1,64}")
_TRASH = ".trash-"
_PATH_LIMIT = 100
"""Bytes of a path that every system takes for a socket (Linux: 107, macOS: 103)."""


@attrs.frozen(kw_only=True)
class Settings:
    """How processes are supervised here, the same for all."""

    home: Path
    python: str
    run_dir: Path | None
    environment: dict[str, str]
    unacknowledged: int
    linger: float
    control_groups: bool
    clock: Clock
    segment_size: int = SEGMENT_SIZE

    @property
    def processes(self) -> Path:
        """The folder of the folders."""
        return self.home / "processes"

    def folder(self, token: str) -> Path:
        """Return the folder of a process. Raises `InvalidInput` for what is no token."""
        if not _TOKEN.fullmatch(token):
            raise InvalidInput(
                field="token", reason=f"{token!r} is no token", remedy="use 1 to 64 letters, digits and hyphens"
            )
        return self.processes / token


# --- Who is responsible -----------------------------------------------------------------------------------------------


@attrs.frozen
class Absent:
    """There is no such process."""


@attrs.frozen
class Busy:
    """Somebody is starting it, or it is just ending: look again."""


@attrs.frozen
class NeverRan:
    """Its starter died before it could run. The lock is held."""

    lock: int


@attrs.frozen
class Ended:
    """It has ended. The lock is held."""

    lock: int
    running: dict[str, Any]
    exit: dict[str, Any]


@attrs.frozen
class Alive:
    """It runs; its supervisor is connected."""

    running: dict[str, Any]
    stream: socket.socket


State = Absent | Busy | NeverRan | Ended | Alive


def look(folder: Path, clock: Clock) -> State:
    """Return the state of the process. If its supervisor was killed, what it had started is ended first."""
    try:
        lock = _folder.try_lock(str(folder))
    except (FileNotFoundError, NotADirectoryError):
        return Absent()
    running = _folder.read_json(str(folder / _folder.RUNNING))
    if lock is None:
        stream = _connect(folder, running) if running else None
        return Alive(running or {}, stream) if stream else Busy()
    try:
        if running is None:
            return NeverRan(lock)
        exit_record = _folder.read_json(str(folder / _folder.EXIT)) or _bury(folder, running, clock)
    except BaseException:
        os.close(lock)
        raise
    return Ended(lock, running, exit_record)


def bury(running: dict[str, Any], records: int, clock: Clock) -> dict[str, Any]:
    """End what a killed supervisor has left behind, and return the exit record."""
    session, started = running["agent"]
    group = group_at(running.get("control_group", ""), running["token"])
    members = group.members() if group else []
    if group:
        group.kill()
    survivors = kill_carriers(running["token"], session=session, session_started=started)
    if group:
        group.remove()
    return {
        "token": running["token"],
        "cause": ExitCause.VANISHED.value,
        "message": "its supervisor was killed",
        "started_at": running["started_at"],
        "ended_at": int(clock().timestamp() * 1_000_000) * 1000,
        "records": records,
        "survivors": len({*survivors, *members} - {session}),
    }


def _bury(folder: Path, running: dict[str, Any], clock: Clock) -> dict[str, Any]:
    reader = SpoolReader(str(folder), running["first_record"])
    while reader.read():
        pass
    exit_record = bury(running, reader.next - running["first_record"], clock)
    with suppress(OSError):  # a full disk: the next one finds out the same
        _folder.write_exit(str(folder), exit_record)
    return exit_record


def _connect(folder: Path, running: dict[str, Any]) -> socket.socket | None:
    """Return a connection to the supervisor, or None if it does not answer."""
    path = folder / running["socket"]
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _connect_by_short_path(stream, path)
    except OSError:
        stream.close()
        return None
    stream.setblocking(False)  # noqa: FBT003 - its signature
    return stream


def _connect_by_short_path(stream: socket.socket, path: Path) -> None:
    """Connect also where the path is longer than a socket's may be."""
    if len(os.fsencode(path)) <= _PATH_LIMIT:
        stream.connect(str(path))
    elif LINUX:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            stream.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    else:
        with tempfile.TemporaryDirectory(dir="/tmp") as short:
            link = Path(short) / "s"
            link.symlink_to(path.parent)
            stream.connect(str(link / path.name))


# --- Starting ---------------------------------------------------------------------------------------------------------


def start(settings: Settings, spec: ProcessSpec) -> State:
    """Start the process unless it was started before, and return its state.

    Raises `ExecutableNotFound`, `WorkingDirectoryMissing`, `ProcessStartFailed`; nothing is left then.
    """
    folder = settings.folder(spec.token)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = look(folder, settings.clock)
    except OSError as error:
        raise ProcessStartFailed(token=spec.token, reason=f"{folder}: {error.strerror}") from error
    if not isinstance(state, NeverRan):
        return state
    try:
        _start(settings, spec, folder, state.lock)
    except BaseException:
        _remove(folder)
        raise
    finally:
        os.close(state.lock)
    return look(folder, settings.clock)


def _start(settings: Settings, spec: ProcessSpec, folder: Path, lock: int) -> None:
    order = _order(settings, spec)
    try:
        for left in folder.iterdir():  # of a starter, or a supervisor, that was killed
            if left.name != _folder.LOCK:
                left.unlink()
        _folder.write_json(str(folder / _folder.SPEC), _spec_record(spec))
        with subprocess.Popen(  # noqa: S603 - the interpreter and the program that were given
            (settings.python, "-I", "-S", "-X", "utf8", str(SUPERVISOR), str(folder), str(lock)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=settings.environment,
            pass_fds=(lock,),
            start_new_session=True,
        ) as supervisor:
            report, complaint = supervisor.communicate(order)
    except OSError as error:
        reason = f"its supervisor could not be started: {error.filename or settings.python}: {error.strerror}"
        raise ProcessStartFailed(token=spec.token, reason=reason) from error
    _judge(spec, report, complaint)


def _judge(spec: ProcessSpec, report: bytes, complaint: bytes) -> None:
    """Raise what the supervisor reported."""
    try:
        told = json.loads(report)
    except ValueError:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise ProcessStartFailed(token=spec.token, reason=f"its supervisor failed: {last or 'no report'}") from None
    if "error" not in told:
        return
    errors: dict[str, ProcessError] = {
        NOT_FOUND: ExecutableNotFound(token=spec.token, executable=spec.argv[0], reason=told["message"]),
        NO_DIRECTORY: WorkingDirectoryMissing(token=spec.token, path=spec.cwd, reason=told["message"]),
        FAILED: ProcessStartFailed(token=spec.token, reason=f"{spec.argv[0]}: {told['message']}"),
    }
    raise errors[told["error"]]


def _order(settings: Settings, spec: ProcessSpec) -> bytes:
    def text(value: str, what: str, forbidden: str = "\0") -> str:
        if any(character in value for character in forbidden):
            raise ProcessStartFailed(token=spec.token, reason=f"{what} holds a character that it may not hold")
        return os.fsencode(value).decode("latin-1")

    if not spec.argv:
        raise ProcessStartFailed(token=spec.token, reason="there is no command")
    content = {
        "token": spec.token,
        "argv": [text(argument, "an argument") for argument in spec.argv],
        "cwd": text(str(Path(spec.cwd).absolute()), "the working directory"),
        "env": {
            text(name, "the name of a variable", "\0="): text(value, f"the variable {name}")
            for name, value in spec.env.items()
        },
        "interactive": spec.interactive,
        "first_record": spec.first_record,
        "timeout": spec.timeout,
        "idle_timeout": spec.idle_timeout,
        "grace": spec.grace,
        "output_limit": spec.output_limit,
        "after_interrupt": spec.interrupt.after_interrupt,
        "after_terminate": spec.interrupt.after_terminate,
        "socket": _socket(settings, spec.token),
        "unacknowledged": settings.unacknowledged,
        "segment_size": settings.segment_size,
        "linger": settings.linger,
        "control_group": settings.control_groups,
    }
    return encode_order(content, spec.stdin)


def _spec_record(spec: ProcessSpec) -> dict[str, object]:
    """Return what is kept of the specification: nothing that may be secret."""
    return {
        "format": _folder.FORMAT,
        "token": spec.token,
        "executable": spec.argv[0],
        "cwd": spec.cwd,
        "first_record": spec.first_record,
    }


def _socket(settings: Settings, token: str) -> str:
    """Return the path of the socket, from the folder of the process: a name in it, or an absolute path."""
    if settings.run_dir is None:
        return _folder.CONTROL
    run_dir = settings.run_dir.absolute()
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = run_dir.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ProcessStartFailed(
            token=token,
            reason=f"{run_dir} is not a private folder of this user",
            remedy="remove it, or give it to this user with mode 0700",
        )
    return str(run_dir / sha256(f"{settings.home.absolute()}\0{token}".encode()).hexdigest()[:24])


# --- Keeping house ----------------------------------------------------------------------------------------------------


def tokens(settings: Settings) -> list[str]:
    """Return the tokens of all processes that were started, or are about to be."""
    found = []
    for folder in sorted(settings.processes.iterdir()):
        if not folder.name.startswith("."):
            started = (folder / _folder.RUNNING).exists() or (folder / _folder.EXIT).exists()
            if started or _is_locked(folder):
                found.append(folder.name)
    return found


def clean(settings: Settings) -> None:
    """Make the folder of the folders; remove what was to be removed, and what was never started."""
    settings.processes.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in settings.processes.iterdir():
        if folder.name.startswith(_TRASH):
            shutil.rmtree(folder, ignore_errors=True)
        elif not (folder / _folder.RUNNING).exists():
            state = look(folder, settings.clock)
            if isinstance(state, NeverRan):
                _remove(folder)
            release(state)


def remove(folder: Path, state: Ended | NeverRan) -> None:
    """Delete the folder of a process that has ended."""
    running = _folder.read_json(str(folder / _folder.RUNNING)) or {}
    with suppress(OSError):
        (folder / str(running.get("socket", _folder.CONTROL))).unlink()
    _remove(folder)
    os.close(state.lock)


def release(state: State) -> None:
    """Let go what `look` has taken."""
    match state:
        case Ended(lock=lock) | NeverRan(lock=lock):
            os.close(lock)
        case Alive(stream=stream):
            stream.close()
        case _:
            pass


def _remove(folder: Path) -> None:
    """Delete a folder whose lock is held, at once for everybody who looks."""
    trash = folder.with_name(f"{_TRASH}{folder.name}-{os.getpid()}-{time.monotonic_ns()}")
    with suppress(FileNotFoundError):
        folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


def _is_locked(folder: Path) -> bool:
    try:
        lock = _folder.try_lock(str(folder))
    except OSError:
        return False
    if lock is None:
        return True
    os.close(lock)
    return False
