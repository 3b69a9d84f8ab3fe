"""Arguments: the options that every command has, and the parser of the command that is meant.

Options of every command may stand before or after it: ``aura --json events`` is ``aura events --json``. They are
declared twice, on the program with a default and on each command without, so that the later one does not undo the
earlier. Only the module of the command that is meant is imported.
"""

import argparse
import os
from collections.abc import Sequence
from importlib import import_module

TYPE_CHECKING = False  # importing `typing` for it would cost as much as everything else here together
if TYPE_CHECKING:
    from typing import NoReturn

COMMANDS = {
    "run": "one task from prompt to review, on the repository of the current folder",
    "demo": "the whole lifecycle on a throw-away repository with a scripted agent, and proof that its replay agrees",
    "task": "tasks: create, list, show, assign, follow up, cancel, retry, decompose, move",
    "approval": "what waits for a human: list, show, approve, reject, delegate",
    "agent": "the pool of agents: add, list, show, disable, enable",
    "workspace": "worktrees and their safety copies: list, show, diff, snapshot, restore, clean, warm",
    "executors": "the adapters, whether their agents are installed, what they can do",
    "session": "sessions of agents that can be gone on with",
    "mcp": "the tools that an agent has to act on its own task: a server of the Model Context Protocol on stdio",
    "usage": "tokens that agents consumed and what they cost, by run, session, task, agent, model or day",
    "events": "list the log, or follow it",
    "replay": "the state of everything, or of one task, by folding its events; now, then, and what changed",
    "audit": "prove that the log is as it was written; record and export the proof",
    "db": "check and rebuild the read models; what is in the store",
    "doctor": "what was left behind or is stuck, and what to do about it",
}
"""Every command with what it does, in the order of ``aura --help``."""

_EPILOG = """\
environment:
  AURA_HOME            the folder of AURA's data (default: the platform's user data folder)
  AURA_STORE           the store, as --store
  AURA_COMPRESSION     zlib or zstd, as --compression
  AURA_ENCRYPTION_KEY  the key of an encrypted store: 16, 24 or 32 bytes in base64; never an option, because
                       arguments can be seen by everybody on the machine
  AURA_GRACE           seconds that agents run on when AURA is killed, before they are ended (default: 30)
  AURA_USER            your name on what you do (default: your login)
  AURA_DEBUG           set it to see the traceback of an unexpected error
  NO_COLOR             set it for output without colour

exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted; of an agent that fails, its own
"""

_VERBATIM = {"run": ("--param",), "task": ("--param",)}
"""Options by command whose value is the next word, whatever it begins with: ``--param -lc``, which `argparse` refuses.
"""


class WrongUsage(Exception):
    """The arguments make no sense; `usage` is the line that shows those that would."""

    def __init__(self, message: str, usage: str, program: str) -> None:
        super().__init__(message)
        self.usage = usage
        self.program = program


class Parser(argparse.ArgumentParser):
    """Takes options by their full names only, so that adding one never changes what a script means."""

    def __init__(self, **options: object) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)  # type: ignore[arg-type]  # passed on as they are

    def error(self, message: str) -> "NoReturn":
        raise WrongUsage(message, self.format_usage().strip(), self.prog)


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> "NoReturn":
        print(f"aura {read_version()}")  # noqa: T201 - the answer
        parser.exit()


def read_version() -> str:
    """Return the version, read from its file: importing `aura_contracts` for it would take ten times as long."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs a millisecond
    with open(os.path.join(here, "..", "aura_contracts", "_version.py"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
        return file.read().split('"')[1]


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments, with the function of their command as `run`. Raises `WrongUsage`."""
    parser = Parser(
        prog="aura",
        description="Orchestrates coding agents, with a human in the loop and every fact in a log.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    _add_everywhere(parser, with_defaults=True)
    commands = _subparsers(parser, dest="command")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name in words:
            import_module(f"aura_cli.commands.{name}").configure(command)
    return parser.parse_args(_joined(words))


def _joined(words: Sequence[str]) -> list[str]:
    """Return the words with options joined to values that `argparse` would take for options."""
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


def add_subcommands(
    parser: argparse.ArgumentParser,
) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    """Have a command consist of commands: ``aura audit verify``."""
    _add_everywhere(parser, with_defaults=False)
    return _subparsers(parser, dest="subcommand")


def _subparsers(parser: argparse.ArgumentParser, dest: str) -> "argparse._SubParsersAction[argparse.ArgumentParser]":
    """Have a parser take a command; told its name, `argparse` need not format help, and import much, to find it."""
    return parser.add_subparsers(prog=parser.prog, metavar="COMMAND", dest=dest, required=True)


def add_subcommand(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str, run: object
) -> argparse.ArgumentParser:
    """Add ``aura COMMAND name`` with the options that every command has."""
    parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    finish(parser, run)
    return parser


def finish(parser: argparse.ArgumentParser, run: object) -> None:
    """Give a command the options that every command has, and the function that runs it."""
    _add_everywhere(parser, with_defaults=False)
    parser.set_defaults(run=run)


def count(text: str) -> int:
    """Return a number from 0 up, such as a position of the log."""
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return int(text)


def pair(text: str) -> "tuple[str, str]":
    """Return a name and a value that are written ``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not written NAME=VALUE")
    return name.strip(), value


def seconds(text: str) -> float:
    """Return a time in seconds, above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def number(text: str) -> int:
    """Return a number from 1 up."""
    if count(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def truth(text: str) -> bool:
    """Return what ``true`` and ``false`` mean."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def _add_everywhere(parser: argparse.ArgumentParser, *, with_defaults: bool) -> None:
    group = parser.add_argument_group("everywhere")
    text = None if with_defaults else argparse.SUPPRESS
    flag = False if with_defaults else argparse.SUPPRESS
    group.add_argument(
        "--store", metavar="URL", default=text, help="sqlite:///PATH or postgresql://USER@HOST/DATABASE [AURA_STORE]"
    )
    group.add_argument(
        "--compression",
        choices=("none", "zlib", "zstd"),
        default=text,
        help="what the store was made with [AURA_COMPRESSION]",
    )
    group.add_argument(
        "--json", action="store_true", default=flag, help="one JSON object per line on stdout, nothing else"
    )
    group.add_argument("--quiet", action="store_true", default=flag, help="data and errors only, no messages")
    group.add_argument("--no-color", action="store_true", default=flag, help="output without colour [NO_COLOR]")
