"""Workflow schedules: the commands of ``aura workflow schedule``."""

from argparse import ArgumentParser
from typing import TYPE_CHECKING

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli.arguments.parser import Subcommands, add_subcommand, add_subcommands
from aura_cli.arguments.values import number, pair, setting
from aura_cli.rendering.formatting import counted, minute_text
from aura_contracts.quoting import one_line
from aura_contracts.workflow_schedule import MissedRuns, OverlappingRuns, ScheduleStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from aura_contracts.workflow_schedule import WorkflowSchedule
    from aura_engine import Engine

_CRON = """\
CRON has five fields: minute, hour, day of the month, month, day of the week; or
it is @hourly, @daily, @weekly, @monthly or @yearly. `aura serve` starts what is
due. The same NAME again gives the schedule another plan.
"""


def configure_schedules(commands: "Subcommands[ArgumentParser]") -> None:
    """Declare ``aura workflow schedule``."""
    parser = commands.add_parser(
        "schedule", help="start a stored definition again and again", description="Start workflows at certain times."
    )
    inner = add_subcommands(parser)
    adding = add_subcommand(inner, "add", "store a schedule, or give it another plan", _add, epilog=_CRON)
    adding.add_argument("name", metavar="NAME", help="name of the schedule")
    adding.add_argument("workflow", metavar="WORKFLOW", help="a stored definition: build, or a revision, build@3")
    adding.add_argument("cron", metavar="CRON", help="when: five fields in quotes, or a short form")
    adding.add_argument("--zone", metavar="ZONE", default="UTC", help="time zone, as Europe/Berlin")
    adding.add_argument(
        "--var", metavar="KEY=VALUE", type=pair, action="append", default=[], help="input of the workflow"
    )
    adding.add_argument(
        "--missed",
        metavar="POLICY",
        choices=[*map(str, MissedRuns)],
        default="once",
        help="of runs that no engine started in time",
    )
    adding.add_argument(
        "--overlap",
        metavar="POLICY",
        choices=[*map(str, OverlappingRuns)],
        default="skip",
        help="while the workflow before has not ended",
    )
    listing = add_subcommand(inner, "list", "list the schedules, oldest first", _list)
    listing.add_argument("--definition", metavar="NAME", help="only those that start this definition")
    listing.add_argument("--all", action="store_true", help="include removed ones")
    showing = add_subcommand(inner, "show", "show a schedule and its next times", _show)
    showing.add_argument("--next", metavar="N", type=number, default=5, help="that many of them")
    pausing = add_subcommand(inner, "pause", "start nothing until it is resumed", _pause)
    resuming = add_subcommand(inner, "resume", "resume a paused schedule; what was missed is left out", _resume)
    removing = add_subcommand(inner, "remove", "remove a schedule; its workflows continue", _remove)
    for command in (showing, pausing, resuming, removing):
        command.add_argument("name", metavar="NAME", help="the schedule: its name or id")
    for command in (pausing, removing):
        command.add_argument("--reason", metavar="TEXT", default="", help="why")


async def _add(call: Invocation) -> None:
    given = call.arguments
    async with engine_of(call, record_only=True, make=True) as engine:
        declared = (await engine.workflows.definition(given.workflow.partition("@")[0])).definition.inputs
        texts = {name for name, schema in declared.items() if schema.get("type") == "string"}
        inputs = {name: text if name in texts else setting(f"value={text}")[1] for name, text in given.var}
        made = await engine.schedules.save(
            given.name,
            given.workflow,
            given.cron,
            zone=given.zone,
            inputs=inputs,
            missed=MissedRuns(given.missed),
            overlap=OverlappingRuns(given.overlap),
        )
        await _print(call, engine, made, 1)
        if await engine.service() is None:
            call.terminal.say("no service looks after this store: `aura serve` starts what is due")


async def _list(call: Invocation) -> None:
    given = call.arguments
    async with engine_of(call, read_only=True) as engine:
        status = [*map(str, ScheduleStatus)] if given.all else None
        found = await all_rows(engine.schedules.list, status=status, definition=given.definition)
    call.terminal.table(
        found,
        ("name", "status", "workflow", "cron", "zone", "next (UTC)", "problem"),
        lambda one: (
            one.name,
            one.status,
            one.plan.workflow,
            one.plan.cron,
            one.plan.zone,
            "" if one.next_at is None else minute_text(one.next_at),
            one.problem,
        ),
    )
    call.terminal.say(counted(len(found), "schedule"))


async def _show(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        await _print(call, engine, await engine.schedules.get(call.arguments.name), call.arguments.next)


async def _pause(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        paused = await engine.schedules.pause(call.arguments.name, call.arguments.reason)
        await _print(call, engine, paused, 1)


async def _resume(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        await _print(call, engine, await engine.schedules.resume(call.arguments.name), 1)


async def _remove(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        await _print(call, engine, await engine.schedules.remove(call.arguments.name, call.arguments.reason), 1)


async def _print(call: Invocation, engine: "Engine", schedule: "WorkflowSchedule", limit: int) -> None:
    upcoming = await engine.schedules.upcoming(schedule.id, limit=max(limit, 1))
    data = {**schedule.as_dict(), "upcoming": [moment.isoformat() for moment in upcoming]}
    call.terminal.item(data, "\n".join(map(one_line, _lines(schedule, upcoming))))


def _lines(schedule: "WorkflowSchedule", upcoming: "Sequence[datetime]") -> "Sequence[str]":
    plan = schedule.plan
    lines = [f"schedule {schedule.name} is {schedule.status}: {plan.workflow} at {plan.cron} in {plan.zone}"]
    lines += [f"  next     {minute_text(moment)} UTC" for moment in upcoming]
    if schedule.last_at is not None:
        lines.append(f"  last     {minute_text(schedule.last_at)} UTC, workflow {schedule.last_workflow_id}")
    if schedule.paused_because:
        lines.append(f"  paused   {schedule.paused_because}")
    if schedule.problem:
        lines.append(f"  problem  {schedule.problem}")
    return lines
