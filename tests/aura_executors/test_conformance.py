"""Every executor that is installed keeps the promises of the port, with the runs that it really wrote.

Who adds an executor to ``pyproject.toml`` gets this for nothing; one that cannot do without options has them here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from aura_contracts.ports.executors import AgentRun, Executor
from aura_executors import ExecutorRegistry
from aura_executors.testing.executor import ExecutorConformance

CAPTURES = Path(__file__).parent / "agents" / "captures"

REGISTRY = ExecutorRegistry()

NEEDED: dict[str, dict[str, Any]] = {
    "acp": {"agent": "claude-agent-acp"},
    "custom": {"base_command": "sh"},
    "lms": {"model": "a-model"},
    "local": {"openai_endpoint": "http://127.0.0.1:1/v1"},
    "ollama": {"model": "a-model"},
    "scripted": {"steps": [{"say": "hello"}, {"ask": "rm"}]},
}
"""Options without which an executor does not start."""

FOLDERS = {"codex": "codex-app-server", "qwen-code": "qwen", "acp": "claude-agent-acp"}
"""Where the captures are of what an executor runs by default, if not under its name."""

LARGEST = 40_000
"""Bytes of a capture that is read here; all of them are read in the tests of each adapter."""


ELSEWHERE = {"acp", "amp", "cursor-agent", "custom", "droid", "lms", "local", "ollama", "scripted"}
"""Executors that have such a class of their own, where their streams or other runs are."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.deep] * (name in ELSEWHERE)) for name in REGISTRY.names()]
)
class TestInstalled(ExecutorConformance):
    @pytest.fixture
    def executor(self, name: str) -> Executor:
        return REGISTRY.get(name)

    @pytest.fixture
    def runs(self, executor: Executor) -> Sequence[AgentRun]:
        first = AgentRun(prompt="Say hello", cwd="/tmp", options=NEEDED.get(executor.name, {}))
        return [first, attrs.evolve(first, session_id="a-session")] if executor.capability.resume else [first]

    @pytest.fixture
    def transcripts(self, name: str) -> Sequence[bytes]:
        written = [path.read_bytes() for path in sorted((CAPTURES / FOLDERS.get(name, name)).glob("*.stdout"))]
        return [data for data in written if 0 < len(data) < LARGEST][:3]
