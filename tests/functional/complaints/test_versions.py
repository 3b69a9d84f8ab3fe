"""Complaints 41 to 44: definitions that change while workflows run."""

import pytest
from complaint_site import WorkflowCommands, held, kill, marks, seen
from workflow_steps import command, defined, ends, reaches, step

from aura_contracts.workflow import ForEachStep, SubWorkflowStep, WaitStep
from command_line import call_aura, move_to
from conditions import until
from sites import made_site

pytestmark = pytest.mark.anyio


@pytest.mark.deep
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_41_a_workflow_continues_by_its_own_definition_after_a_deploy(tmp_path, anyio_backend):
    """restatedev/restate (unkeyed/unkey#4979): after a deploy the journal of a running workflow no longer matched.

    In AURA the definition is in the log of the workflow: killed in the middle of a step, it ends as it began, though
    its name has quite other steps by then.
    """
    with made_site(tmp_path, kind=WorkflowCommands) as site:
        root = site.root
        old = defined(marks(root, "one"), held(root, "two", "one"), marks(root, "three", "two"))
        async with site.engine() as engine:
            await engine.workflows.create(old)
            run = await engine.workflows.start("test")
            process = site.begin("advance", run.id, "--wait")
            await until(lambda: site.seen() == ["one", "two"])
            kill(process)
            renamed = marks(root, "first", name="two", compensation=command("undo", "true"))
            await engine.workflows.create(defined(marks(root, "zero", name="three"), renamed))
            (root / "gate").touch()
            assert site.begin("advance", run.id, "--wait").wait(60) == 0, site.said
            done = await engine.workflows.get(run.id)
        assert (done.status, done.revision) == ("completed", "test@1")
        assert [(one.id, one.status, one.attempts) for one in done.steps.values()] == [
            (name, "completed", 1) for name in ("one", "two", "three")
        ]
        assert site.seen() == ["one", "two", "three"]


async def test_42_what_was_evaluated_once_is_not_evaluated_again(opened, here):
    """airbytehq/airbyte#13973: code that ran differently when it was replayed put workflows into quarantine.

    In AURA a list, a condition and a choice are evaluated once and recorded: what they were about may change, and
    another engine may continue, without any effect on them.
    """
    each = step("each", ForEachStep(items="context.list", steps=(held(here, "{{ item }}", name="one"),), concurrency=1))
    last = step("last", ForEachStep(items="context.list", steps=(marks(here, "then-{{ item }}", name="two"),)), "each")
    definition = defined(each, last, context={"list": ["a", "b"]})
    async with opened() as engine:
        run = await engine.workflows.start(definition)
        await until(lambda: seen(here) == ["a"])
        await engine.workflows.update_context(run.id, {"list": ["c"]})
    (here / "gate").touch()
    async with opened(drive_all=True) as engine:
        done = await ends(engine, run.id)
    assert (done.status, done.steps["each"].items, done.steps["last"].items) == ("completed", ("a", "b"), ("c",))
    assert seen(here) == ["a", "b", "then-c"]


async def test_43_a_step_that_a_new_revision_lacks_runs_on_in_those_that_have_it(opened, here):
    """PostHog/posthog PR #60956: a deploy that removed one step broke every workflow that ran.

    In AURA running workflows keep the step, also in sub-workflows that have not begun yet; new ones lack it. A retired
    definition ends none of them.
    """
    go = step("go", WaitStep(signal="go"))
    async with opened() as engine:
        await engine.workflows.create(defined(marks(here, "a"), marks(here, "b", "a"), name="sub"))
        main = defined(go, step("call", SubWorkflowStep(workflow="sub"), "go"), marks(here, "c", "call"))
        await engine.workflows.create(main)
        old = await engine.workflows.start("test")
        await reaches(engine, old.id, lambda one: one.steps["go"].status == "running")
        await engine.workflows.create(defined(marks(here, "a2", name="a"), name="sub"))
        await engine.workflows.create(defined(go, step("call", SubWorkflowStep(workflow="sub"), "go")))
        new = await engine.workflows.start("test")
        for name in ("test", "sub"):
            await engine.workflows.retire(name)
        await engine.workflows.signal(old.id, "go")
        assert (await ends(engine, old.id)).status == "completed"
        assert seen(here) == ["a", "b", "c"]
        await engine.workflows.signal(new.id, "go")
        done = await ends(engine, new.id)
        assert (done.status, list(done.steps)) == ("completed", ["go", "call"])
    assert seen(here) == ["a", "b", "c", "a2"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    return move_to(tmp_path, monkeypatch)


ONE_STEP = "name: ship\nsteps:\n  - id: fail\n    type: command\n    run: test -e {}/go\n"


@pytest.mark.deep
def test_44_people_see_which_revision_a_workflow_runs(place):
    """Netflix/conductor#987: does a change of the definition affect workflows that run? There was no way to tell.

    In AURA a workflow shows its revision, to which retrying it keeps; a new start shows the next one.
    """
    text = ONE_STEP.format(place.parent)
    (place / "ship.yaml").write_text(text)
    call_aura("workflow", "create", "ship.yaml")
    failed = call_aura("workflow", "start", "ship", "--wait", "--json").objects[-1]
    (place / "ship.yaml").write_text(text.replace("fail", "other"))
    assert "has revision 2" in call_aura("workflow", "create", "ship.yaml").out
    assert "definition  ship@1" in call_aura("workflow", "show", failed["id"]).out
    (place.parent / "go").touch()
    assert call_aura("workflow", "retry", failed["id"], "fail", "--wait").code == 0
    done = call_aura("workflow", "show", failed["id"], "--json").objects[0]
    assert (done["status"], done["revision"], list(done["steps"])) == ("completed", "ship@1", ["fail"])
    started = call_aura("workflow", "start", "ship", "--json").objects[0]
    assert (started["revision"], list(started["steps"])) == ("ship@2", ["other"])
    assert "definition  ship@2" in call_aura("workflow", "show", started["id"]).out
