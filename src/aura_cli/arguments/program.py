"""Program: all commands of `aura`, from the words of a command line to the arguments of the selected one.

Only the module of the selected command is imported.
"""

import argparse
import os
from collections.abc import Container, Sequence
from importlib import import_module

from aura_cli.arguments.parser import Parser, WrongUsage, add_shared_options, closest, sentence

GROUPS = {
    "start here": {
        "demo": "watch the whole lifecycle on a throw-away repository",
        "run": "run one task, from prompt to review, on the current repository",
    },
    "tasks and reviews": {
        "task": "create, assign, follow up, retry, cancel and move tasks",
        "workflow": "start graphs of steps, and steer them",
        "board": "show tasks in columns of your own, and move them",
        "review": "walk through the questions that wait for you",
        "approval": "review what is waiting for a human",
        "link": "list, show and revoke links that answer, rotate their keys",
        "workspace": "inspect, save, restore and clean up worktrees",
        "session": "find agent sessions that can be resumed",
        "project": "name repositories, and what agents read first in them",
        "template": "write and preview the texts that prompts are made from",
        "policy": "check and back-test the rules that answer for humans",
        "notify": "test channels to people, and retry what could not be sent",
    },
    "agents": {
        "executors": "list the supported agents and whether they are installed",
        "agent": "manage the pool of agents",
        "serve": "look after a store: queue, reminders, deadlines and retries",
        "usage": "report tokens and cost by run, task, agent, model or day",
        "stats": "report how work went: acceptance, completion, errors, time",
        "mcp": "serve AURA's tools to an agent (Model Context Protocol)",
    },
    "the log": {
        "events": "list the log, or follow it live",
        "replay": "show any state, now or at a past moment, and what changed",
        "audit": "prove that the log has not been tampered with",
        "db": "inspect, check and rebuild the read models",
    },
    "this installation": {
        "doctor": "find and fix leftovers and stuck tasks",
        "completion": "print a completion script for your shell",
    },
}
"""Every command with its summary, grouped and ordered as in ``aura --help``."""

COMMANDS = {name: summary for group in GROUPS.values() for name, summary in group.items()}

_EPILOG = """\
environment:
  AURA_HOME            folder of AURA's data
                       (default: the platform's user data folder)
  AURA_STORE           the store, as --store
  AURA_COMPRESSION     zlib or zstd, as --compression
  AURA_ENCRYPTION_KEY  key of an encrypted store: 16, 24 or 32 bytes in base64
                       (never an option: other users can see arguments)
  AURA_GRACE           seconds that agents keep running after AURA was killed
                       (default: 30)
  AURA_REMIND_AFTER    seconds until people are reminded of a question, and
                       between reminders (default: 86400, a day)
  AURA_ESCALATE_AFTER  seconds until a question goes to more people, if it
                       names any (default: 172800, two days)
  AURA_ANSWER_WITHIN   seconds until no answer to a tool call means no
                       (default: 86400, a day); policies may set other times
  AURA_BASE_URL        where the pages of links are reached, as
                       https://aura.example.org
  AURA_USER            your name on what you do (default: your login)
  AURA_ROLE            observer: read everything, change nothing
  AURA_DEBUG           show the traceback of an unexpected error
  NO_COLOR             output without colour

exit codes:
  0 done, 1 failed, 2 wrong usage, 130 interrupted;
  `aura run` passes on the exit code of an agent that fails

`aura help COMMAND` describes a command.
"""

_VERBATIM = {"run": ("--param",), "task": ("--param",)}
"""Options whose value may begin with a hyphen, by command: ``--param -lc``, which `argparse` refuses."""


def read_version() -> str:
    """Return the version, read from its file: importing `aura_contracts` would take ten times as long."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs a millisecond
    path = os.path.join(here, "..", "..", "aura_contracts", "_version.py")  # noqa: PTH118
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        return file.read().split('"')[1]


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments, with the function of their command as `run`.

    Raises `WrongUsage`, and `SystemExit` after printing the help or the version.
    """
    words = _without_help(words)
    helps = "--json" in words and not {"-h", "--help"}.isdisjoint(words)
    try:
        return _parsed_with_help(words) if helps else _parsed(words)
    except WrongUsage as wrong:
        raise _with_suggestion(wrong, [word for word in words if word not in ("-h", "--help")]) from None


def _without_help(words: Sequence[str]) -> list[str]:
    """Return ``COMMAND --help`` for ``help COMMAND``."""
    first = next((index for index, word in enumerate(words) if not word.startswith("-")), None)
    if first is None or words[first] != "help":
        return list(words)
    return [*words[:first], *words[first + 1 :], "--help"]


def _parsed_with_help(words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments, or print help as an object."""
    import json
    from contextlib import redirect_stdout
    from io import StringIO

    with redirect_stdout(StringIO()) as printed:
        try:
            return _parsed(words)
        except SystemExit:
            pass
    program = command_of(program_with(words), words).prog
    print(json.dumps({"id": program, "help": printed.getvalue()}))  # noqa: T201
    raise SystemExit(0)


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    program = program_with(words)
    arguments, unknown = program.parse_known_args(_joined(words))
    if unknown:
        meant = command_of(program, words)
        raise WrongUsage(f"unexpected argument {unknown[0]!r}", meant)
    if arguments.version:  # also before a command, which then does not run
        version = read_version()
        print(f'{{"id": "aura", "version": "{version}"}}' if arguments.json else f"aura {version}")  # noqa: T201
    elif arguments.command is not None:
        return arguments
    elif arguments.json:
        raise WrongUsage("a command is required", program)
    else:
        program.print_help()
    raise SystemExit(0)


def program_with(configured: Container[str]) -> Parser:
    """Return the parser of the program, in which only the `configured` commands have arguments."""
    program = Parser(prog="aura", description=_described(), epilog=_EPILOG)
    program.add_argument("--version", action="store_true", help="show the version and exit")
    add_shared_options(program.add_argument_group("options on every command"), inherited=False)
    commands = program.add_subparsers(
        prog=program.prog, metavar="COMMAND", dest="command", help=argparse.SUPPRESS, parser_class=Parser
    )
    for name, summary in COMMANDS.items():
        if name in configured:
            command = commands.add_parser(name, help=summary, description=sentence(summary))
            import_module(f"aura_cli.commands.{name}").configure(command)
        else:  # a name to choose, of which nothing else is needed
            commands.choices[name] = program
    return program


def _described() -> str:
    lines = ["Orchestrates coding agents, with a human in the loop."]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:<12}{summary}" for name, summary in group.items())]
    return "\n".join(lines)


def command_of(program: Parser, words: Sequence[str]) -> Parser:
    """Return the parser of the command or subcommand named by `words`."""
    for word in words:
        program = program.subcommands.get(word, program)
    return program


def _with_suggestion(wrong: WrongUsage, words: Sequence[str]) -> WrongUsage:
    """Add a suggestion: the most similar command with its subcommand, or the most similar option."""
    corrected = list(words)
    if wrong.typed and wrong.program == "aura":
        wrong.meant = _command_with(wrong.typed) or wrong.meant
    better: WrongUsage | None = wrong
    while better is not None and better.meant:
        place = corrected.index(better.typed)
        corrected[place : place + 1] = better.meant.split()
        better = _still_wrong(corrected)
    meant = command_of(program_with(corrected), corrected)
    if wrong.meant:
        wrong.suggestion = meant.prog
    elif not wrong.typed:
        names = [name for action in meant.options for name in action.option_strings]
        given = (word.partition("=")[0] for word in _joined(_before_dashes(words)) if word.startswith("--"))
        if unknown := next((name for name in given if name not in names), None):
            wrong = WrongUsage(f"unknown option {unknown}", meant)
            wrong.suggestion = closest(unknown, [name for name in names if name.startswith("--")])
    wrong.usage, wrong.program = meant.usage_line(), meant.prog
    return wrong


def _still_wrong(words: Sequence[str]) -> WrongUsage | None:
    """Return the error about a command's name if that is the next error, with a corrected option or subcommand."""
    try:
        program_with(words).parse_known_args(_joined(words))
    except WrongUsage as wrong:
        return wrong if wrong.typed else None
    return None


def _command_with(subcommand: str) -> str:
    """Return ``approval approve`` for ``approve``, or "" unless exactly one command has such a subcommand."""
    having = [name for name, command in program_with(COMMANDS).subcommands.items() if subcommand in command.subcommands]
    return f"{having[0]} {subcommand}" if len(having) == 1 else ""


def _before_dashes(words: Sequence[str]) -> Sequence[str]:
    return words[: words.index("--")] if "--" in words else words


def _joined(words: Sequence[str]) -> list[str]:
    """Return the words, joining options to values that `argparse` would take for options."""
    options: tuple[str, ...] = ()
    joined: list[str] = []
    rest = iter(words)
    for word in rest:
        options = options or _VERBATIM.get(word, ())
        value = next(rest, None) if word in options else None
        joined.append(word if value is None else f"{word}={value}")
        if word == "--":
            break
    return [*joined, *rest]
