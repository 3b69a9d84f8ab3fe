"""Tree: the commands as a lookup table for completion, read from the parsers.

The keys of the table are strings, where ``PATH`` is the command (``task list``; empty for the program):

    sub:PATH            its subcommands
    opt:PATH            its options
    val:PATH:--option   the values of an option that takes one
    arg:PATH:0          its first positional argument, and so on
"""

import argparse
from collections.abc import Iterator, Mapping

import attrs

from aura_cli.arguments.parser import Parser
from aura_cli.arguments.program import COMMANDS, program_with

_FILES = frozenset({"PATH", "FILE", "GLOB"})
"""Metavars of values that are paths."""


@attrs.frozen
class Candidates:
    """The candidates for a place: known words with descriptions, files, or ids of one kind."""

    words: tuple[tuple[str, str], ...] = ()
    files: bool = False
    ids: str = ""


def candidates() -> Mapping[str, Candidates]:
    """Return the table of all commands."""
    program = program_with(COMMANDS)
    shared = {name: action.help or "" for action in program.options for name in action.option_strings}
    table = dict(_walk(program, "", shared))
    table["sub:"] = Candidates((*table["sub:"].words, ("help", "describe a command")))
    return table


def _walk(parser: Parser, path: str, shared: Mapping[str, str]) -> Iterator[tuple[str, Candidates]]:
    if parser.subcommands:
        yield f"sub:{path}", Candidates(tuple((name, _summary(each)) for name, each in parser.subcommands.items()))
    names = [(name, action) for action in parser.options for name in action.option_strings]
    yield f"opt:{path}", Candidates(tuple((name, _help(action, shared.get(name, ""))) for name, action in names))
    for name, action in names:
        if action.nargs != 0:
            yield f"val:{path}:{name}", _values(action, "")
    for index, action in enumerate(parser.positionals):
        yield f"arg:{path}:{index}", _values(action, path.partition(" ")[0])
    for name, each in parser.subcommands.items():
        yield from _walk(each, f"{path} {name}".strip(), shared)


def _values(action: argparse.Action, kind: str) -> Candidates:
    words = tuple((str(choice), "") for choice in action.choices or ())
    return Candidates(words, files=action.metavar in _FILES, ids=kind if action.metavar == "ID" else "")


def _summary(parser: Parser) -> str:
    text = (parser.description or "").partition("\n")[0].removesuffix(".")
    return f"{text[:1].lower()}{text[1:]}"


def _help(action: argparse.Action, shared: str) -> str:
    return shared if action.help == argparse.SUPPRESS else action.help or ""
