"""Remedies: the library's errors name calls of the library, and the command line shows the commands that make them.

tasks.assign('0192', executor='NAME')    aura task assign 0192 --executor NAME
doctor.fix(finding)                      aura doctor --fix
"""

import re

_NOUNS = {
    "tasks": "task",
    "approvals": "approval",
    "agents": "agent",
    "workspaces": "workspace",
    "sessions": "session",
    "audit": "audit",
    "store": "db",
}
"""Nouns of the library, and their commands."""

_OTHERS = {
    "doctor.fix(finding)": "aura doctor --fix",
    "doctor.list(unknown=True)": "aura doctor --fix --unknown",
    "executors.list()": "aura executors",
}
"""Calls whose command has another form."""

_OPTIONS = {"repositories=[]": "--outside"}
"""Arguments whose option has another name."""

_CALL = re.compile(r"\b([a-z]+)\.([a-z_]+)\(([^()]*)\)")


def as_commands(remedy: str) -> str:
    """Return a remedy with the library's calls replaced by commands."""
    return _CALL.sub(_command, remedy)


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
