"""Parser: how commands are declared, with the options they share, and what their help and errors look like.

Shared options may precede or follow the command: ``aura --json events`` is ``aura events --json``. They are declared
twice, on the program with a default and on each command without one, so that the later does not overwrite the earlier.
"""

import argparse
from collections.abc import Sequence

TYPE_CHECKING = False  # importing `typing` would take as long as everything else in this module
if TYPE_CHECKING:
    from typing import Any, NoReturn

_EVERYWHERE = """
on every command: --store URL, --compression KIND, --json, --quiet, --no-color;
see `aura --help`
"""

_WIDTH = 78
"""Columns of help at most."""

_HELP_COLUMN = 26

Subcommands = argparse._SubParsersAction  # noqa: SLF001 - has no public name


class WrongUsage(Exception):
    """Invalid arguments. `usage` is the usage line of `program`, the selected command."""

    def __init__(self, message: str, parser: "Parser", *, typed: str = "", meant: str = "") -> None:
        super().__init__(message)
        self.usage = parser.usage_line()
        self.program = parser.prog
        self.typed = typed
        self.meant = meant
        """The name of the command or subcommand that `typed` is closest to."""
        self.suggestion = ""
        """The correction, if there is one."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help in at most 80 columns, with the choices, the default and the repeatability of every option."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=_HELP_COLUMN, width=_WIDTH)

    def format_help(self) -> str:
        from shutil import get_terminal_size  # imports a lot, and `argparse` makes a formatter for each argument

        self._width = min(get_terminal_size().columns - 2, _WIDTH)
        self._max_help_position = min(_HELP_COLUMN, max(self._width - 20, 2 * self._indent_increment))
        return super().format_help()

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        if action.choices is not None and action.metavar is not None:
            text += f": {', '.join(map(str, action.choices))}"
        notes = []
        if action.default not in (None, False, argparse.SUPPRESS, "", []):
            notes.append("default: %(default)s")
        if isinstance(action, argparse._AppendAction):  # noqa: SLF001 - has no public name
            notes.append("repeatable")
        return f"{text} ({'; '.join(notes)})" if notes else text

    def _format_action(self, action: argparse.Action) -> str:
        if isinstance(action, Subcommands):  # list the subcommands instead of the argument itself
            self._dedent()
            shown = "".join(self._format_action(each) for each in self._iter_indented_subactions(action))
            self._indent()
            return shown
        return super()._format_action(action)


class Parser(argparse.ArgumentParser):
    """Accepts only full option names, so that a new option never changes the meaning of a script."""

    def __init__(self, **options: "Any") -> None:
        options.setdefault("formatter_class", _Formatter)
        super().__init__(allow_abbrev=False, **options)
        self._positionals.title = "arguments"

    @property
    def subcommands(self) -> "dict[str, Parser]":
        """The parsers of its subcommands by name."""
        for action in self._actions:
            if isinstance(action, Subcommands):
                return dict(action.choices)
        return {}

    @property
    def options(self) -> list[argparse.Action]:
        """Its options, including the shared ones."""
        return [action for action in self._actions if action.option_strings]

    @property
    def positionals(self) -> list[argparse.Action]:
        """Its positional arguments, except for a subcommand."""
        return [action for action in self._actions if not action.option_strings and not isinstance(action, Subcommands)]

    def usage_line(self) -> str:
        """Return its usage in one line, which names only the required options."""
        either = [group._group_actions[0] for group in self._mutually_exclusive_groups if group.required]  # noqa: SLF001
        needed = [action for action in self.options if action.required or action in either]
        required = [f"{action.option_strings[0]} {action.metavar}" for action in needed]
        marks = {"?": "[{}]", "*": "[{}...]"}
        places = [marks.get(str(each.nargs), "{}").format(each.metavar) for each in self.positionals]
        command = ["COMMAND"] if self.subcommands else []
        return " ".join([self.prog, *required, "[OPTIONS]", *places, *command])

    def format_usage(self) -> str:
        return f"usage: {self.usage_line()}\n"

    def format_help(self) -> str:
        self.usage = self.usage_line()
        return f"{super().format_help()}{'' if self.prog == 'aura' else _EVERYWHERE}"

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> object:
        if action.option_strings and arg_strings == ["--"]:  # ``--prompt=--``; before Python 3.13 it is thrown away
            arg_strings = ["--", "--"]
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is None or value in action.choices:
            return
        choices, typed = list(map(str, action.choices)), str(value)
        meant = closest(typed, choices)
        if action.dest in ("command", "subcommand"):
            raise WrongUsage(f"unknown command {typed!r}", self, typed=typed, meant=meant)
        name = "/".join(action.option_strings) or str(action.metavar)
        wrong = WrongUsage(f"{name}: {typed!r} is not one of {', '.join(choices)}", self)
        wrong.suggestion = meant
        raise wrong

    def error(self, message: str) -> "NoReturn":
        raise WrongUsage(message.removeprefix("argument "), self)


def closest(typed: str, known: Sequence[str]) -> str:
    """Return the word of `known` that is most similar to `typed`, or "" if none is."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(typed, known, 1, cutoff=0.6)), "")


def sentence(summary: str) -> str:
    """Return a summary as the sentence that a description begins with."""
    return f"{summary[0].upper()}{summary[1:]}."


def add_subcommands(parser: argparse.ArgumentParser) -> "Subcommands[argparse.ArgumentParser]":
    """Give a command subcommands: ``aura audit verify``."""
    add_shared_options(parser, inherited=True)
    # with `prog`, `argparse` does not have to format help, which imports a lot
    return parser.add_subparsers(
        title="commands", prog=parser.prog, metavar="COMMAND", dest="subcommand", required=True
    )


def add_subcommand(
    commands: "Subcommands[argparse.ArgumentParser]", name: str, summary: str, run: object, *, epilog: str = ""
) -> argparse.ArgumentParser:
    """Add ``aura COMMAND name`` with the shared options."""
    parser = commands.add_parser(name, help=summary, description=sentence(summary), epilog=epilog)
    finish(parser, run)
    return parser


def finish(parser: argparse.ArgumentParser, run: object) -> None:
    """Give a command the shared options and the function that runs it."""
    add_shared_options(parser, inherited=True)
    parser.set_defaults(run=run)


def add_shared_options(parser: "argparse.ArgumentParser | argparse._ArgumentGroup", *, inherited: bool) -> None:
    """Declare the shared options; on a command without defaults, and without help, which is `_EVERYWHERE`."""
    text = argparse.SUPPRESS if inherited else None
    flag = argparse.SUPPRESS if inherited else False

    def about(help_: str) -> str:
        return argparse.SUPPRESS if inherited else help_

    parser.add_argument(
        "--store",
        metavar="URL",
        default=text,
        help=about("sqlite:///PATH or postgresql://USER@HOST/DATABASE [AURA_STORE]"),
    )
    parser.add_argument(
        "--compression",
        metavar="KIND",
        choices=("none", "zlib", "zstd"),
        default=text,
        help=about("of the store [AURA_COMPRESSION]"),
    )
    for name, help_ in (
        ("--json", "print one JSON object per line and nothing else"),
        ("--quiet", "print data and errors only"),
        ("--no-color", "output without colour [NO_COLOR]"),
    ):
        parser.add_argument(name, action="store_true", default=flag, help=about(help_))
