"""Errors: how they are shown (code, message, remedy, no traceback), and those that only the command line raises."""

import sys
import traceback
from typing import Any

import msgspec

from aura_cli._settings import debugging
from aura_cli.arguments.parser import WrongUsage
from aura_cli.rendering.remedies import as_commands
from aura_cli.rendering.terminal import printable
from aura_contracts.errors import AggregateNotFound, AuraError

_LISTED = ("agent", "approval", "session", "task", "workspace")
"""Aggregates that ``aura NAME list`` lists."""


class ReplayDiffers(AuraError):
    """States folded from the log differ from those on which decisions were made."""

    code = "replay_differs"
    differences: tuple[str, ...]
    remedy: str = "this is a bug in AURA; please report it with the database"

    def message(self) -> str:
        return f"replaying the log gives different states: {'; '.join(self.differences)}"


class DemoFailed(AuraError):
    """The process that the demo meant to kill ended by itself."""

    code = "demo_failed"
    exit_code: int | None
    remedy: str = "run `aura doctor`; without --store the demo depends on no other store"

    def message(self) -> str:
        return f"the `aura run` of the demo ended by itself, with {self.exit_code}"


class ReadModelsDiffer(AuraError):
    """Read models or snapshots differ from the log. The log is right."""

    code = "read_models_differ"
    rows: int
    snapshots: int
    remedy: str = "run `aura db rebuild`"

    def message(self) -> str:
        return f"{self.rows} rows of the read models and {self.snapshots} snapshots differ from the log"


class NotHealthy(AuraError):
    """Something is left over, stuck or broken."""

    code = "not_healthy"
    problems: int
    remedy: str = "run `aura doctor --fix` to fix what can be fixed"

    def message(self) -> str:
        return f"{self.problems} problem{'s' * (self.problems != 1)} found"


def describe(error: BaseException) -> dict[str, Any]:
    """Return an error as data: its stable code, message, remedy and facts."""
    if isinstance(error, WrongUsage):
        message = f"{error}; did you mean `{error.suggestion}`?" if error.suggestion else str(error)
        facts = {"usage": error.usage, "suggestion": error.suggestion}
        return {"code": "usage", "message": message, "remedy": f"see {error.program} --help", "facts": facts}
    if isinstance(error, AuraError):
        remedy = as_commands(error.remedy) or _where_listed(error)
        return {"code": error.code, "message": error.message(), "remedy": remedy, "facts": error.facts()}
    if isinstance(error, OSError):
        remedy = "check the path and its permissions" if error.filename else ""
        return {"code": "system", "message": str(error), "remedy": remedy, "facts": {"errno": error.errno}}
    remedy = "this is a bug in AURA; please report it with the traceback shown by AURA_DEBUG=1"
    return {"code": "internal", "message": f"{type(error).__name__}: {error}", "remedy": remedy, "facts": {}}


def _where_listed(error: AuraError) -> str:
    """Return a hint about the command that lists such aggregates; empty for other errors."""
    if not isinstance(error, AggregateNotFound):
        return ""
    if error.aggregate in _LISTED:
        return f"`aura {error.aggregate} list` lists the {error.aggregate}s"
    return "`aura replay` lists everything in the log"


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
    sys.stderr.write(f"error[{told['code']}]: {printable(told['message'])}\n")
    if isinstance(error, WrongUsage):
        sys.stderr.write(f"  usage: {error.usage}; see `{error.program} --help`\n")
    elif told["remedy"]:
        sys.stderr.write(f"  hint: {printable(told['remedy'])}\n")
