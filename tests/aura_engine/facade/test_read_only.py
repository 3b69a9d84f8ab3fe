"""Every command is refused by an engine that only reads, with the same error; nothing is written or started."""

import inspect
import os

import pytest

from aura_contracts.agent import AgentChanges
from aura_contracts.board import BoardChanges
from aura_contracts.errors import ActorNotAllowed, StoreReadOnly
from aura_contracts.ports.workspaces import Orphan
from aura_contracts.project import ProjectChanges
from aura_contracts.task import TaskChanges
from aura_contracts.workflow import ApprovalStep, StepDefinition, WorkflowDefinition
from aura_engine import Host, open_engine
from aura_engine.facade.doctor import Finding
from aura_engine.facade.engine import Engine
from aura_engine.facade.noun import Noun
from conditions import until
from engines import scripted, settled, write
from repositories import git

pytestmark = pytest.mark.anyio

NOUNS = [name for name, member in vars(Engine).items() if isinstance(member, Noun)]

READING = {
    *("get", "list", "view", "diff", "inspect", "orphans", "latest", "head", "read", "capability", "check", "examine"),
    *("verify", "export", "costs", "queue", "locks", "comments", "overlaps", "parts", "test"),
    *("validate", "record", "url", "page", "builtin", "preview", "revisions"),
    *("definition", "definitions", "attach", "history", "graph", "why", "critical_path"),
    *("upcoming", "workflows"),
}
"""Methods that change nothing; what else a noun has is a command."""

ASKS = WorkflowDefinition(name="ask", steps=(StepDefinition(id="ask", config=ApprovalStep(question="Sure?")),))

MAKING = {
    "tasks.create": lambda e, _: e.tasks.create("Another"),
    "agents.add": lambda e, _: e.agents.add("Bob", "custom"),
    "agents.import_files": lambda e, _: e.agents.import_files(["reviewer.md"]),
    "projects.create": lambda e, _: e.projects.create("shop"),
    "boards.create": lambda e, _: e.boards.create("Shop"),
    "templates.set": lambda e, _: e.templates.set("review", "Look again."),
    "workflows.create": lambda e, _: e.workflows.create(ASKS),
    "schedules.save": lambda e, _: e.schedules.save("often", "ask", "* * * * *"),
    "workflows.start": lambda e, _: e.workflows.start(ASKS),
    "links.rotate_keys": lambda e, _: e.links.rotate_keys(),
    "timers.fire_due": lambda e, _: e.timers.fire_due(),
    "notifications.deliver": lambda e, _: e.notifications.deliver(),
    "notifications.serve": lambda e, _: e.notifications.serve(),
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
    "tasks.complete": lambda e, x: e.tasks.complete(x.new),
    "tasks.decompose": lambda e, x: e.tasks.decompose(x.new, ["one", "two"]),
    "tasks.request_decomposition": lambda e, x: e.tasks.request_decomposition(x.new, executor="custom"),
    "tasks.revert": lambda e, x: e.tasks.revert(x.task),
    "tasks.move": lambda e, x: e.tasks.move(x.new, "backlog"),
    "approvals.approve": lambda e, x: e.approvals.approve(x.approval),
    "approvals.reject": lambda e, x: e.approvals.reject(x.approval, "no"),
    "approvals.request_changes": lambda e, x: e.approvals.request_changes(x.approval, "more"),
    "approvals.comment": lambda e, x: e.approvals.comment(x.approval, "why?", path="a.txt", line=1),
    "approvals.answer_all": lambda e, x: e.approvals.answer_all("approved", approvals=[x.approval]),
    "tasks.tell": lambda e, x: e.tasks.tell(x.task, "hello"),
    "approvals.delegate": lambda e, x: e.approvals.delegate(x.approval, "bob"),
    "agents.edit": lambda e, x: e.agents.edit(x.agent, AgentChanges(name="Bo")),
    "agents.disable": lambda e, x: e.agents.disable(x.agent),
    "agents.enable": lambda e, x: e.agents.enable(x.agent),
    "projects.edit": lambda e, x: e.projects.edit(x.project, ProjectChanges(description="sells")),
    "projects.remove": lambda e, x: e.projects.remove(x.project),
    "agents.learn": lambda e, x: e.agents.learn(x.agent),
    "approvals.link": lambda e, x: e.approvals.link(x.approval, base_url="https://aura.example.org"),
    "links.answer": lambda e, x: e.links.answer(x.link, x.form, "approved"),
    "links.revoke": lambda e, x: e.links.revoke(x.link),
    "links.revoke_all": lambda e, x: e.links.revoke_all(x.approval),
    "boards.edit": lambda e, x: e.boards.edit(x.board, BoardChanges(name="Other")),
    "boards.archive": lambda e, x: e.boards.archive(x.board),
    "boards.place": lambda e, x: e.boards.place(x.board, x.new),
    "boards.remove": lambda e, x: e.boards.remove(x.board, x.new),
    "boards.move": lambda e, x: e.boards.move(x.board, x.new, "ready"),
    "templates.retire": lambda e, _: e.templates.retire("stored"),
    "templates.restore": lambda e, _: e.templates.restore("stored"),
    "workflows.retire": lambda e, _: e.workflows.retire("ask"),
    "workflows.restore": lambda e, _: e.workflows.restore("ask"),
    "schedules.pause": lambda e, _: e.schedules.pause("daily"),
    "schedules.resume": lambda e, _: e.schedules.resume("daily"),
    "schedules.remove": lambda e, _: e.schedules.remove("daily"),
    "workflows.fork": lambda e, x: e.workflows.fork(x.workflow, "ask"),
    "workflows.advance": lambda e, x: e.workflows.advance(x.workflow),
    "workflows.pause": lambda e, x: e.workflows.pause(x.workflow),
    "workflows.resume": lambda e, x: e.workflows.resume(x.workflow),
    "workflows.cancel": lambda e, x: e.workflows.cancel(x.workflow),
    "workflows.retry": lambda e, x: e.workflows.retry(x.workflow, "ask"),
    "workflows.skip": lambda e, x: e.workflows.skip(x.workflow, "ask", "no"),
    "workflows.signal": lambda e, x: e.workflows.signal(x.workflow, "ready"),
    "workflows.update_context": lambda e, x: e.workflows.update_context(x.workflow, {"more": 1}),
    "notifications.retry": lambda e, x: e.notifications.retry(x.notification),
    "workspaces.snapshot": lambda e, x: e.workspaces.snapshot(x.ended),
    "workspaces.restore": lambda e, x: e.workspaces.restore(x.ended, "1"),
    "workspaces.clean": lambda e, x: e.workspaces.clean(x.ended),
    "workspaces.remove_orphan": lambda e, x: e.workspaces.remove_orphan(x.orphan),
    "workspaces.warm": lambda e, x: e.workspaces.warm(x.repository, 1),
    "doctor.fix": lambda e, _: e.doctor.fix(Finding(id="x", kind="task", status="wrong", text="stuck", fix=fix_it)),
}


CONCERNED = [
    *(
        f"tasks.{name}"
        for name in ("edit", "execute", "follow_up", "interrupt", "cancel", "submit", "decompose", "tell")
    ),
    "approvals.approve",
    *("workspaces.restore", "workspaces.clean", "workspaces.remove_orphan"),
]
"""Commands for those whom the task concerns."""


class Stored:
    """What the commands name."""

    async def record(self, engine, repository):
        run = await engine.run("Write", repositories=[str(repository)], **scripted([write("b.txt", "one\n")]))
        await run.idle()
        self.repository, self.task, self.approval = str(repository), run.id, (await engine.approvals.list()).rows[0].id
        self.agent, self.new = (await run.task()).assigned_agent, (await engine.tasks.create("New")).id
        self.project = (await engine.projects.create("stored")).id
        await engine.templates.set("stored", "Look again.")
        self.link = (await engine.approvals.link(self.approval, base_url="https://aura.example.org")).url
        self.form, self.notification = (await engine.links.page(self.link)).form, "0" * 8
        other = await engine.run("Write", repositories=[str(repository)], **scripted([write("c.txt", "one\n")]))
        await other.idle()
        self.ended = (await engine.workspaces.snapshot(other.id)).id
        await other.cancel()
        await settled(engine, other.id)
        tree = (await engine.workspaces.get(self.ended)).worktrees[0].path
        about = {"workspace_id": self.ended, "path": tree, "repository": self.repository}
        self.orphan = Orphan(**about, branch="", dirty=False, reason="left behind")
        await engine.workflows.create(ASKS)
        await engine.schedules.save("daily", "ask", "0 4 * * *")
        self.workflow = (await engine.workflows.start("ask")).id
        await until(lambda: self._asks(engine))
        self.board = (await engine.boards.create("Stored")).id  # its cards follow the tasks, which rest by now

    async def _asks(self, engine):
        return (await engine.workflows.get(self.workflow)).steps["ask"].status == "awaiting_approval"


def test_every_command_is_tried():
    methods = {f"{name}.{method}" for name in NOUNS for method in methods_of(name)}
    assert methods == {name for name in COMMANDS if "." in name}


def methods_of(noun):
    kind = getattr(__import__(f"aura_engine.facade.{noun}", fromlist=[noun]), noun.capitalize())
    public = {name for name, member in vars(kind).items() if inspect.isfunction(member) and not name.startswith("_")}
    return public - READING


@pytest.mark.deep
async def test_a_store_in_a_file(opened, repository, tmp_path):
    stored = Stored()
    async with opened() as engine:
        await stored.record(engine, repository)
        head = await engine.events.head()
    before = (tmp_path / "aura.db").read_bytes()
    for way in ({"read_only": True}, {"auditing": True}):
        async with opened(**way) as engine:
            await refused(engine, COMMANDS, stored)
            assert await engine.events.head() == head
        assert (tmp_path / "aura.db").read_bytes() == before
    await changed_by_no_stranger(opened, repository, stored)


async def changed_by_no_stranger(opened, repository, stored):
    """Try the commands as an observer, and as someone whom the tasks do not concern."""
    copies = git(repository, "for-each-ref")
    host = Host(environment={"AURA_USER": "carol", "AURA_ROLE": "observer", "PATH": os.environ["PATH"]})
    async with opened(host=host, user=None) as engine:
        (outcome,) = await engine.approvals.answer_all("approved", approvals=[stored.approval])
        assert outcome.refused.code == "not_allowed"
        moved = {"tasks.move": lambda e, x: e.tasks.move(x.new, "ready")}
        alone = {name: call for name, call in COMMANDS.items() if name not in {"approvals.answer_all", "links.answer"}}
        await refused(engine, alone | moved, stored, ActorNotAllowed)
    async with opened(user="mallory") as engine:
        await refused(engine, {name: COMMANDS[name] for name in CONCERNED}, stored, ActorNotAllowed)
        run = await engine.attach(stored.task)
        with pytest.raises(ActorNotAllowed):
            await run.kill()
    assert git(repository, "for-each-ref") == copies


@pytest.mark.parametrize("way", [{"read_only": True}, {"auditing": True}], ids=["read_only", "auditing"])
async def test_a_store_in_memory(tmp_path, way):
    async with open_engine("memory:", user="alice", home=tmp_path, **way) as engine:
        await refused(engine, MAKING)
        assert await engine.events.head() == 0


WHY = {StoreReadOnly: "opened read-only; open it without read_only", ActorNotAllowed: "may not"}


async def refused(engine, commands, stored=None, error=StoreReadOnly):
    for name, command in commands.items():
        with pytest.raises(error, match=WHY[error]):
            await command(engine, stored)
            pytest.fail(f"{name} was carried out")
