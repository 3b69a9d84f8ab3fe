"""What tests with real agents share: they are skipped where the agents are not installed."""

import pytest
from live import folder

REMEDY = "python tests/real_agents/install.py DIR, then AURA_REAL_AGENTS=DIR"


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
