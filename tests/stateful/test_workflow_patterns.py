"""The control-flow patterns of the Workflow Patterns catalogue and the rules of steps, as files with runs beside them.

The numbers are the catalogue's (Russell, ter Hofstede, van der Aalst, Mulyar: Workflow Control-Flow Patterns, report
BPM-06-22); the ones that AURA has are those of `examples/workflows/patterns`, which
`docs/reference/workflow-patterns.md` lists with the others. What else a definition can say has its files in
`tests/data/workflow_rules`.
"""

import re
from pathlib import Path

import pytest
import yaml
from workflow_engine import EngineWorld

from aura_contracts.failures import FailureReason
from aura_engine.orchestration.definition_file import read_definition
from workflow_graphs import Outcomes
from workflow_reference import Reference
from workflow_runs import play, require

ROOT = Path(__file__).parents[2]
PATTERNS, RULES = ROOT / "examples/workflows/patterns", ROOT / "tests/data/workflow_rules"
FILES = [path for folder in (PATTERNS, RULES) for path in sorted(folder.glob("*.yaml")) if ".runs" not in path.name]
PAGE = ROOT / "docs/reference/workflow-patterns.md"


def runs_of(file):
    return yaml.safe_load(file.with_suffix(".runs.yaml").read_text())


RUNS = [pytest.param(file, run, id=f"{file.stem}: {run['title']}") for file in FILES for run in runs_of(file)]


def outcomes_of(run):
    """Answers as a run states them: reasons of failures by their names."""
    answers = run.get("answers", {})
    return Outcomes(
        {key: [FailureReason(one) if isinstance(one, str) else one for one in answers[key]] for key in answers}
    )


def test_the_page_lists_every_pattern_and_exactly_the_files_there_are():
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 44))
    named = [cell.strip("`") for _, cell in rows if cell != "-"]
    assert named == [file.name for file in FILES if file.parent == PATTERNS]
    assert all(cell.startswith(f"`{int(number):02}-") for number, cell in rows if cell != "-")


@pytest.mark.parametrize("world", [EngineWorld, Reference])
@pytest.mark.parametrize(("file", "run"), RUNS)
def test_workflows_run_as_is_written_beside_them(file, run, world):
    definition = read_definition(file.read_bytes(), file.name).require(file.name)
    workflow = world(definition, outcomes_of(run))
    play(workflow, run.get("then", ["rest"]))
    require(workflow, run)
