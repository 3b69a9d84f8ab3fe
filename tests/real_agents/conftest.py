"""What tests with real agents share: they are skipped where the agents are not installed.

Where AURA_GRID names a file, the outcome of the grid is written into it; a part of the grid updates its part.
"""

import json
import os
from pathlib import Path

import pytest
from install import AGENTS
from live import folder
from roster import LEFT_OUT

REMEDY = "python tests/real_agents/install.py DIR, then AURA_REAL_AGENTS=DIR"
FELL = "fell"

cells = dict[tuple[str, str], str]()
"""A word for each agent in each case."""


def pytest_configure(config):
    config.addinivalue_line("markers", f"real_agents: runs real agents, where they are installed ({REMEDY})")


@pytest.fixture
def installed(agent):
    """Skip the test where its agent is not installed."""
    where = folder()
    if where is None:
        pytest.skip(f"no real agents: {REMEDY}")
    if not (where / "bin" / agent.program).exists():
        pytest.skip(f"no {agent.program} in {where}/bin: {REMEDY}")


@pytest.fixture
def remark(record_property):
    """Say in a word what an agent cannot do of a case."""
    return lambda word: record_property("remark", word)


def pytest_runtest_logreport(report):
    """Note the outcome, in the process that hears of all of them."""
    told = dict(report.user_properties)
    if "case" not in told or report.skipped or (report.when != "call" and report.passed):
        return
    place = (told["agent"], told["case"])
    before = cells.get(place, "yes")
    word = FELL if report.failed else told.get("remark", "yes")
    cells[place] = before if word == "yes" or before == FELL else word


def pytest_sessionfinish(session):
    named = os.environ.get("AURA_GRID")
    if named is None or hasattr(session.config, "workerinput") or not cells:
        return
    import test_grid

    file = Path(named)
    old = json.loads(file.read_text())["cells"] if file.exists() else {}
    for (agent, case), word in cells.items():
        old.setdefault(agent, {})[case] = word
    grid = {
        "agents": {agent.name: str(AGENTS[agent.program]) for agent in test_grid.ALL},
        "left out": LEFT_OUT,
        "cases": test_grid.cases(),
        "cells": {
            agent.name: {case: old.get(agent.name, {}).get(case, "not run") for case in test_grid.cases()}
            for agent in test_grid.ALL
        },
    }
    file.write_text(json.dumps(grid, indent=2) + "\n")
