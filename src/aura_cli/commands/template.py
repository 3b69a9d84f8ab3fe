"""``aura template``: the texts that prompts are made from."""

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.arguments.values import number, pair
from aura_cli.rendering.formatting import counted, minute_text, state_heading, time_text
from aura_contracts.errors import AggregateNotFound, InvalidInput
from aura_contracts.quoting import block, one_line, printable
from aura_contracts.template import PromptTemplate, TemplateScope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aura_engine import Engine, TemplateRevision

_SET_EPILOG = """\
The text is Jinja over what AURA knows of a task: {{ task.title }},
{{ task.description }}, {{ task.priority }}, {{ task.context }}. A template that
includes its own name, {% include "coding" %}, gets that of the next wider
scope. A text with a mistake is refused, and the former one stays.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    listing = add_subcommand(commands, "list", "list the templates, oldest first", _list)
    listing.add_argument("--all", action="store_true", help="include retired ones")
    listing.add_argument("--builtin", action="store_true", help="list the built-in ones instead")
    showing = add_subcommand(commands, "show", "show a template, or the built-in one of its name", _show)
    showing.add_argument("--revision", metavar="NUMBER", type=number, help="an earlier text of it")
    setting = add_subcommand(commands, "set", "write a template, or replace its text", _set, epilog=_SET_EPILOG)
    retiring = add_subcommand(commands, "retire", "retire a template; that of the next scope applies", _retire)
    restoring = add_subcommand(commands, "restore", "have a retired template apply again", _restore)
    for command in (showing, setting, retiring, restoring):
        command.add_argument("name", metavar="NAME", help="the template: coding, plan, follow_up, ...")
        _add_place(command)
    setting.add_argument("file", metavar="FILE", help="file with the text, or - for standard input")
    setting.add_argument(
        "--declare", metavar="NAME", action="append", default=[], help="variable that the text uses and runs set"
    )
    setting.add_argument("--based-on", metavar="NUMBER", type=number, help="only if this is its current revision")
    retiring.add_argument("--reason", metavar="TEXT", default="", help="why it is retired")
    previewing = add_subcommand(commands, "preview", "print a prompt as a task would get it", _preview)
    previewing.add_argument("name", metavar="NAME", help="the template: coding, plan, follow_up, ...")
    previewing.add_argument("--task", metavar="ID", help="the task; without one, an example")
    previewing.add_argument("--project", metavar="NAME", help="as in a task of this project")
    previewing.add_argument("--file", metavar="FILE", help="with this text, which is not stored; - is standard input")
    previewing.add_argument(
        "--var", metavar="KEY=VALUE", type=pair, action="append", default=[], help="variable, as a run sets it"
    )


def _add_place(command: ArgumentParser) -> None:
    where = command.add_mutually_exclusive_group()
    where.add_argument("--project", metavar="NAME", help="that of this project only")
    where.add_argument("--task", metavar="ID", help="that of this task only")
    where.add_argument("--workspace", metavar="ID", help="that of this workspace only")


def _place(call: Invocation) -> dict[str, Any]:
    given = call.arguments
    return {"project": given.project, "task": given.task, "workspace": given.workspace}


async def _list(call: Invocation) -> None:
    store = "memory:" if call.arguments.builtin else None
    async with engine_of(call, read_only=True, store=store) as engine:
        if call.arguments.builtin:
            ours = await engine.templates.builtin()
            call.terminal.table(ours, ("name", "variables"), lambda one: (one.id, ", ".join(("task", *one.variables))))
            call.terminal.say(counted(len(ours), "template"))
            return
        templates = await all_rows(engine.templates.list, status=None if call.arguments.all else "active")
    call.terminal.table(
        templates,
        ("id", "status", "name", "scope", "of", "revision", "revised (UTC)"),
        lambda one: (
            one.id,
            one.status,
            one.name,
            one.scope,
            one.scope_key or "",
            str(one.revision),
            minute_text(one.revised_at),
        ),
    )
    call.terminal.say(counted(len(templates), "template"))


async def _show(call: Invocation) -> None:
    name, wanted = call.arguments.name, call.arguments.revision
    async with engine_of(call, read_only=True) as engine:
        try:
            template = await engine.templates.get(name, **_place(call))
        except AggregateNotFound:
            if wanted is not None or any(_place(call).values()) or not await _show_builtin(call, engine):
                raise
            return
        if wanted is not None:
            revisions = await engine.templates.revisions(name, **_place(call))
            _show_revision(call, revisions, wanted)
            return
    data, terminal = template.as_dict(), call.terminal
    heading = f"{state_heading('template', template, terminal)}: {one_line(_named(template))}"
    told = f"revision {template.revision} of {time_text(template.revised_at)} by {template.revised_by}"
    lines = [heading, one_line(f"  {told}")]
    lines += [one_line(f"  runs set {', '.join(template.variables)}")] if template.variables else []
    terminal.item(data, "\n".join([*lines, "", *block(template.text)]))


def _show_revision(call: Invocation, revisions: "Sequence[TemplateRevision]", wanted: int) -> None:
    found = next((one for one in revisions if one.revision == wanted), None)
    if found is None:
        remedy = f"it has revisions 1 to {len(revisions)}"
        raise InvalidInput(field="--revision", reason=f"there is no revision {wanted}", remedy=remedy)
    call.terminal.item(found.as_dict(), printable(found.text))


async def _show_builtin(call: Invocation, engine: "Engine") -> bool:
    """Show the built-in template of the name, if there is one."""
    found = next((one for one in await engine.templates.builtin() if one.id == call.arguments.name), None)
    if found is not None:
        lines = [f"template {found.id}: built in", "", *block(found.text)]
        call.terminal.item(found.as_dict(), "\n".join(lines))
    return found is not None


async def _set(call: Invocation) -> None:
    given = call.arguments
    text = _text(call, given.file, "FILE")
    async with engine_of(call, record_only=True, make=True) as engine:
        made = await engine.templates.set(
            given.name, text, **_place(call), variables=given.declare, based_on=given.based_on
        )
    call.terminal.item(made.as_dict(), one_line(f"template {_named(made)} has revision {made.revision}: {made.id}"))


async def _retire(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.templates.retire(call.arguments.name, call.arguments.reason, **_place(call)), call)


async def _restore(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.templates.restore(call.arguments.name, **_place(call)), call)


async def _preview(call: Invocation) -> None:
    given = call.arguments
    text = None if given.file is None else _text(call, given.file, "--file")
    about = {"task": given.task, "project": given.project, "text": text, "variables": dict(given.var)}
    async with engine_of(call, read_only=True) as engine:
        shown = await engine.templates.preview(given.name, **about)
    call.terminal.item(shown.as_dict(), printable(shown.text))
    origin = shown.scope if not shown.revision else f"{shown.scope}, revision {shown.revision}"
    call.terminal.say(f"template {shown.id} ({origin})")


def _text(call: Invocation, path: str, field: str) -> str:
    """Return the text of a file, or of standard input."""
    from aura_cli._input_text import read_file

    return call.terminal.read_all() if path == "-" else read_file(path, field)


def _named(template: PromptTemplate) -> str:
    place = "" if template.scope is TemplateScope.GLOBAL else f" {template.scope_key}"
    return f"{template.name} ({template.scope}{place})"


def _say(template: PromptTemplate, call: Invocation) -> None:
    call.terminal.item(template.as_dict(), one_line(f"template {_named(template)} is {template.status}"))
