"""``aura policy``: rules that answer questions: validate, show, test."""

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

import attrs

from aura_cli._call import Invocation, engine_of
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.arguments.values import age_or_time
from aura_cli.rendering.formatting import counted
from aura_contracts.errors import Fault, InvalidFile
from aura_contracts.quoting import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aura_engine import ChangedVerdict, PolicyInfo, PolicyRuleInfo

_TEST = """\
Judges every question in the log by FILE alone. First what a human refused
and FILE approves, then by direction.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    validating = add_subcommand(commands, "validate", "list the faults of a policy file", _validate)
    validating.add_argument("file", metavar="FILE", help="policy file")
    showing = add_subcommand(commands, "show", "show the policies in force", _show)
    showing.add_argument("name", metavar="NAME", nargs="?", help="only the policy of this name")
    testing = add_subcommand(commands, "test", "list past questions that a file would decide otherwise", _test)
    testing.description = f"{testing.description}\n\n{_TEST}"
    testing.add_argument("file", metavar="FILE", help="policy file")
    testing.add_argument(
        "--since", metavar="WHEN", type=age_or_time, help="only questions from then on: 30d, 12h, a date or a time"
    )


async def _validate(call: Invocation) -> int:
    async with engine_of(call, read_only=True, store="memory:") as engine:
        faults = await engine.policies.validate(call.arguments.file)
    _tell(call, faults)
    errors = [fault for fault in faults if fault.severity == "error"]
    if not errors:
        warnings = f", {counted(len(faults), 'warning')}" if faults else ""
        call.terminal.say(f"{call.arguments.file} is valid{warnings}")
    return 1 if errors else 0


def _tell(call: Invocation, faults: "Sequence[Fault]") -> None:
    for fault in faults:
        call.terminal.item(attrs.asdict(fault), one_line(str(fault)))


async def _show(call: Invocation) -> None:
    name = call.arguments.name
    async with engine_of(call, read_only=True, store="memory:") as engine:
        found = await engine.policies.list() if name is None else [await engine.policies.get(name)]
    for place, policy in enumerate(found):
        call.terminal.item(policy.as_dict(), "\n".join([*([""] if place else []), *_lines(policy)]))
    call.terminal.say(f"{len(found)} {'policy' if len(found) == 1 else 'policies'}")


def _lines(policy: "PolicyInfo") -> list[str]:
    heading = f"policy {policy.id}  {policy.source}"
    rules = [line for rule in policy.rules for line in _rule_lines(rule)]
    return [one_line(line) for line in (heading, *(f"  {fault}" for fault in policy.faults), *rules)]


def _rule_lines(rule: "PolicyRuleInfo") -> list[str]:
    lines = [f"  {rule.verdict} {rule.name} (line {rule.line})"]
    lines += [f"    when {key}: {_shown(value)}" for key, value in rule.when.items()] or ["    always"]
    lines += [f"    then {key}: {_shown(value)}" for key, value in rule.then.items()]
    return [*lines, *([f"    because {rule.because}"] if rule.because else [])]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(one)}" for key, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


async def _test(call: Invocation) -> int:
    given = call.arguments
    async with engine_of(call, read_only=True) as engine:
        try:
            changed = await engine.policies.test(given.file, since=given.since)
        except InvalidFile as error:
            _tell(call, error.faults)
            return 1
    call.terminal.table(changed, ("approval", "kind", "was", "would be", "human", "rules"), _row)
    call.terminal.say(_summary(changed))
    return 0


def _row(change: "ChangedVerdict") -> tuple[str, ...]:
    rules = ", ".join(change.rules)
    return (change.approval, change.kind, change.was, change.would_be, str(change.decision or ""), rules)


def _summary(changed: "Sequence[ChangedVerdict]") -> str:
    directions: dict[str, int] = {}
    for change in changed:
        direction = f"{change.was} to {change.would_be}"
        directions[direction] = directions.get(direction, 0) + 1
    refused = sum(change.refused for change in changed)
    parts = [f"{number} from {direction}" for direction, number in directions.items()]
    if refused:
        parts.insert(0, f"{refused} that a human had refused would be approved")
    return f"{counted(len(changed), 'changed verdict')}{': ' if parts else ''}{'; '.join(parts)}"
