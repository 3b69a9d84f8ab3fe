"""Help and wrong usage: every page reads well in 80 columns, and a typo is answered with what was meant.

`help.txt` holds the help of all commands, so that a change of it is seen in review. To accept a change, run
``python tests/aura_cli/test_help.py > tests/aura_cli/help.txt``.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aura_cli.arguments.parser import Parser
from aura_cli.arguments.program import COMMANDS, GROUPS, program_with
from aura_contracts import __version__
from command_line import call_aura

GOLDEN = Path(__file__).with_name("help.txt")


def parsers(parser: Parser) -> Iterator[Parser]:
    yield parser
    for each in parser.subcommands.values():
        yield from parsers(each)


def pages() -> dict[str, str]:
    return {parser.prog: parser.format_help() for parser in parsers(program_with(COMMANDS))}


def text() -> str:
    return "\n".join(f"{'=' * 80}\n{page}" for page in pages().values())


def test_help_is_as_it_was_reviewed(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert text() == GOLDEN.read_text("utf-8")


@pytest.mark.parametrize("columns", ["80", "200"])
def test_every_page_fits_in_80_columns(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    for name, page in pages().items():
        assert max(map(len, page.splitlines())) <= 80, name


def test_every_option_has_a_help():
    for parser in parsers(program_with(COMMANDS)):
        for action in [*parser.options, *parser.positionals]:
            assert action.help, f"{parser.prog} {action.option_strings or action.metavar}"


def test_aura_alone_shows_its_help():
    answer = call_aura()
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == call_aura("--help").out
    headings = [line for line in answer.out.splitlines() if line.removesuffix(":") in GROUPS]
    assert headings == [f"{title}:" for title in GROUPS]


def test_json_alone_is_wrong_usage():
    answer = call_aura("--json")
    assert (answer.code, answer.out, answer.error["code"]) == (2, "", "usage")


@pytest.mark.parametrize("words", [("task",), ("task", "list"), ("run",), ("audit", "verify")])
def test_help_is_a_command_too(words):
    assert call_aura("help", *words) == call_aura(*words, "--help")
    assert call_aura("help").out == call_aura("--help").out
    assert call_aura("help", "taks").code == 2


def test_the_version_is_an_object_with_json():
    for words in (("--version", "--json"), ("--json", "--version")):
        assert call_aura(*words).objects == [{"id": "aura", "version": __version__}]


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("taks list", "aura task list"),
        ("task lsit", "aura task list"),
        ("tsak lsit", "aura task list"),
        ("--json audit verfy", "aura audit verify"),
        ("help worksapce", "aura workspace"),
        ("approve 0192", "aura approval approve"),
        ("verify", "aura audit verify"),
        ("task list --statsu pending", "--status"),
        ("task list --status pendng", "pending"),
        ("run --executor custom --promt x", "--prompt"),
        ("run --executor custom --prompt x --aproval plan", "--approval"),
        ("usage --by modell", "model"),
        ("task move 0192 blokced", "blocked"),
        ("completion zhs", "zsh"),
    ],
)
def test_a_typo_is_answered_with_what_was_meant(typed, meant):
    answer = call_aura(*typed.split())
    told = answer.err if "--json" not in typed else answer.error["message"]
    assert (answer.code, answer.out) == (2, "")
    assert f"did you mean `{meant}`?" in told
    error = call_aura(*typed.split(), "--json").error
    assert (error["code"], error["facts"]["suggestion"]) == ("usage", meant)
    command = meant if meant.startswith("aura") else f"aura {re.match(r'[a-z]+( (?:list|move))?', typed)[0]}"
    assert error["facts"]["usage"].startswith(command)
    assert error["remedy"] == f"see {command} --help"


@pytest.mark.parametrize("typed", ["taks list", "task list --statsu x", "usage --by modell", "events foo", "nonsense"])
def test_wrong_usage_is_told_in_two_lines(typed):
    first, second = call_aura(*typed.split()).err.splitlines()
    assert first.startswith("error[usage]: ")
    assert re.fullmatch(r"  usage: (aura.*); see `aura.* --help`", second)


def test_what_resembles_nothing_gets_no_suggestion():
    assert call_aura("nonsense", "--json").error["facts"]["suggestion"] == ""
    assert call_aura("list", "--json").error["facts"]["suggestion"] == ""  # five commands have one
    assert call_aura("events", "--zzzz", "--json").error["message"] == "unknown option --zzzz"


def test_values_that_look_like_options_are_no_typos():
    answer = call_aura("run", "--executor", "custom", "--param", "--promt", "--timeout", "x", "--json")
    assert "--timeout" in answer.error["message"]


@pytest.mark.parametrize("words", [("--help",), ("run", "-h"), ("help", "task", "show")])
def test_help_is_an_object_with_json(words):
    (page,) = call_aura(*words, "--json").objects
    assert page["help"].startswith(f"usage: {page['id']}")


if __name__ == "__main__":
    sys.stdout.write(text())
