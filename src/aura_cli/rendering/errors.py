"""Errors: how they are shown (code, message, remedy, no traceback), and those that only the command line raises."""

import re
import sys
import traceback
from typing import Any

import msgspec

from aura_cli._settings import debugging
from aura_cli.arguments.parser import WrongUsage
from aura_contracts.errors import AuraError
from aura_contracts.quoting import bounded, escaped_json, one_line, printable


class ReplayDiffers(AuraError, code="replay_differs"):
    """States folded from the log differ from those on which decisions were made."""

    differences: tuple[str, ...]
    remedy: str = "this is a bug in AURA; please report it with the database"

    def message(self) -> str:
        return f"replaying the log gives different states: {'; '.join(self.differences)}"


class DemoFailed(AuraError, code="demo_failed"):
    """The process that the demo meant to kill ended by itself."""

    summary = "the `aura run` of the demo ended by itself, with {exit_code}"
    exit_code: int | None
    remedy: str = "run `aura doctor`; without --store the demo depends on no other store"


class ReadModelsDiffer(AuraError, code="read_models_differ"):
    """Read models or snapshots differ from the log. The log is right."""

    summary = "{rows} rows of the read models and {snapshots} snapshots differ from the log"
    rows: int
    snapshots: int
    remedy: str = "run `aura db rebuild`"


class NotHealthy(AuraError, code="not_healthy"):
    """Something is left over, stuck or broken."""

    problems: int
    remedy: str = "run `aura doctor --fix` to fix what can be fixed"

    def message(self) -> str:
        return f"{self.problems} problem{'s' * (self.problems != 1)} found"


def describe(error: BaseException) -> dict[str, Any]:
    """Return an error as data: its stable code, message, remedy and facts. The message is bounded."""
    told = _described(error)
    return {**told, "message": bounded(told["message"])}


def _described(error: BaseException) -> dict[str, Any]:
    if isinstance(error, WrongUsage):
        message = f"{error}; did you mean `{error.suggestion}`?" if error.suggestion else str(error)
        facts = {"usage": error.usage, "suggestion": error.suggestion}
        return {"code": "usage", "message": message, "remedy": f"see {error.program} --help", "facts": facts}
    if isinstance(error, AuraError):
        remedy = as_commands(error.remedy)
        return {"code": error.code, "message": error.message(), "remedy": remedy, "facts": error.facts()}
    if isinstance(error, OSError):
        remedy = "check the path and its permissions" if error.filename else ""
        return {"code": "system", "message": str(error), "remedy": remedy, "facts": {"errno": error.errno}}
    remedy = "this is a bug in AURA; please report it with the traceback shown by AURA_DEBUG=1"
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
        sys.stderr.write(f"{escaped_json(msgspec.json.encode(told, enc_hook=str).decode())}\n")
        return
    sys.stderr.write(f"error[{told['code']}]: {_indented(told['message'])}\n")
    if isinstance(error, WrongUsage):
        sys.stderr.write(f"  usage: {error.usage}; see `{error.program} --help`\n")
    elif told["remedy"]:
        sys.stderr.write(f"  hint: {one_line(told['remedy'])}\n")


def _indented(message: str) -> str:
    """Return a message in which further lines, as of a program's output, cannot pass for lines of AURA's own."""
    return printable(message.rstrip("\n")).replace("\n", "\n  | ")


# --- Remedies ---------------------------------------------------------------------------------------------------------

_NOUNS = {
    "tasks": "task",
    "engine": "task",
    "approvals": "approval",
    "agents": "agent",
    "projects": "project",
    "workspaces": "workspace",
    "sessions": "session",
    "audit": "audit",
    "store": "db",
}
"""Nouns of the library, and their commands."""

_OTHERS = {
    "approvals.list(pending=True)": "aura approval list",
    "doctor.fix(finding)": "aura doctor --fix",
    "doctor.list(unknown=True)": "aura doctor --fix --unknown",
    "executions.list()": "aura replay",
    "executors.list()": "aura executors",
    "history.list()": "aura replay",
}
"""Calls whose command has another form."""

_OPTIONS = {"repositories=[]": "--outside", "copy_files=GLOB": "--copy GLOB"}
"""Arguments whose option has another name."""

_MISSING = re.compile(r"\badd (\w+) to the options")
"""What a remedy says of an option that an executor requires."""

_KEYWORD = re.compile(r"\b[a-z]+_[a-z]+=(?:True|[A-Z]+)\b")
"""An argument of the library in a remedy, such as ``in_place=True``."""

_CALL = re.compile(r"\b([a-z]+)\.([a-z_]+)\(([^()]*)\)")


def as_commands(remedy: str) -> str:
    """Return a remedy with the library's calls replaced by the commands that make them.

    >>> as_commands("tasks.assign('0192', executor='NAME')")
    'aura task assign 0192 --executor NAME'
    """
    return _MISSING.sub(_given_option, _KEYWORD.sub(_as_option, _CALL.sub(_command, remedy)))


def _as_option(argument: re.Match[str]) -> str:
    return _argument(argument[0])


def _given_option(missing: re.Match[str]) -> str:
    from aura_cli.arguments.options import AGENT

    flags = {option.field: f"{option.flag} {option.metavar}" for option in AGENT.options}
    return f"add {flags.get(f'options.{missing[1]}', f'--option {missing[1]}=VALUE')}"


def _command(call: re.Match[str]) -> str:
    noun, verb, arguments = call.groups()
    if call[0] in _OTHERS:
        return _OTHERS[call[0]]
    if noun not in _NOUNS:
        return call[0]
    given = [_argument(one) for one in arguments.split(", ") if one]
    return " ".join(["aura", _NOUNS[noun], verb.replace("_", "-"), *given])


def _argument(text: str) -> str:
    name, assigned, value = text.replace("'", "").partition("=")
    option = f"--{name.replace('_', '-')}"
    if text in _OPTIONS:
        return _OPTIONS[text]
    if not assigned:
        return name
    return option if value == "True" else f"{option} {value}"
