"""Every command is refused by an engine that only reads, with the same error; nothing is written or started."""

import inspect

import pytest

from aura_contracts.agent import AgentChanges
from aura_contracts.errors import StoreReadOnly
from aura_contracts.ports.workspaces import Orphan
from aura_contracts.task import TaskChanges
from aura_engine import open_engine
from aura_engine.facade.doctor import Finding
from aura_engine.facade.engine import Engine
from aura_engine.facade.noun import Noun
from engines import scripted, settled, write

pytestmark = pytest.mark.anyio

NOUNS = [name for name, member in vars(Engine).items() if isinstance(member, Noun)]

READING = {
    *("get", "list", "view", "diff", "inspect", "orphans", "latest", "head", "read", "capability", "check", "examine"),
    *("verify", "export", "costs"),
}
"""Methods that change nothing; what else a noun has is a command."""

MAKING = {
    "tasks.create": lambda e, _: e.tasks.create("Another"),
    "agents.add": lambda e, _: e.agents.add("Bob", "custom"),
    "audit.checkpoint": lambda e, _: e.audit.checkpoint(),
    "store.rebuild": lambda e, _: e.store.rebuild(),
    "run": lambda e, _: e.run("Say more", **scripted([write("d.txt", "one\n")])),
}
"""The commands that name nothing in the store."""


async def fix_it():
    raise AssertionError("a read-only engine fixes nothing")


COMMANDS = MAKING | {
    "resume": lambda e, x: e.resume(x.task),
    "tasks.edit": lambda e, x: e.tasks.edit(x.task, TaskChanges(title="New")),
    "tasks.reparent": lambda e, x: e.tasks.reparent(x.task, None),
    "tasks.delete": lambda e, x: e.tasks.delete(x.task),
    "tasks.assign": lambda e, x: e.tasks.assign(x.new, executor="custom"),
    "tasks.execute": lambda e, x: e.tasks.execute(x.task),
    "tasks.follow_up": lambda e, x: e.tasks.follow_up(x.task, "more"),
    "tasks.retry": lambda e, x: e.tasks.retry(x.task),
    "tasks.interrupt": lambda e, x: e.tasks.interrupt(x.task),
    "tasks.cancel": lambda e, x: e.tasks.cancel(x.task),
    "tasks.submit": lambda e, x: e.tasks.submit(x.new, "a plan"),
    "tasks.decompose": lambda e, x: e.tasks.decompose(x.new, ["one", "two"]),
    "tasks.move": lambda e, x: e.tasks.move(x.new, "backlog"),
    "approvals.approve": lambda e, x: e.approvals.approve(x.approval),
    "approvals.reject": lambda e, x: e.approvals.reject(x.approval, "no"),
    "approvals.request_changes": lambda e, x: e.approvals.request_changes(x.approval, "more"),
    "approvals.delegate": lambda e, x: e.approvals.delegate(x.approval, "bob"),
    "agents.edit": lambda e, x: e.agents.edit(x.agent, AgentChanges(name="Bo")),
    "agents.disable": lambda e, x: e.agents.disable(x.agent),
    "agents.enable": lambda e, x: e.agents.enable(x.agent),
    "workspaces.snapshot": lambda e, x: e.workspaces.snapshot(x.ended),
    "workspaces.restore": lambda e, x: e.workspaces.restore(x.ended, "1"),
    "workspaces.clean": lambda e, x: e.workspaces.clean(x.ended),
    "workspaces.remove_orphan": lambda e, x: e.workspaces.remove_orphan(x.orphan),
    "workspaces.warm": lambda e, x: e.workspaces.warm(x.repository, 1),
    "doctor.fix": lambda e, _: e.doctor.fix(Finding(id="x", kind="task", status="wrong", text="stuck", fix=fix_it)),
}


class Stored:
    """What the commands name."""

    async def record(self, engine, repository):
        run = await engine.run("Write", repositories=[str(repository)], **scripted([write("b.txt", "one\n")]))
        await run.idle()
        self.repository, self.task, self.approval = str(repository), run.id, (await engine.approvals.list()).rows[0].id
        self.agent, self.new = (await run.task()).assigned_agent, (await engine.tasks.create("New")).id
        other = await engine.run("Write", repositories=[str(repository)], **scripted([write("c.txt", "one\n")]))
        await other.idle()
        self.ended = (await engine.workspaces.snapshot(other.id)).id
        await other.cancel()
        await settled(engine, other.id)
        tree = (await engine.workspaces.get(self.ended)).worktrees[0].path
        about = {"workspace_id": self.ended, "path": tree, "repository": self.repository}
        self.orphan = Orphan(**about, branch="", dirty=False, reason="left behind")


def test_every_command_is_tried():
    methods = {f"{name}.{method}" for name in NOUNS for method in methods_of(name)}
    assert methods == {name for name in COMMANDS if "." in name}


def methods_of(noun):
    kind = getattr(__import__(f"aura_engine.facade.{noun}", fromlist=[noun]), noun.capitalize())
    public = {name for name, member in vars(kind).items() if inspect.isfunction(member) and not name.startswith("_")}
    return public - READING


@pytest.mark.parametrize("way", [{"read_only": True}, {"auditing": True}], ids=["read_only", "auditing"])
async def test_a_store_in_a_file(opened, repository, tmp_path, way):
    stored = Stored()
    async with opened() as engine:
        await stored.record(engine, repository)
        head = await engine.events.head()
    before = (tmp_path / "aura.db").read_bytes()
    async with opened(**way) as engine:
        await refused(engine, COMMANDS, stored)
        assert await engine.events.head() == head
    assert (tmp_path / "aura.db").read_bytes() == before


@pytest.mark.parametrize("way", [{"read_only": True}, {"auditing": True}], ids=["read_only", "auditing"])
async def test_a_store_in_memory(tmp_path, way):
    async with open_engine("memory:", user="alice", home=tmp_path, **way) as engine:
        await refused(engine, MAKING)
        assert await engine.events.head() == 0


async def refused(engine, commands, stored=None):
    for name, command in commands.items():
        with pytest.raises(StoreReadOnly, match="opened read-only; open it without read_only"):
            await command(engine, stored)
            pytest.fail(f"{name} was carried out")
