"""``aura project``: repositories, and the documents that agents read before they begin a task in them."""

import os.path
from argparse import ArgumentParser
from typing import Any

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli.arguments.declarations import add_options, values_of
from aura_cli.arguments.options import ADD_PROJECT, EDIT_PROJECT
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.rendering.formatting import counted, state_heading, state_lines
from aura_contracts.first_use import convert
from aura_contracts.project import Project, ProjectChanges
from aura_contracts.quoting import one_line

_ADD_EPILOG = """\
A task on one of the repositories belongs to the project, unless --project names
another. Its agent gets the documents before its first prompt: those that match
a PATTERN, relative to the top of the repository, as they are in its worktree.
** is any number of folders: docs/**/*.md. Quote patterns for the shell.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    adding = add_subcommand(commands, "add", "add a project", _add, epilog=_ADD_EPILOG)
    add_options(adding, ADD_PROJECT)
    listing = add_subcommand(commands, "list", "list the projects, oldest first", _list)
    listing.add_argument("--all", action="store_true", help="include removed projects")
    showing = add_subcommand(commands, "show", "show a project", _show)
    editing = add_subcommand(commands, "edit", "edit a project; agents that have begun do not see the changes", _edit)
    removing = add_subcommand(commands, "remove", "remove a project; its repositories and tasks stay", _remove)
    for command in (showing, editing, removing):
        command.add_argument("project", metavar="NAME", help="the project: its name, or its id")
    add_options(editing, EDIT_PROJECT)
    editing.add_argument("--no-repos", action="store_true", help="it has no repositories")
    editing.add_argument("--no-documents", action="store_true", help="agents read nothing first")
    editing.add_argument(
        "--no-sample-agents", action="store_true", help="the pool prefers the agent that is approved most"
    )
    removing.add_argument("--reason", metavar="TEXT", default="", help="why it is removed")


async def _add(call: Invocation) -> None:
    given = _located(values_of(call.arguments, ADD_PROJECT))
    async with engine_of(call, record_only=True, make=True) as engine:
        _say(await engine.projects.create(given.pop("name"), **given), call)


async def _list(call: Invocation) -> None:
    status = ("active", "removed") if call.arguments.all else None
    async with engine_of(call, read_only=True) as engine:
        projects = await all_rows(engine.projects.list, status=status)
    call.terminal.table(
        projects,
        ("id", "status", "type", "name", "repositories"),
        lambda one: (one.id, one.status, one.agent_type, one.name, ", ".join(one.repositories)),
    )
    call.terminal.say(counted(len(projects), "project"))


async def _show(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        project = await engine.projects.get(call.arguments.project)
    heading = state_heading("project", project, call.terminal)
    call.terminal.item(project.as_dict(), "\n".join([heading, *state_lines(project)]))


async def _edit(call: Invocation) -> None:
    given, arguments = _located(values_of(call.arguments, EDIT_PROJECT)), call.arguments
    given |= {"repositories": []} if arguments.no_repos else {}
    given |= {"documents": []} if arguments.no_documents else {}
    given |= {"sample_agents": False} if arguments.no_sample_agents else {}
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.projects.edit(arguments.project, convert(given, ProjectChanges)), call)


async def _remove(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.projects.remove(call.arguments.project, call.arguments.reason), call)


def _located(given: dict[str, Any]) -> dict[str, Any]:
    """Return the values with absolute paths of repositories, as seen from the current folder."""
    if "repositories" in given:
        given["repositories"] = [os.path.abspath(path) for path in given["repositories"]]  # noqa: PTH100 - links stay
    return given


def _say(project: Project, call: Invocation) -> None:
    call.terminal.item(project.as_dict(), one_line(f"project {project.name} is {project.status}: {project.id}"))
