"""Errors of the command line itself, and how every error is shown: code, message, remedy; no traceback."""

import sys
import traceback
from typing import Any

import attrs
import msgspec

from aura_cli._arguments import WrongUsage
from aura_cli._settings import debugging
from aura_cli._terminal import printable
from aura_contracts.errors import AuraError


@attrs.define(kw_only=True, eq=False)
class NoSuchId(AuraError):
    """An id, or the beginning of one, that belongs to nothing in the log."""

    code = "not_found"
    kind: str
    id: str
    remedy: str = "aura replay lists what there is"

    def message(self) -> str:
        return f"there is no {self.kind} {self.id}"


@attrs.define(kw_only=True, eq=False)
class AmbiguousId(AuraError):
    """The beginning of an id that several things have."""

    code = "ambiguous_id"
    prefix: str
    candidates: tuple[str, ...]
    remedy: str = "give more of the id"

    def message(self) -> str:
        return f"{self.prefix!r} is the beginning of {len(self.candidates)} ids: {', '.join(self.candidates)}"


@attrs.define(kw_only=True, eq=False)
class ReplayDiffers(AuraError):
    """States folded from the log are not those that decisions were made on."""

    code = "replay_differs"
    differences: tuple[str, ...]
    remedy: str = "this is a defect of AURA: please report it, with the database"

    def message(self) -> str:
        return f"replaying the log gives other states: {'; '.join(self.differences)}"


@attrs.define(kw_only=True, eq=False)
class ReadModelsDiffer(AuraError):
    """Read models or snapshots do not say what the log says. The log is right."""

    code = "read_models_differ"
    rows: int
    snapshots: int
    remedy: str = "aura db rebuild makes them anew"

    def message(self) -> str:
        return f"{self.rows} rows of the read models and {self.snapshots} snapshots do not say what the log says"


@attrs.define(kw_only=True, eq=False)
class RunFailed(AuraError):
    """A run did not end well; `reason` is one of `FailureReason`, or the status of the task."""

    code = "run_failed"
    task_id: str
    reason: str
    problem: str

    def message(self) -> str:
        return self.problem


@attrs.define(kw_only=True, eq=False)
class NoSession(AuraError):
    """There is no session of an agent to go on with."""

    code = "no_session"
    executor: str
    place: str
    remedy: str = "leave --resume-latest out; aura session list lists what there is"

    def message(self) -> str:
        return f"no run of {self.executor} in {self.place} has a session"


@attrs.define(kw_only=True, eq=False)
class NotHealthy(AuraError):
    """Something is left behind, or broken, that a human should know of."""

    code = "not_healthy"
    problems: int
    remedy: str = "aura doctor --fix puts right what can be"

    def message(self) -> str:
        return f"{self.problems} thing{'s' * (self.problems != 1)} not in order"


def describe(error: BaseException) -> dict[str, Any]:
    """Return an error as data: its stable code, what happened, what to do, its facts."""
    if isinstance(error, WrongUsage):
        remedy = f"see {error.program} --help"
        return {"code": "usage", "message": str(error), "remedy": remedy, "facts": {"usage": error.usage}}
    if isinstance(error, AuraError):
        return {"code": error.code, "message": error.message(), "remedy": error.remedy, "facts": error.facts()}
    if isinstance(error, OSError):
        remedy = "check the path and its permissions" if error.filename else ""
        return {"code": "system", "message": str(error), "remedy": remedy, "facts": {"errno": error.errno}}
    remedy = "this is a defect of AURA: please report it; AURA_DEBUG=1 shows where it happened"
    return {"code": "internal", "message": f"{type(error).__name__}: {error}", "remedy": remedy, "facts": {}}


def report(error: BaseException, *, json: bool) -> None:
    """Write an error to stderr, as an object or for people."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if sys.stderr is None:
        return
    if debugging():
        traceback.print_exception(error)
    told = describe(error)
    if json:
        sys.stderr.write(f"{msgspec.json.encode(told, enc_hook=str).decode()}\n")
        return
    if usage := told["facts"].get("usage"):
        sys.stderr.write(f"{usage}\n")
    sys.stderr.write(f"error[{told['code']}]: {printable(told['message'])}\n")
    if told["remedy"]:
        sys.stderr.write(f"  to do: {printable(told['remedy'])}\n")
