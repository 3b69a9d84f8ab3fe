"""The pages that are made from the code are what the code says now."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from aura_contracts.aggregates import AGGREGATES, CATALOGUE

DOCS = Path(__file__).parents[2] / "docs"


def load(script: Path):
    spec = importlib.util.spec_from_file_location("generate", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def generate(tmp_path):
    """The script, in a documentation folder of its own."""
    (tmp_path / "docs").mkdir()
    return load(Path(shutil.copy(DOCS / "generate.py", tmp_path / "docs")))


def test_the_committed_pages_have_not_drifted(capsys):
    assert load(DOCS / "generate.py").main(["--check"]) == 0, capsys.readouterr().out


def test_a_page_that_has_drifted_is_reported_and_not_touched(generate, capsys):
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    page = generate.FOLDER / "state-diagrams.md"
    page.write_text(page.read_text("utf-8") + "An edit.\n", "utf-8")
    assert generate.main(["--check"]) == 1
    assert "state-diagrams.md has drifted" in capsys.readouterr().out
    assert page.read_text("utf-8").endswith("An edit.\n")


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
