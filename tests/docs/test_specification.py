"""The page about the specification's functions names methods and events that exist."""

import re
from pathlib import Path

import pytest

from aura_contracts import AGGREGATES
from aura_engine import Engine
from aura_engine.facade.approvals import Approvals
from aura_engine.facade.tasks import Tasks
from aura_engine.facade.workflows import Workflows

PAGE = (Path(__file__).parents[2] / "docs/reference/specification.md").read_text("utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| `engine\.([\w.]+)` \| (.*) \|$", PAGE, re.MULTILINE)
NOUNS = {"tasks": Tasks, "approvals": Approvals, "workflows": Workflows}


def test_every_function_has_a_row():
    wanted = {"createTask", "assignTask", "submitForApproval", "approveTask", "rejectTask", "executeTask"}
    wanted |= {"startWorkflow", "advanceWorkflow", "pauseWorkflow", "resumeWorkflow"}
    assert {name for name, _, _ in ROWS} == wanted | {"decomposeTask", "executeAgent"}


@pytest.mark.parametrize(("name", "method", "events"), ROWS)
def test_what_it_names_exists(name, method, events):
    noun, _, command = method.rpartition(".")
    assert callable(getattr(NOUNS[noun] if noun else Engine, command)), name
    topics = re.findall(r"`(\w+\.\w+)`", events)
    assert set(topics) <= {event.topic for aggregate in AGGREGATES for event in aggregate.events}
