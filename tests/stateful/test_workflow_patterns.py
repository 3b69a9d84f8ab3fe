"""The control-flow patterns of the Workflow Patterns catalogue and the rules of steps, as files with runs beside them.

The numbers are the catalogue's (Russell, ter Hofstede, van der Aalst, Mulyar: Workflow Control-Flow Patterns, report
BPM-06-22); the ones that AURA has are those of `tests/data/patterns`. What else a
definition can say has its files in `tests/data/workflow_rules`.
"""

from pathlib import Path

import pytest
import yaml
from workflow_engine import EngineWorld

from aura_contracts.failures import FailureReason
from aura_engine.orchestration.definition_file import read_definition
from workflow_graphs import Outcomes
from workflow_reference import Reference
from workflow_runs import play, require

DATA = Path(__file__).parent.parent / "data"
NUMBERS = [1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 14, 16, 18, 19, 20, 21, 24, 25, 26, 29, 30, 32, 34, 35, 39, 40, 43]
FILES = [path for path in sorted(DATA.glob("*/*.yaml")) if path.with_suffix(".runs.yaml").exists()]


def runs_of(file):
    return yaml.safe_load(file.with_suffix(".runs.yaml").read_text())


RUNS = [pytest.param(file, run, id=f"{file.stem}: {run['title']}") for file in FILES for run in runs_of(file)]


def outcomes_of(run):
    """Answers as a run states them: reasons of failures by their names."""
    answers = run.get("answers", {})
    return Outcomes(
        {key: [FailureReason(one) if isinstance(one, str) else one for one in answers[key]] for key in answers}
    )


def test_there_is_a_file_for_each_pattern():
    assert [int(file.name[:2]) for file in FILES if file.parent.name == "patterns"] == NUMBERS


@pytest.mark.parametrize("world", [EngineWorld, Reference])
@pytest.mark.parametrize(("file", "run"), RUNS)
def test_workflows_run_as_is_written_beside_them(file, run, world):
    definition = read_definition(file.read_bytes(), file.name).require(file.name)
    workflow = world(definition, outcomes_of(run))
    play(workflow, run.get("then", ["rest"]))
    require(workflow, run)
