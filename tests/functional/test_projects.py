"""Projects: what agents are told about them, in real runs."""

from pathlib import Path

import pytest

from aura_contracts.execution import ContextRead
from aura_contracts.task import TaskStatus
from engines import events_of, settled
from repositories import make_repository

pytestmark = pytest.mark.anyio

PRINTS = {
    "executor": "custom",
    "options": {"base_command": "sh", "params": ["-c", "cat >> told.txt"], "prompt_via": "stdin"},
}
"""An agent that writes down what it is told; each turn is a process of its own, without a session."""


@pytest.fixture
def shop(tmp_path):
    files = {
        "CLAUDE.md": "Use tabs.\n",
        "docs/a.md": "# A\n",
        "docs/b.md": "# B\n",
        "docs/deep/c.md": "# C\n",
        "code.py": "x = 1\n",
    }
    return make_repository(tmp_path / "shop", files)


async def told(engine, repository, prompt="Fix it", **options):
    """Run an agent that writes down its prompt, and return that."""
    run = await engine.run(prompt, repositories=[str(repository)], **{**PRINTS, **options})
    task = await settled(engine, run.id)
    assert task.status in (TaskStatus.AWAITING_APPROVAL, TaskStatus.COMPLETED), task.failure
    view = await engine.tasks.view(run.id)
    return view, _written(view)


def _written(view):
    return Path(view.workspace.directory, "told.txt").read_text()


async def context_of(engine, view):
    (read,) = [one for one in await events_of(engine, view.execution.id) if isinstance(one, ContextRead)]
    return read


async def test_the_first_prompt_of_a_task_holds_the_documents_of_its_project(opened, shop):
    async with opened() as engine:
        await engine.projects.create("shop", repositories=[str(shop)], documents=["CLAUDE.md", "docs/*.md"])
        view, prompt = await told(engine, shop)
        assert (view.task.project, view.task.project_reason) == ("shop", f"it works on {shop}")
        assert prompt.endswith("\n\nFix it")
        places = [prompt.index(text) for text in ("shop", "Use tabs.\n", "# A\n", "# B\n", "Fix it")]
        assert places == sorted(places)
        assert "# C" not in prompt
        read = await context_of(engine, view)
        assert prompt == f"{read.text}\n\nFix it"
        assert [(one.path, one.size, one.kept) for one in read.documents] == [
            ("CLAUDE.md", 10, 10),
            ("docs/a.md", 4, 4),
            ("docs/b.md", 4, 4),
        ]
        assert (await engine.history.get(view.execution.id)).state.context == read.text
