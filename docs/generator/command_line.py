"""The page about the command line, from the parsers of `aura`.

Each parser is asked for its help with a formatter that collects the sections instead of laying them out, so that the
page does not depend on the width of a terminal or on the version of Python.
"""

import argparse
import re
from collections.abc import Container, Iterator
from contextlib import suppress
from unittest.mock import patch

import attrs

from aura_cli.main import main
from generator.docstrings import inline
from generator.markdown import NOTE, fenced, page, table

_PLAIN = ("", "arguments", "options", "positional arguments")
"""Headings of argparse that add nothing to the table."""


@attrs.define
class Section:
    """A heading of a command's help with the texts and arguments below it."""

    heading: str
    texts: list[str] = attrs.field(factory=list)
    rows: list[tuple[str, str]] = attrs.field(factory=list)


class _Collector(argparse.HelpFormatter):
    """Collects what a parser would print; mixed into the parser's own formatter, which words the help of arguments."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self.sections = [Section("")]
        self.positionals: list[str] = []
        self.commands: list[str] = []

    def add_usage(self, usage: object, actions: object, groups: object, prefix: object = None) -> None:
        """Leave out the usage: the page makes its own."""

    def start_section(self, heading: str | None) -> None:
        self.sections.append(Section(heading or ""))

    def end_section(self) -> None:
        self.sections.append(Section(""))

    def add_text(self, text: str | None) -> None:
        if text and text != argparse.SUPPRESS:
            self.sections[-1].texts.append(text)

    def add_argument(self, action: argparse.Action) -> None:
        if isinstance(action.choices, dict) and not action.option_strings:  # sub-commands
            self.commands += action.choices
            return
        if action.help == argparse.SUPPRESS or "--help" in action.option_strings:
            return
        if not action.option_strings:
            self.positionals.append(self._value(action))
        self.sections[-1].rows.append((self._invocation(action), self._expand_help(action) if action.help else ""))

    def format_help(self) -> str:
        return ""

    def _invocation(self, action: argparse.Action) -> str:
        value = self._value(action)
        names = ", ".join(action.option_strings)
        return " ".join(part for part in (names, value) if part)

    def _value(self, action: argparse.Action) -> str:
        if action.nargs == 0:
            return ""
        choices = "|".join(str(choice) for choice in action.choices or ())
        name = action.metavar if isinstance(action.metavar, str) else choices or action.dest.upper()
        match action.nargs:
            case "?":
                return f"[{name}]"
            case "*":
                return f"[{name} ...]"
            case "+":
                return f"{name} ..."
            case _:
                return name


def command_line() -> str:
    """Return the page with every command and its options."""
    program = _help_of()
    (shared,) = (section for section in program.sections if any("--store" in name for name, _ in section.rows))
    return page(
        "# Command line",
        NOTE,
        *_texts(program.sections[0], program.commands),
        "Every command accepts these options, before or after its name. With `--json` a command prints one JSON object"
        " per line on stdout and nothing else. Ids may be shortened to any unique prefix.",
        _table(shared),
        *(block for section in program.sections[1:] if section is not shared for block in _texts(section)),
        *(block for name in program.commands for block in _command(shared.heading, name)),
    )


def _command(shared: str, *words: str) -> Iterator[str]:
    """Yield the blocks about a command and its sub-commands, without the section of that heading."""
    found = _help_of(*words)
    line = " ".join(("aura", *words))
    yield f"{'#' * (len(words) + 1)} {line}"
    yield from _texts(found.sections[0])
    if found.commands:
        for name in found.commands:
            yield from _command(shared, *words, name)
        return
    yield fenced(" ".join((line, "[OPTIONS]", *found.positionals)))
    for section in found.sections[1:]:
        if section.heading != shared:
            yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    if section.heading not in _PLAIN and section.rows:
        yield f"**{section.heading[0].upper()}{section.heading[1:]}**"
    yield from _texts(section)
    yield _table(section)


def _texts(section: Section, commands: Container[str] = ()) -> Iterator[str]:
    """Yield the paragraphs of a section. Those of several lines are laid out by hand: lists become tables."""
    for text in section.texts:
        for paragraph in text.strip().split("\n\n"):
            heading, _, below = paragraph.partition("\n")
            if not below:
                yield inline(paragraph)
            elif rows := _rows(below):
                yield f"**{heading[0].upper()}{heading[1:].rstrip(':')}**"
                yield table(("name", "meaning"), [(_linked(name, commands), inline(text)) for name, text in rows])
            else:
                yield fenced(paragraph)


def _rows(text: str) -> list[tuple[str, str]]:
    """Return the lines of a list, each a name and its meaning two spaces or more apart; none if it is not a list."""
    joined = re.sub(r"\n {6,}", " ", text).split("\n")
    rows = [re.fullmatch(r"  (\S+) {2,}(.+)", line) for line in joined]
    return [(row[1], row[2]) for row in rows if row] if all(rows) else []


def _linked(name: str, commands: Container[str]) -> str:
    return f"[`aura {name}`](#aura-{name})" if name in commands else f"`{name}`"


def _table(section: Section) -> str:
    rows = [(f"`{name}`", inline(text)) for name, text in section.rows]
    return table(("argument", "meaning"), rows) if rows else ""


def _help_of(*words: str) -> _Collector:
    """Return what `aura WORDS --help` would show."""
    parsers: list[argparse.ArgumentParser] = []

    def collect(parser: argparse.ArgumentParser, file: object = None) -> None:
        parsers.append(parser)

    with patch.object(argparse.ArgumentParser, "print_help", collect), suppress(SystemExit):
        main([*words, "--help"])
    (parser,) = parsers
    found: list[_Collector] = []

    collector = type("Collector", (_Collector, parser.formatter_class), {})

    def formatter(prog: str) -> _Collector:
        found.append(collector(prog))
        return found[-1]

    parser.formatter_class = formatter
    parser.format_help()
    return found[0]
