"""Declarations: what an option is called, what it takes, and which field of a request it sets.

``retry.max_attempts`` is a key of the field ``retry``.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from aura_cli.arguments.values import pair, setting


class Option(NamedTuple):
    """An argument that sets a field of a request."""

    field: str
    flag: str
    """``--name``, or the name of an argument without one."""
    help: str
    metavar: str = ""
    """Empty for a flag, which sets the field to true."""
    convert: Callable[[str], Any] | None = None
    choices: tuple[str, ...] | None = None
    default: Any = None
    repeatable: bool = False
    required: bool = False
    short: str = ""
    either: str = ""
    """A name that several options of a command share if exactly one of them must be given."""

    @property
    def dest(self) -> str:
        """Its name in the parsed arguments."""
        return self.flag.removeprefix("--").replace("-", "_")


class OptionGroup(NamedTuple):
    """Options that the help shows together; without a title, among those of the command itself."""

    title: str
    options: tuple[Option, ...]
    note: str = ""


def add_options(parser: ArgumentParser, groups: Iterable[OptionGroup]) -> None:
    """Declare the arguments."""
    for group in groups:
        add = parser.add_argument_group(group.title, group.note or None).add_argument if group.title else None
        either: dict[str, Callable[..., Any]] = {}
        for option in group.options:
            if option.either and option.either not in either:
                either[option.either] = parser.add_mutually_exclusive_group(required=True).add_argument
            add_option(either.get(option.either) or add or parser.add_argument, option)


def add_option(add: Callable[..., Any], option: Option) -> None:
    """Declare an argument with `add`, a method of a parser or a group."""
    if not option.flag.startswith("--"):
        add(option.flag, metavar=option.metavar, help=option.help, choices=option.choices)
        return
    flags = [option.short, option.flag] if option.short else [option.flag]
    if not option.metavar:
        add(*flags, action="store_true", help=option.help)
        return
    more: dict[str, Any] = {"action": "append", "default": []} if option.repeatable else {"default": option.default}
    if option.choices is not None:
        more["choices"] = option.choices
    if option.convert is not None:
        more["type"] = option.convert
    add(*flags, metavar=option.metavar, help=option.help, required=option.required, **more)


def values_of(arguments: Namespace, groups: Iterable[OptionGroup]) -> dict[str, Any]:
    """Return the given values by the field they set; fields like ``retry.max_attempts`` become a dictionary.

    Pairs (``--option KEY=VALUE``) become a dictionary too, in which the last value of a key wins.
    """
    found: dict[str, Any] = {}
    for option in (each for group in groups for each in group.options if each.field):
        value = getattr(arguments, option.dest)
        if value is None or value is False or value == []:
            continue
        field, _, key = option.field.partition(".")
        if option.convert in (pair, setting):
            found.setdefault(field, {}).update(value)
        elif key:
            found.setdefault(field, {})[key] = value
        else:
            found[field] = value
    return found
