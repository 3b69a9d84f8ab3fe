"""The generated pages agree with the code."""

import json
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from aura_contracts import errors
from aura_contracts.catalogue import AGGREGATES, CATALOGUE
from aura_contracts.failures import FailureReason
from aura_engine.profiles import PROJECT_OPTIONS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

COMMANDS = [path.stem for path in (ROOT / "src/aura_cli/commands").glob("[a-z]*.py")]

EXECUTORS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["aura.executors"]


@pytest.fixture
def generate(monkeypatch):
    """The script, imported with its own folder on the path."""
    monkeypatch.syspath_prepend(DOCS)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import generate

    return generate


@pytest.mark.deep
def test_the_committed_pages_have_not_drifted(generate, capsys):
    assert generate.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.deep
def test_a_page_that_has_drifted_is_reported_and_kept(generate, tmp_path, capsys):
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    page = tmp_path / "state-diagrams.md"
    page.write_text(page.read_text("utf-8") + "An edit.\n", "utf-8")
    assert generate.main(["--check"], tmp_path) == 1
    assert "state-diagrams.md has drifted" in capsys.readouterr().out
    assert page.read_text("utf-8").endswith("An edit.\n")


@pytest.mark.deep
def test_a_page_without_an_executor_is_reported_and_removed(generate, tmp_path, capsys):
    generate.main([], tmp_path)
    left = tmp_path / "agents/gone.md"
    left.write_text("An agent of the past.", "utf-8")
    assert generate.main(["--check"], tmp_path) == 1
    assert "gone.md belongs to no executor" in capsys.readouterr().out
    assert generate.main([], tmp_path) == 0
    assert not left.exists()


def test_every_row_of_every_table_is_drawn_or_listed(generate):
    text = generate.state_diagrams()
    for aggregate in AGGREGATES:
        for before, row in aggregate.table.items():
            for event, after in row.items():
                verb = event.topic.partition(".")[2].replace("_", " ")
                arrow = f"    {before or '[*]'} --> {after}: "
                lines = [line for line in text.splitlines() if line.startswith((arrow, "| `"))]
                assert any(verb in line for line in lines), f"{aggregate.name}: {before} --{verb}--> {after}"


def test_every_event_and_every_field_is_in_the_catalogue(generate):
    text = generate.event_catalogue()
    for topic, event in CATALOGUE.types.items():
        section = text.partition(f"### `{topic}`\n")[2].partition("\n##")[0]
        assert f"Version {event.version}, emitted by " in section
        assert all(f"| `{field}` |" in section for field in event.__struct_fields__)


@pytest.mark.parametrize("name", EXECUTORS)
def test_the_page_of_an_executor_has_its_options_and_its_command(generate, name):
    text = generate.pages()[f"agents/{name}.md"]
    assert f"aura run --executor {name} " in text
    assert f"({name}.md)" in generate.pages()["agents/index.md"]
    options = text.partition("\n## Options\n")[2]
    for field in msgspec.structs.fields(options_of(generate, name)):
        assert f"| `{field.name}` |" in options
    rest_of_rst = [line for line in text.splitlines() if "``" in line.replace("```", "") or line.startswith("===")]
    assert rest_of_rst == []
    assert str(ROOT) not in text


def options_of(generate, name):
    from generator.agents import agent_of

    return agent_of(EXECUTORS[name]).options


def test_every_command_and_every_option_is_on_its_page(generate):
    text = generate.pages()["cli.md"]
    for name in COMMANDS:
        assert f"\n## aura {name}\n" in text
    assert "\n### aura task create\n" in text
    run = text.partition("\n## aura run\n")[2].partition("\n## ")[0]
    for option in ("--executor NAME", "--prompt TEXT", "--wait", "--param ARG"):
        assert f"| `{option}` |" in run
    assert "--store" not in run  # the options of every command are listed once


def test_every_error_is_on_its_page_with_its_code(generate):
    text = generate.pages()["errors.md"]
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AuraError)]
    for kind in kinds:
        if kind is not errors.AuraError:
            assert text.count(f"| `{kind.code}` | `{kind.__name__}` |") == 1
    for reason in FailureReason:
        assert f"- `{reason}`" in text


def test_every_kind_of_entry_has_a_section(generate):
    from generator.entries import ENTRIES

    text = generate.entries()
    for kind in ENTRIES:
        section = text.partition(f"## `{kind.__struct_config__.tag}`\n")[2].partition("\n##")[0]
        assert all(f"| `{field}` |" in section for field in kind.__struct_fields__)


def test_no_cell_of_the_grid_fell():
    cells = json.loads((ROOT / "tests/real_agents/grid.json").read_text("utf-8"))["cells"]
    words = {(agent, case): word for agent, row in cells.items() for case, word in row.items()}
    assert {cell: word for cell, word in words.items() if word in {"fell", "not run"}} == {}


def test_docstrings_become_markdown(generate):
    from generator.docstrings import markdown

    docstring = """Runs ``it``.

    it --now        # code

    success      it says so
    failure      it does not,
                 or says ``no``

=====  ========
a      one
b      two,
       or more
=====  ========
"""
    assert list(markdown(docstring)) == [
        "Runs `it`.",
        "```text\nit --now        # code\n```",
        "|  |  |\n| --- | --- |\n| success | it says so |\n| failure | it does not, or says `no` |",
        "|  |  |\n| --- | --- |\n| a | one |\n| b | two, or more |",
    ]


def test_every_option_that_a_project_may_set_is_listed():
    text = (DOCS / "how-to/profiles.md").read_text("utf-8").partition("## What a project may set")[2]
    assert {word for word in PROJECT_OPTIONS if f"`{word}`" not in text} == set()
