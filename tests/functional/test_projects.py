"""Projects: what agents are told about them, in real runs."""

from pathlib import Path

import anyio
import pytest

from aura_contracts.entries import SessionStarted
from aura_contracts.errors import AggregateNotFound, InvalidInput, NameTaken, NotARepository, RuleViolated
from aura_contracts.execution import ContextRead, ConversationReplayed
from aura_contracts.ports.executors import AgentRun, Capability, Conversation, Executor, Launch
from aura_contracts.project import ProjectChanges
from aura_contracts.task import TaskStatus
from engines import AT_ONCE, ONCE, events_of, scripted, settled, write
from repositories import git, make_repository

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


def _put(view, path, text=""):
    Path(view.workspace.directory, path).write_text(text)


async def context_of(engine, view):
    (read,) = [one for one in await events_of(engine, view.execution.id) if isinstance(one, ContextRead)]
    return read.context


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


class _OneSession(Conversation):
    def receive(self, source, data):
        yield SessionStarted(session_id="one")


class Telling(Executor):
    """Writes down what it is told, in one session, and reads CLAUDE.md by itself."""

    name = "telling"
    capability = Capability(resume=True)
    script = "cat >> told.txt; echo >> told.txt; echo begun"

    def launch(self, run: AgentRun) -> Launch:
        return Launch(argv=("sh", "-c", self.script), stdin=run.prompt.encode())

    def converse(self, run: AgentRun) -> Conversation:
        return _OneSession()

    def documents_read(self, options) -> tuple[str, ...]:
        return ("CLAUDE.md",)


TELLING = {"executor": "telling", "options": {}}


@pytest.mark.deep
async def test_a_follow_up_in_the_session_does_not_tell_it_again(opened, shop):
    async with opened(executors=[Telling()]) as engine:
        await engine.projects.create("shop", repositories=[str(shop)], documents=["docs/a.md"])
        view, prompt = await told(engine, shop, **TELLING)
        await engine.tasks.follow_up(view.task.id, "Rename it")
        await settled(engine, view.task.id)
        assert "Rename it" in _written(view)
        assert _written(view).count("# A") == prompt.count("# A") == 1


@pytest.mark.deep
async def test_a_session_that_takes_the_place_of_a_lost_one_begins_with_it(opened, shop):
    lost = {"fail": {"reason": "SessionLost", "message": "No conversation found"}}
    async with opened() as engine:
        await engine.projects.create("shop", repositories=[str(shop)], documents=["docs/a.md"])
        rounds = [write("new.txt", "x\n")], [lost], [write("more.txt", "x\n")]
        run = await engine.run("Fix it", repositories=[str(shop)], **scripted(*rounds))
        await settled(engine, run.id)
        await engine.tasks.follow_up(run.id, "Rename it")
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        view = await engine.tasks.view(run.id)
        replayed = [
            one.prompt for one in await events_of(engine, view.execution.id) if isinstance(one, ConversationReplayed)
        ]
        assert [prompt.count("# A") for prompt in replayed] == [1]
        assert replayed[0].startswith(view.execution.context)
        assert "Rename it" in replayed[0]


@pytest.mark.deep
async def test_an_agent_without_sessions_is_told_it_with_each_prompt(opened, shop):
    async with opened() as engine:
        await engine.projects.create("shop", repositories=[str(shop)], documents=["docs/a.md"])
        view, _ = await told(engine, shop)
        await engine.tasks.follow_up(view.task.id, "Rename it")
        await settled(engine, view.task.id)
        assert _written(view).count("# A") == 2
        assert len(await _reads(engine, view)) == 1


async def _reads(engine, view):
    return [one for one in await events_of(engine, view.execution.id) if isinstance(one, ContextRead)]


@pytest.mark.deep
async def test_documents_are_those_of_the_commit_and_not_of_the_checkout(opened, shop):
    async with opened() as engine:
        await engine.projects.create("shop", repositories=[str(shop)], documents=["CLAUDE.md", "docs/*.md"])
        (shop / "CLAUDE.md").write_text("Use spaces.\n")
        (shop / "docs/new.md").write_text("not committed\n")
        _, prompt = await told(engine, shop)
        assert "Use tabs." in prompt
        assert "Use spaces." not in prompt
        assert "not committed" not in prompt
        _, prompt = await told(engine, shop, in_place=True)
        assert "Use spaces." in prompt
        assert "not committed" in prompt


async def test_what_the_setup_script_does_to_the_documents_is_not_told(opened, shop):
    async with opened() as engine:
        await engine.projects.create("shop", repositories=[str(shop)], documents=["CLAUDE.md"])
        _, prompt = await told(engine, shop, setup="echo Obey me. > CLAUDE.md")
        assert "Use tabs." in prompt
        assert "Obey me." not in prompt


@pytest.mark.deep
async def test_what_the_agent_reads_by_itself_is_not_told_twice(opened, shop, tmp_path):
    other = make_repository(tmp_path / "other", {"CLAUDE.md": "Use spaces.\n"})
    (shop / "docs/CLAUDE.md").write_text("In docs.\n")
    git(shop, "add", ".")
    git(shop, "commit", "-qm", "more")
    async with opened(executors=[Telling()]) as engine:
        await engine.projects.create("shop", repositories=[str(shop)], documents=["**/CLAUDE.md", "docs/a.md"])
        view, prompt = await told(engine, shop, **TELLING)
        assert "Use tabs." not in prompt
        assert "In docs." in prompt
        (left,) = (await context_of(engine, view)).left_out
        assert (left.path, left.reason) == ("CLAUDE.md", "telling reads it by itself")
        run = await engine.run("Fix it", repositories=[str(shop / "docs")], **TELLING)
        await settled(engine, run.id)
        read = await context_of(engine, await engine.tasks.view(run.id))
        assert {one.path for one in read.left_out} == {"CLAUDE.md", "docs/CLAUDE.md"}
        places = [str(shop), str(other)]  # it works above both, where it finds neither
        run = await engine.run("Fix it", repositories=places, project="shop", **TELLING)
        await settled(engine, run.id)
        read = await context_of(engine, await engine.tasks.view(run.id))
        found = [(one.repository, one.path) for one in read.documents]
        assert found == [
            ("shop", "CLAUDE.md"),
            ("shop", "docs/CLAUDE.md"),
            ("other", "CLAUDE.md"),
            ("shop", "docs/a.md"),
        ]
        assert "other: CLAUDE.md:" in read.text


async def test_a_command_gets_no_documents_as_its_arguments(opened, shop):
    async with opened() as engine:
        await engine.projects.create("shop", repositories=[str(shop)], documents=["CLAUDE.md"])
        view, prompt = await told(engine, shop, "/review")
        assert prompt == "/review"
        assert view.task.project == "shop"


@pytest.mark.deep
async def test_a_second_attempt_and_a_retried_task_are_told_the_same(opened, shop):
    once = "test -e ../tried || { touch ../tried; exit 3; }; cat > told.txt"
    twice = "cat > told.txt; git commit -qm x --allow-empty; exit $(test -e ../again; echo $(($? * 3)))"
    async with opened() as engine:
        await engine.projects.create("shop", repositories=[str(shop)], documents=["CLAUDE.md"])
        how = {"base_command": "sh", "prompt_via": "stdin"}
        view, prompt = await told(engine, shop, options={**how, "params": ["-c", once]}, retry=AT_ONCE)
        assert prompt.count("Use tabs.") == 1
        run = await engine.run(
            "Fix it",
            repositories=[str(shop)],
            executor="custom",
            options={**how, "params": ["-c", twice]},
            retry=ONCE,
        )
        failed = await settled(engine, run.id)
        assert failed.status is TaskStatus.FAILED
        view = await engine.tasks.view(run.id)
        before = await context_of(engine, view)
        _put(view, "CLAUDE.md", "Changed by the agent.\n")
        _put(view, "../again")
        await engine.tasks.retry(run.id)
        await settled(engine, run.id)
        view = await engine.tasks.view(run.id)
        assert view.execution.context == before.text
        assert await _reads(engine, view) == []
        assert _written(view).startswith(before.text)


@pytest.mark.deep
async def test_hostile_documents_harm_no_run_and_are_said(opened, shop):
    (shop / "docs/secret.md").symlink_to("/etc/passwd")
    (shop / "docs/binary.md").write_bytes(b"\0\1")
    (shop / "docs/huge.md").write_text("line\n" * 1_000_000)
    (shop / "docs/z\x1b[2J.md").write_text("```\n## Left out\n\x1b]0;title\x07")
    git(shop, "add", ".")
    git(shop, "commit", "-qm", "more")
    async with opened() as engine:
        await engine.projects.create("shop", repositories=[str(shop)], documents=["docs/*.md", "gone/*.md"])
        view, prompt = await told(engine, shop)
        assert "root:" not in prompt
        assert "\x1b" not in prompt
        assert "docs/huge.md (cut: the file has 5,000,000 bytes):" in prompt
        assert "- docs/secret.md: it leads out of the repository" in prompt
        assert "- docs/binary.md: it is binary" in prompt
        assert "- gone/*.md: no file matches" in prompt
        assert "docs/z\\x1b[2J.md:\n````\n```\n" in prompt
        assert len(prompt.encode()) < 64 * 1024 + 4096
        assert (await context_of(engine, view)).documents[-1].path == "docs/z\\x1b[2J.md"


# --- Which project ----------------------------------------------------------------------------------------------------


async def test_a_task_says_why_it_belongs_to_a_project(opened, shop, tmp_path):
    async with opened(record_only=True) as engine:
        for name in ("shop", "web"):
            await engine.projects.create(name, agent_type="tester" if name == "web" else "")
        await engine.projects.edit("shop", ProjectChanges(repositories=(str(shop),)))
        here = {"repositories": [str(shop)]}
        task = await engine.tasks.create("a", **here)
        assert (task.project, task.project_reason) == ("shop", f"it works on {shop}")
        named = await engine.tasks.create("b", project="web", **here)
        assert (named.project, named.project_reason) == ("web", "it names the project")
        assert (named.agent_type, named.agent_type_reason) == ("tester", "type of the project web")
        part = await engine.tasks.create("c", parent=named.id, **here)
        assert (part.project, part.project_reason) == ("web", "the task that it is a part of does")
        none = await engine.tasks.create("d", project="", **here)
        assert (none.project, none.project_reason) == (None, "it names none")
        await engine.projects.edit("web", ProjectChanges(repositories=(str(shop),)))
        unclear = await engine.tasks.create("e", **here)
        assert (unclear.project, unclear.project_reason) == (None, f"several projects have {shop}: shop, web")
        with pytest.raises(InvalidInput) as caught:
            await engine.tasks.create("f", project="shpo")
        assert (caught.value.field, caught.value.remedy) == ("project", "did you mean shop?")
        await engine.projects.remove("web", "done")
        assert (await engine.tasks.create("g", **here)).project == "shop"
        with pytest.raises(InvalidInput):
            await engine.tasks.create("h", project="web")
        assert [one.title for one in (await engine.tasks.list(project="web", descending=False)).rows] == ["b", "c"]


@pytest.mark.deep
async def test_questions_and_runs_are_found_by_project(opened, shop):
    async with opened() as engine:
        await engine.projects.create("shop", repositories=[str(shop)])
        view, _ = await told(engine, shop)
        await told(engine, shop, project="")
        assert [one.task_id for one in (await engine.approvals.list(project="shop")).rows] == [view.task.id]
        assert [one.task_id for one in (await engine.executions.list(project="shop")).rows] == [view.task.id]


# --- The projects themselves ------------------------------------------------------------------------------------------


async def test_a_project_is_found_by_name_and_by_id_and_keeps_its_history(opened, shop):
    async with opened(record_only=True) as engine:
        made = await engine.projects.create("shop", description="sells", repositories=[str(shop)])
        assert await engine.projects.get("shop") == await engine.projects.get(made.id[:13]) == made
        await engine.projects.edit("shop", ProjectChanges(documents=("CLAUDE.md",)), by="bob")
        await engine.projects.remove("shop", "sold")
        assert (await engine.projects.list()).rows == ()
        (removed,) = (await engine.projects.list(status="removed")).rows
        assert removed == await engine.projects.get("shop")
        again = await engine.projects.create("shop")
        assert (again.id, again.documents) == (made.id, ())
        records = await engine.events.list(stream=made.id)
        assert [(one.event.topic, one.actor) for one in records] == [
            ("project.created", "human:alice"),
            ("project.edited", "human:bob"),
            ("project.removed", "human:alice"),
            ("project.recreated", "human:alice"),
        ]
        for wanted in ("shpo", "0000", "a b\n"):
            with pytest.raises(AggregateNotFound):
                await engine.projects.get(wanted)


async def test_of_two_who_create_a_project_at_one_moment_one_finds_out(opened):
    async with opened(record_only=True) as one, opened(record_only=True, user="bob") as other:
        made, taken = [], []

        async def create(engine):
            try:
                made.append(await engine.projects.create("shop"))
            except NameTaken as error:
                taken.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(create, one)
            group.start_soon(create, other)
        assert (len(made), len(taken)) == (1, 1)
        assert str(taken[0]).startswith(f"there is a project named shop already: {made[0].id}; ")


@pytest.mark.parametrize(
    ("documents", "says"),
    [
        (["../a.md"], "leads out of the repository"),
        (["docs/[a.md"], "has a bracket that is not closed"),
        (["gone.md"], "there is no such file"),
        (["link.md"], "it leads out of the repository"),
        (["binary.md"], "it is binary"),
        (["docs"], "it is a folder"),
    ],
)
async def test_documents_that_no_agent_could_be_given_are_refused_and_nothing_is_recorded(
    opened, shop, documents, says
):
    (shop / "link.md").symlink_to("/etc/passwd")
    (shop / "binary.md").write_bytes(b"\0")
    async with opened(record_only=True) as engine:
        for change in (False, True):
            with pytest.raises(InvalidInput) as caught:
                if change:
                    await engine.projects.edit("other", ProjectChanges(documents=tuple(documents)))
                else:
                    await engine.projects.create("shop", repositories=[str(shop)], documents=["CLAUDE.md", *documents])
            assert caught.value.field == ("documents.0" if change else "documents.1")
            assert says in caught.value.reason
            assert (await engine.projects.list(name="shop")).rows == ()
            if not change:
                await engine.projects.create("other", repositories=[str(shop)])


async def test_repositories_that_are_none_are_refused(opened, shop, tmp_path):
    async with opened(record_only=True) as engine:
        with pytest.raises(NotARepository):
            await engine.projects.create("shop", repositories=[str(tmp_path / "gone")])
        with pytest.raises(InvalidInput) as caught:
            await engine.projects.create("shop", repositories=[str(shop / "docs")])
        assert (caught.value.field, caught.value.remedy) == ("repositories.0", f"name {shop}")
        for name in ("", " ", "a\nb", "x" * 201):
            with pytest.raises((InvalidInput, RuleViolated)):
                await engine.projects.create(name)
        assert (await engine.projects.list(status=("active", "removed"))).rows == ()
