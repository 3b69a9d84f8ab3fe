"""Complaints 45 to 56: workflows that are paused, cancelled, tried again and undone."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from complaint_site import held, kill, marks, seen
from workflow_steps import command, defined, ends, reaches, statuses, step

from aura_contracts.errors import CommandRefused
from aura_contracts.failures import FailureReason
from aura_contracts.workflow import (
    ApprovalStep,
    Case,
    CommandStep,
    ConditionalStep,
    ForEachStep,
    Join,
    ParallelStep,
    StepRetry,
    SubWorkflowStep,
    WaitStep,
)
from aura_engine.host import Host
from command_line import call_aura, move_to, running_aura
from conditions import until
from engines import open_questions

pytestmark = pytest.mark.anyio

asyncio_only = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""For what runs in processes of its own."""


# --- What people see, 45 to 48 ----------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    place = move_to(tmp_path, monkeypatch)
    (place / "ship.yaml").write_text(SHIP)
    return place


SHIP = """\
name: ship
steps:
  - id: first
    type: command
    run: echo $$ > ../first; until [ -e ../gate ]; do sleep 0.02; done
  - id: second
    type: command
    run: echo x >> ../second
    dependencies: [first]
"""


def shown(workflow_id):
    return call_aura("workflow", "show", workflow_id, "--json").objects[0]


def wait_for(condition, patience=60.0):
    """Return when `condition` holds, which may run an event loop of its own: so `until` is not for it."""
    pause = 0.05
    while not condition():
        anyio.run(anyio.sleep, pause)
        patience -= pause
        assert patience > 0, "it never held"


@pytest.fixture
def begun(place):
    """A workflow whose first step runs, and the process that drives it."""
    (place / "ship.yaml").write_text(SHIP.replace("../", f"{place.parent}/"))
    settings = {name: os.environ[name] for name in ("AURA_HOME", "AURA_STORE", "AURA_USER")}
    workflow_id = call_aura("workflow", "start", "ship.yaml", "--json").objects[0]["id"]
    with running_aura("workflow", "advance", workflow_id, "--wait", **settings) as process:
        wait_for((place.parent / "first").exists)
        yield workflow_id, process
        (place.parent / "gate").touch()


@pytest.mark.deep
def test_45_a_pause_during_work_in_flight_can_be_lifted(begun, place):
    """temporalio/temporal#10239: a pause raced with work in flight; the run was "running", and could not be unpaused.

    In AURA it is paused, which one sees in its status, and stays so when the work ends, until it is resumed.
    """
    workflow_id, process = begun
    assert call_aura("workflow", "pause", workflow_id, "--reason", "lunch").code == 0
    assert shown(workflow_id)["status"] == "paused"
    (place.parent / "gate").touch()
    wait_for(lambda: shown(workflow_id)["steps"]["first"]["status"] == "completed")
    paused = shown(workflow_id)
    assert (paused["status"], paused["steps"]["second"]["status"]) == ("paused", "pending")
    assert "paused" in call_aura("workflow", "show", workflow_id).out.splitlines()[0]
    assert call_aura("workflow", "resume", workflow_id).code == 0
    assert process.wait(60) == 0
    assert (shown(workflow_id)["status"], (place.parent / "second").read_text()) == ("completed", "x\n")


async def test_45_a_pause_and_the_end_of_the_last_step_at_once(opened):
    """The same complaint, many times: whichever is first, a workflow is over, or it is paused and can be resumed."""
    async with opened() as engine, opened(record_only=True) as other:
        outcomes = set()
        for number in range(8):
            wait = step("wait", WaitStep(signal="go"))
            run = await engine.workflows.start(defined(wait, step("after", WaitStep(seconds=0), "wait")))
            await reaches(engine, run.id, lambda one: one.steps["wait"].status == "running")
            async with anyio.create_task_group() as group:
                group.start_soon(engine.workflows.signal, run.id, "go")
                if number % 2:
                    await anyio.lowlevel.checkpoint()
                group.start_soon(_pause_if_possible, other, run.id)
            state = await engine.workflows.get(run.id)
            outcomes.add(str(state.status))
            if state.status == "paused":
                assert statuses(state) == {"wait": "completed", "after": "pending"}
                await engine.workflows.resume(run.id)
            done = await ends(engine, run.id)
            assert statuses(done) == {"wait": "completed", "after": "completed"}
            with pytest.raises(CommandRefused):
                await engine.workflows.pause(run.id)
        assert outcomes <= {"paused", "completed"}


async def _pause_if_possible(engine, workflow_id):
    try:
        await engine.workflows.pause(workflow_id)
    except CommandRefused:
        assert (await engine.workflows.get(workflow_id)).ended


@pytest.mark.deep
def test_46_a_pause_says_what_runs_on(begun, place):
    """PrefectHQ/prefect#20388, #17822, argoproj/argo-workflows#4876: "suspended", but tasks went on, unsaid.

    In AURA running steps finish in a pause, and the answer to the command names them; no other step begins.
    """
    workflow_id, _ = begun
    told = call_aura("workflow", "pause", workflow_id)
    assert (told.code, told.err) == (0, "still running: first\n")
    assert "running" in next(
        line for line in call_aura("workflow", "show", workflow_id).out.splitlines() if "  first" in line
    )
    (place.parent / "gate").touch()
    wait_for(lambda: shown(workflow_id)["steps"]["first"]["status"] == "completed")
    assert not (place.parent / "second").exists()
    assert call_aura("workflow", "resume", workflow_id).code == 0


async def test_46_nothing_begins_in_a_pause(opened, here, time):
    """The same complaint: no item, no attempt, no handler of a paused workflow begins, and all of them do later."""
    each = step("each", ForEachStep(items="[0, 1]", steps=(held(here, "i{{ item }}", name="i"),), concurrency=1))
    tries = marks(here, "try", fails=True, retry=StepRetry(attempts=2, pause=60), on_failure="continue")
    fails = step("fails", CommandStep(run=f"until [ -e {here}/gate ]; do sleep 0.02; done; exit 1"))
    handled = step("handled", fails.config, handler=(marks(here, "handler"),))
    async with opened(host=Host(clock=time)) as engine:
        run = await engine.workflows.start(defined(each, tries, handled))
        await until(lambda: sorted(seen(here)) == ["i0", "try"])
        await reaches(engine, run.id, lambda one: one.steps["try"].status == "retrying")
        await engine.workflows.pause(run.id)
        (here / "gate").touch()
        state = await reaches(
            engine,
            run.id,
            lambda one: (one.steps["each[0]/i"].status, one.steps["handled"].status) == ("completed", "handling"),
        )
        time.passes(seconds=61)
        state = await engine.workflows.advance(run.id)
        assert (state.status, state.steps["try"].status, state.steps["each"].begun) == ("paused", "retrying", 1)
        assert sorted(seen(here)) == ["i0", "try"]
        await engine.workflows.resume(run.id)
        assert (await ends(engine, run.id)).status == "completed"
    assert sorted(seen(here)) == ["handler", "i0", "i1", "try", "try"]


@pytest.mark.deep
@pytest.mark.parametrize("driven", [True, False])
def test_47_a_paused_workflow_is_cancelled(begun, place, driven):
    """argoproj/argo-workflows#17041: to stop a suspended workflow did nothing, and said so to no one.

    In AURA it is cancelled, with what runs in the pause, whether an engine drives it or the command has to.
    """
    workflow_id, process = begun
    assert call_aura("workflow", "pause", workflow_id).code == 0
    if not driven:
        kill(process)
    assert call_aura("workflow", "cancel", workflow_id, "--reason", "enough").code == 0
    wait_for(lambda: shown(workflow_id)["status"] == "cancelled")
    assert _is_gone(int((place.parent / "first").read_text()))
    assert not (place.parent / "second").exists()
    assert {one["status"] for one in shown(workflow_id)["steps"].values()} == {"cancelled"}


@pytest.mark.deep
def test_48_resume_is_promised_to_none_whom_it_is_refused(begun, place):
    """argoproj/argo-workflows#11511: "resume" was promised for stopped workflows, and refused.

    In AURA nothing that a cancelled workflow shows speaks of resume, and its refusal says where it works; one that has
    ended is continued by a fork, which keeps what had completed.
    """
    workflow_id, _ = begun
    (place.parent / "gate").touch()
    wait_for((place.parent / "second").exists)
    wait_for(lambda: shown(workflow_id)["status"] == "completed")
    (place.parent / "ask.yaml").write_text(ASK)
    stopped = call_aura("workflow", "start", f"{place.parent}/ask.yaml", "--json").objects[0]["id"]
    assert call_aura("workflow", "cancel", stopped).code == 0
    assert shown(stopped)["status"] == "cancelled"
    told = call_aura("workflow", "show", stopped)
    assert "resume" not in told.out + told.err
    for ended, status in ((stopped, "cancelled"), (workflow_id, "completed")):
        refused = call_aura("workflow", "resume", ended)
        assert (refused.code, status in refused.err, "paused" in refused.err) == (1, True, True), refused.err
    forked = call_aura("workflow", "fork", workflow_id, "--step", "second", "--wait")
    assert (forked.code, (place.parent / "second").read_text()) == (0, "x\nx\n"), forked


ASK = "name: ask\nsteps:\n  - id: ask\n    type: human_approval\n    question: Go?\n"


def _is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


# --- Cancelling, 49 and 50 --------------------------------------------------------------------------------------------


STUBBORN = """\
trap '' TERM INT HUP
(trap '' TERM INT HUP; echo child >> {root}/witness; exec sleep 600) &
echo parent >> {root}/witness
wait; sleep 600
"""


@pytest.mark.deep
@asyncio_only
async def test_49_cancelled_means_that_nothing_runs(site, anyio_backend):
    """PrefectHQ/prefect#17482, #8972, #7732, #12864: cancelled, while tasks, subflows or slots lived on; or for ever
    cancelling.

    In AURA it is cancelling as long as a process runs, also one that ignores signals, and although the engine is killed
    in the middle; then it is cancelled, and no process, task, question, agent or lock is left.
    """
    command_ = step("stubborn", CommandStep(run=STUBBORN.format(root=site.root)), locks=("prod",))
    each = ForEachStep(items="[0, 1]", steps=(held(site.root, "item{{ item }}", name="item"),))
    ask, sub = step("ask", ApprovalStep(question="Go?")), step("sub", SubWorkflowStep(workflow="sub"))
    async with site.engine() as engine:
        await engine.workflows.create(defined(held(site.root, "below"), name="sub"))
        run = await engine.workflows.start(defined(command_, step("each", each), ask, sub))
        process = site.begin("advance", run.id, "--wait")
        await until(lambda: sorted(site.seen()) == ["below", "child", "item0", "item1", "parent"])
        await until(lambda: open_questions(engine))
        kill(process)
        assert site.processes()
        await engine.workflows.cancel(run.id, "enough")
        first = site.begin("advance", run.id, "--wait")
        await site.hears_of("workflow.step_cancelled")
        kill(first)
        site.begin("advance", run.id, "--wait")
        found = []

        async def is_cancelled():
            state = await engine.workflows.get(run.id)
            found[:] = [state, site.carriers()]
            assert state.status in {"cancelling", "cancelled"}
            return state.status == "cancelled"

        await until(is_cancelled)
        state, carriers = found
        assert set(statuses(state).values()) == {"cancelled"}
        assert not _scripts(carriers)
        assert (await engine.workflows.get(state.steps["sub"].child_id)).status == "cancelled"
        assert not (await engine.tasks.list(unfinished=True)).rows
        assert not await open_questions(engine)
        other = await engine.workflows.start(defined(marks(site.root, "other", locks=("prod",))))
        assert site.begin("advance", other.id, "--wait").wait(60) == 0, site.said


def _scripts(pids):
    """Return those of these processes that are the scripts of steps, or what they have started."""
    found = []
    for pid in pids:
        with suppress(FileNotFoundError):
            if b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


@pytest.mark.deep
@asyncio_only
async def test_50_a_cancel_reaches_the_workflow_below_the_one_below(site, anyio_backend):
    """apache/incubator-kie-kogito-runtimes#4252: the cancel of a workflow did not reach its subflow.

    In AURA it reaches every depth, though the engine is killed on its way; each is cancelled after those below it.
    """
    async with site.engine() as engine:
        await engine.workflows.create(defined(held(site.root, "deepest"), name="lowest"))
        await engine.workflows.create(defined(step("call", SubWorkflowStep(workflow="lowest")), name="middle"))
        run = await engine.workflows.start(defined(step("call", SubWorkflowStep(workflow="middle"))))
        process = site.begin("advance", run.id, "--wait")
        await until(lambda: site.seen() == ["deepest"])
        kill(process)
        await engine.workflows.cancel(run.id)
        process = site.begin("advance", run.id, "--wait")
        await site.hears_of("workflow.cancelling", number=2)
        kill(process)
        site.begin("advance", run.id, "--wait")
        await ends(engine, run.id)
        records = [one for one in await site.records() if one.event.topic == "workflow.cancelled"]
        middle = (await engine.workflows.get(run.id)).steps["call"].child_id
        lowest = (await engine.workflows.get(middle)).steps["call"].child_id
        assert [one.stream_id for one in records] == [lowest, middle, run.id]
        assert not _scripts(site.carriers())


# --- Undoing, 51 and 52 -----------------------------------------------------------------------------------------------


async def test_51_a_cancelled_workflow_is_compensated(opened, here):
    """temporalio/sdk-java#305: the compensation ran within what was cancelled, and so never.

    In AURA the cancel ends what runs and not what undoes it, not even a second cancel, a cancel of that step's task
    aside, nor an engine that ends in the middle.
    """
    undo = step(
        "undo", CommandStep(run=f"echo undo >> {here}/witness; until [ -e {here}/undone ]; do sleep 0.02; done")
    )
    book = marks(here, "book", compensation=undo)
    async with opened() as engine:
        run = await engine.workflows.start(defined(book, held(here, "pay", "book")))
        await until(lambda: seen(here) == ["book", "pay"])
        await engine.workflows.cancel(run.id)
        await until(lambda: seen(here) == ["book", "pay", "undo"])
        state = await engine.workflows.get(run.id)
        assert (state.status, state.steps["pay"].status) == ("compensating", "cancelled")
        with pytest.raises(CommandRefused):
            await engine.workflows.cancel(run.id, "at once")
    (here / "undone").touch()
    async with opened(drive_all=True) as engine:
        done = await ends(engine, run.id)
    assert done.status == "cancelled"
    assert [str(one.status) for one in done.steps.values()] == ["completed", "cancelled", "completed"]
    assert seen(here) == ["book", "pay", "undo"]


async def test_52_compensation_is_no_error_handler(opened, here):
    """serverlessworkflow/synapse#23: compensation was implemented as error handling.

    In AURA a failure has its own step handled and undoes nothing; only the end of the whole does, each completed step
    once, the latest first, and none that failed.
    """

    def undone(name, *after, **more):
        return marks(
            here, name, *after, compensation=command(f"un-{name}", f"echo un-{name} >> {here}/witness"), **more
        )

    fixed = undone("fixed", "a", fails=True, handler=(marks(here, "handler"),))
    last = undone("last", "b", fails=True)
    definition = defined(undone("a"), fixed, undone("b", "fixed"), last, on_failure="compensate")
    async with opened() as engine:
        run = await engine.workflows.start(definition)
        done = await ends(engine, run.id)
    assert done.status == "failed"
    assert seen(here)[:5] == ["a", "fixed", "handler", "b", "last"]
    assert seen(here)[5:] == ["un-b", "un-fixed", "un-a"]


# --- Trying again, 53 and 54 ------------------------------------------------------------------------------------------


async def test_53_a_retry_runs_what_failed_and_its_handler_again(opened, here):
    """argoproj/argo-workflows#13184, #11884, #13196: with exit handlers, retried steps were not retried, or skipped, or
    steps that had succeeded failed.

    In AURA a human's retry runs the step again, and its handler if it fails again; what has completed stays, and what
    waited for it runs.
    """
    script = f"echo do >> {here}/witness; test $(grep -c do {here}/witness) = 3"
    handler = marks(here, "handler", fails=True)
    fails = step("fails", CommandStep(run=script), handler=(handler,))
    good = marks(here, "good", handler=(marks(here, "never"),))
    async with opened() as engine:
        run = await engine.workflows.start(defined(good, fails, marks(here, "after", "good", "fails")))
        for number in (1, 2):
            failed = await reaches(engine, run.id, _failed_again(number))
            assert (failed.status, statuses(failed)["good"]) == ("failed", "completed")
            assert (seen(here).count("do"), seen(here).count("handler")) == (number, number)
            await engine.workflows.retry(run.id, "fails")
        done = await reaches(engine, run.id, lambda one: one.status == "completed")
    assert {one: done.steps[one].attempts for one in ("good", "fails", "after")} == {"good": 1, "fails": 3, "after": 1}
    assert not done.steps["fails"].handled
    assert sorted(seen(here)) == ["after", "do", "do", "do", "good", "handler", "handler"]


def _failed_again(number):
    return lambda one: one.ended and one.steps["fails"].attempts == number


@pytest.mark.parametrize("whole", [True, False])
async def test_54_timeouts_stand_still_in_a_pause(opened, here, time, whole):
    """Netflix/conductor#3294, PR #2230: workflows timed out while they were paused, or at once on their resume.

    In AURA the timeout of a step and the deadline of the whole stand still, also when no engine runs, and go on with
    what was left of them.
    """
    limit = {"timeout": 60} if not whole else {}
    definition = defined(held(here, "work", **limit), **({"deadline": 60} if whole else {}))
    host = Host(clock=time)
    async with opened(host=host) as engine:
        run = await engine.workflows.start(definition)
        await until(lambda: seen(here) == ["work"])
        time.passes(seconds=40)
        await engine.workflows.pause(run.id)
        time.passes(hours=5)
    async with opened(host=host, drive_all=True) as engine:
        await engine.workflows.advance(run.id)
        await engine.workflows.resume(run.id)
        time.passes(seconds=19)
        state = await engine.workflows.advance(run.id)
        assert (state.status, state.steps["work"].status) == ("active", "running")
        time.passes(seconds=2)
        done = await ends(engine, run.id)
    assert (done.status, done.failure.reason) == ("failed", FailureReason.TIMEOUT)


# --- Cancel against "always", 55 --------------------------------------------------------------------------------------


async def test_55_cancel_wins_over_joins_handlers_and_conditions(opened, here):
    """GitHub ``if: always()`` (nowinandroid PR #1440, discourse PR #18314): such jobs went on after a cancel.

    In AURA no join, no handler, no condition, no attempt and no item starts anything in a workflow that is cancelled.
    """
    always = marks(here, "always", "work", join=Join.ALL_DONE, when="true")
    handled = held(here, "handled", timeout=600, handler=(marks(here, "handler"),))
    tries = marks(here, "tries", fails=True, retry=StepRetry(attempts=5, pause=600), handler=(marks(here, "late"),))
    fixing = marks(here, "bad", fails=True, handler=(held(here, "fixing"), marks(here, "next", "fixing")))
    each = ForEachStep(items="[0, 1, 2]", steps=(held(here, "item"),), concurrency=1, join=Join.ALL_DONE)
    choice = ConditionalStep(cases=(Case(when="true", steps=(held(here, "case"), marks(here, "rest", "case"))),))
    group = ParallelStep(steps=(held(here, "member"), marks(here, "end", "member", join=Join.ALL_DONE)))
    both = marks(here, "both", "work", "handled", join=Join.ALL_DONE, on_failure="continue")
    steps = (held(here, "work"), always, handled, tries, fixing, step("each", each), step("choice", choice))
    async with opened() as engine:
        run = await engine.workflows.start(defined(*steps, step("group", group), both))
        begun = ["bad", "case", "fixing", "handled", "item", "member", "tries", "work"]
        await until(lambda: sorted(seen(here)) == begun)
        await reaches(engine, run.id, lambda one: one.steps["tries"].status == "retrying")
        await engine.workflows.cancel(run.id)
        done = await ends(engine, run.id)
        assert done.status == "cancelled"
        assert set(statuses(done).values()) == {"cancelled"}
        assert len((await engine.tasks.list()).rows) == len(begun)
    assert sorted(seen(here)) == begun


# --- Interrupted scripts, 56 ------------------------------------------------------------------------------------------


@pytest.mark.deep
@asyncio_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_56_an_interrupted_script_is_not_completed(site, number, anyio_backend):
    """BloopAI/vibe-kanban#2547: an interrupted script was shown as completed successfully.

    In AURA it has failed, says by which signal, and nothing goes on as if it had done its work.
    """
    script = f"echo $$ > {site.root}/pid.new; mv {site.root}/pid.new {site.root}/pid; exec sleep 600"
    async with site.engine() as engine:
        run = await engine.workflows.start(defined(command("work", script), marks(site.root, "after", "work")))
        process = site.begin("advance", run.id, "--wait")
        await until((site.root / "pid").exists)
        os.kill(int((site.root / "pid").read_text()), number)
        assert process.wait(60) != 0, site.said
        failed = await engine.workflows.get(run.id)
    assert (failed.status, statuses(failed)) == ("failed", {"work": "failed", "after": "pending"})
    assert (
        str(int(number)) in failed.steps["work"].failure.message or number.name in failed.steps["work"].failure.message
    )
    told = site.aura("workflow", "show", run.id)
    assert "work   failed" in told
    assert "completed" not in told
    assert site.seen() == []


async def test_56_a_script_that_says_yes_when_it_is_interrupted_is_not_completed(opened, here):
    """The same complaint: what AURA interrupts, at a timeout or a cancel, is not completed, though it exits with 0."""
    script = f"trap 'exit 0' TERM INT HUP; echo up >> {here}/witness; while :; do sleep 0.02; done"
    late = command("late", script, timeout=600)
    async with opened() as engine:
        run = await engine.workflows.start(defined(late, command("dropped", script), marks(here, "after", "late")))
        await until(lambda: seen(here) == ["up", "up"])
        for name in ("late", "dropped"):
            await engine.workflows.cancel(run.id, step=name)
        done = await ends(engine, run.id)
    assert statuses(done) == {"late": "cancelled", "dropped": "cancelled", "after": "skipped"}
    assert seen(here) == ["up", "up"]
