"""The pages that are made from the code are what the code says now."""

import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from aura_contracts.aggregates import AGGREGATES, CATALOGUE
from aura_engine.profiles import HARMLESS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

EXECUTORS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["aura.executors"]


@pytest.fixture
def generate(monkeypatch):
    """The script, as Python finds it and the modules beside it."""
    monkeypatch.syspath_prepend(DOCS)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import generate

    return generate


def test_the_committed_pages_have_not_drifted(generate, capsys):
    assert generate.main(["--check"]) == 0, capsys.readouterr().out


def test_a_page_that_has_drifted_is_reported_and_not_touched(generate, tmp_path, capsys):
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    page = tmp_path / "state-diagrams.md"
    page.write_text(page.read_text("utf-8") + "An edit.\n", "utf-8")
    assert generate.main(["--check"], tmp_path) == 1
    assert "state-diagrams.md has drifted" in capsys.readouterr().out
    assert page.read_text("utf-8").endswith("An edit.\n")


def test_a_page_about_no_executor_is_reported_and_goes(generate, tmp_path, capsys):
    generate.main([], tmp_path)
    left = tmp_path / "agents/gone.md"
    left.write_text("An agent that nobody runs any more.", "utf-8")
    assert generate.main(["--check"], tmp_path) == 1
    assert "gone.md is about no executor" in capsys.readouterr().out
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
    assert f"({name}.md)" in generate.pages()["agents/README.md"]
    options = text.partition("\n## Options\n")[2]
    for field in msgspec.structs.fields(options_of(generate, name)):
        assert f"| `{field.name}` |" in options
    rest_of_rst = [line for line in text.splitlines() if "``" in line.replace("```", "") or line.startswith("===")]
    assert rest_of_rst == []
    assert str(ROOT) not in text


def options_of(generate, name):
    from generator.agents import agent_of

    return agent_of(EXECUTORS[name]).options


def test_every_kind_of_entry_has_a_section(generate):
    from generator.entries import ENTRIES

    text = generate.entries()
    for kind in ENTRIES:
        section = text.partition(f"## `{kind.__struct_config__.tag}`\n")[2].partition("\n##")[0]
        assert all(f"| `{field}` |" in section for field in kind.__struct_fields__)


def test_docstrings_become_markdown(generate):
    from generator.prose import markdown

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


def test_what_a_project_may_set_is_told():
    text = (DOCS / "profiles.md").read_text("utf-8").partition("## What a project may set")[2]
    assert {word for word in HARMLESS if f"`{word}`" not in text} == set()
