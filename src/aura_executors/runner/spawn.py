"""Starting a process: the request to its supervisor, and the report. Blocks for some milliseconds."""

import json
import os
import re
import stat
from hashlib import sha256
from pathlib import Path

import attrs

from aura_contracts.errors import (
    ExecutableNotFound,
    InvalidInput,
    ProcessError,
    ProcessStartFailed,
    WorkingDirectoryMissing,
)
from aura_contracts.ports import Clock
from aura_contracts.ports.processes import ProcessSpec
from aura_executors.runner.custody import NeverRan, State, claimed, probe, remove_folder
from aura_executors.runner.new_supervisor import Supervisors
from aura_executors.supervisor import run_directory
from aura_executors.supervisor.launch import FAILED, NO_DIRECTORY, NOT_FOUND, encode_request
from aura_executors.supervisor.spool import SEGMENT_SIZE

_TOKEN = re.compile(r"[A-Za-z0-9-]{1,64}")


@attrs.frozen(kw_only=True)
class SupervisionSettings:
    """How processes are supervised here, the same for all."""

    home: Path
    python: str
    run_dir: Path | None
    unacknowledged: int
    drain_time: float
    control_groups: bool
    clock: Clock
    segment_size: int = SEGMENT_SIZE

    @property
    def processes(self) -> Path:
        """The folder that holds one folder per process."""
        return self.home / "processes"

    def folder(self, token: str) -> Path:
        """Return the folder of a process. Raises `InvalidInput` for what is not a token."""
        if not _TOKEN.fullmatch(token):
            raise InvalidInput(
                field="token", reason=f"{token!r} is not a token", remedy="use 1 to 64 letters, digits and hyphens"
            )
        return self.processes / token


def start(settings: SupervisionSettings, supervisors: Supervisors, spec: ProcessSpec) -> State:
    """Start the process unless it was started before, and return its state.

    Raises `ExecutableNotFound`, `WorkingDirectoryMissing`, `ProcessStartFailed`; nothing is left then.
    """
    folder = settings.folder(spec.token)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with claimed(folder, settings.clock) as (state, lock):
            if not isinstance(state, NeverRan):
                return state
            try:
                _spawn(settings, supervisors, spec, folder, lock)
            except BaseException:
                remove_folder(folder)
                raise
    except OSError as error:
        raise ProcessStartFailed(token=spec.token, reason=f"{folder}: {error.strerror}") from error
    return probe(folder, settings.clock)


def _spawn(settings: SupervisionSettings, supervisors: Supervisors, spec: ProcessSpec, folder: Path, lock: int) -> None:
    request = _request(settings, spec, folder)
    try:
        for left in folder.iterdir():  # by a starter, or a supervisor, that was killed
            if left.name != run_directory.LOCK:
                left.unlink()
        run_directory.write_json(str(folder / run_directory.SPEC), _spec_record(spec))
        report, complaint = supervisors.start(lock, request)
    except OSError as error:
        reason = f"its supervisor could not be started: {error.filename or settings.python}: {error.strerror}"
        raise ProcessStartFailed(token=spec.token, reason=reason) from error
    _require_started(spec, report, complaint)


def _require_started(spec: ProcessSpec, report: bytes, complaint: bytes) -> None:
    """Raise the error that the supervisor reported, if it did."""
    try:
        reported = json.loads(report)
    except ValueError:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise ProcessStartFailed(token=spec.token, reason=f"its supervisor failed: {last or 'no report'}") from None
    if "error" not in reported:
        return
    reason = reported["message"]
    errors: dict[str, ProcessError] = {
        NOT_FOUND: ExecutableNotFound(token=spec.token, executable=spec.argv[0], reason=reason),
        NO_DIRECTORY: WorkingDirectoryMissing(token=spec.token, path=spec.cwd, reason=reason),
        FAILED: ProcessStartFailed(token=spec.token, reason=f"{spec.argv[0]}: {reason}"),
    }
    raise errors[reported["error"]]


def _request(settings: SupervisionSettings, spec: ProcessSpec, folder: Path) -> bytes:
    def text(value: str, what: str, forbidden: str = "\0") -> str:
        if any(character in value for character in forbidden):
            reason = f"{what} contains a character that no system accepts there"
            raise ProcessStartFailed(token=spec.token, reason=reason)
        return os.fsencode(value).decode("latin-1")

    if not spec.argv:
        raise ProcessStartFailed(token=spec.token, reason="no command was given")
    content = {
        "folder": text(str(folder), "the folder of processes"),
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
        "drain_time": settings.drain_time,
        "control_group": settings.control_groups,
    }
    return encode_request(content, spec.stdin)


def _spec_record(spec: ProcessSpec) -> dict[str, object]:
    """Return what is recorded of the specification: nothing that may be secret."""
    return {
        "format": run_directory.FORMAT,
        "token": spec.token,
        "executable": spec.argv[0],
        "cwd": spec.cwd,
        "first_record": spec.first_record,
    }


def _socket(settings: SupervisionSettings, token: str) -> str:
    """Return the path of the socket, from the folder of the process: a name in it, or an absolute path."""
    if settings.run_dir is None:
        return run_directory.CONTROL
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
