"""Complaints 57 to 63: lists known at run time, joins, fairness, and what is given back."""

import os
import signal
from itertools import accumulate

import pytest
from complaint_site import held, kill, marks, seen
from workflow_steps import command, defined, ends, reaches, statuses, step

from aura_contracts.workflow import (
    AgentTaskStep,
    ApprovalStep,
    CommandStep,
    ForEachStep,
    Join,
    StepRetry,
    SubWorkflowStep,
)
from aura_engine.host import Host
from command_line import call_aura, move_to
from conditions import until
from engines import open_questions

pytestmark = pytest.mark.anyio

asyncio_only = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""For what runs in processes of its own."""


def for_each(items, *steps, **more):
    return ForEachStep(items=items, steps=steps, **more)


# --- All, some and none of the items, 57 and 58 -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "when", "ran"),
    [("[]", "", 0), ("[0, 1]", "false", 0), ("[0, 1]", "item == 1", 1), ("[0, 1]", "true", 2)],
    ids=["no items", "none", "some", "all"],
)
async def test_57_58_all_some_and_none_skipped_are_one_rule(opened, here, items, when, ran):
    """apache/airflow#33078, #53667, #51320: where all or none of the mapped steps were skipped, other rules held than
    where some were, and what came after failed.

    In AURA an item whose steps were skipped is over without an output, whether that are none, some or all: the fan-out
    completes, with a place for each item, and what depends on it runs.
    """
    one = marks(here, "one", when=when, name="one")
    each = step("each", for_each(items, one))
    async with opened() as engine:
        run = await engine.workflows.start(defined(each, marks(here, "after", "each")))
        done = await ends(engine, run.id)
    assert (done.status, done.steps["each"].status, done.steps["after"].status) == ("completed",) * 3
    assert len(done.steps["each"].result) == (0 if items == "[]" else 2)
    assert sum(one is not None for one in done.steps["each"].result) == ran
    assert seen(here) == ["one"] * ran + ["after"]


async def test_57_no_item_is_judged_before_what_it_waits_for_has_begun(opened, here):
    """apache/airflow#59289, #39801: mapped steps were skipped before what they depend on had started.

    In AURA a fan-out, and each step in each item, waits for what it depends on, whatever it is; what is skipped is so
    because of something that has ended, which it names.
    """
    fails = marks(here, "b{{ item }}", "a", name="b", fails=True, on_failure="continue")
    after = marks(here, "c{{ item }}", "b", name="c", join=Join.ALL_DONE)
    skipped = marks(here, "d{{ item }}", "b", name="d")
    each = step("each", for_each("[0, 1]", marks(here, "a{{ item }}", name="a"), fails, after, skipped), "first")
    async with opened() as engine:
        run = await engine.workflows.start(defined(held(here, "first"), each))
        await until(lambda: seen(here) == ["first"])
        state = await engine.workflows.advance(run.id)
        assert statuses(state) == {"first": "running", "each": "pending"}
        (here / "gate").touch()
        done = await ends(engine, run.id)
    assert done.status == "completed"
    for item in (0, 1):
        assert done.steps[f"each[{item}]/d"].because == (f"each[{item}]/b",)
        own = [line for line in seen(here) if line.endswith(str(item))]
        assert own == [f"a{item}", f"b{item}", f"c{item}"]


COUNTED = "echo + >> {0}/witness; until [ -e {0}/gate ]; do sleep 0.02; done; {1}; echo - >> {0}/witness"


def at_once(lines):
    """Return the largest number that ran at the same time."""
    return max(accumulate(1 if line == "+" else -1 for line in lines), default=0)


@pytest.mark.parametrize("ending", ["true", "test {{ item }} != 1 || { echo - >> {0}/witness; exit 1; }"])
async def test_58_no_more_items_at_a_time_than_its_limit(opened, here, ending):
    """apache/airflow#48629, #52730: the limit on parallel items was not respected, or items stuck in the queue.

    In AURA the limit holds, also while items fail and another engine takes over, and all items have their turn.
    """
    config = CommandStep(run=COUNTED.format(here, ending.replace("{0}", str(here))))
    tries = StepRetry(attempts=2, pause=0.01)
    each = step(
        "each", for_each("range(5) | list", step("one", config, retry=tries), concurrency=2, join=Join.ALL_DONE)
    )
    async with opened() as engine:
        run = await engine.workflows.start(defined(each))
        await until(lambda: seen(here) == ["+", "+"])
        await engine.workflows.advance(run.id)
    (here / "gate").touch()
    async with opened(drive_all=True) as engine:
        done = await ends(engine, run.id)
    assert done.status == "completed"
    assert (seen(here).count("+"), seen(here).count("-")) == ((5, 5) if ending == "true" else (6, 6))
    assert at_once(seen(here)) == 2


# --- Trying again, 59 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", ["each[1]/one", "each"])
async def test_59_a_retry_keeps_the_items_and_the_collector_has_all(opened, here, again):
    """dagster-io/dagster#30077, #30248, #19490: a retry from failure forgot dynamic items; the collector ran with some.

    In AURA the items are those of the first time, though the list has changed; those that completed do not run again,
    and the step behind gets the outputs of all, in their order.
    """
    script = f"echo i{{{{ item }}}} >> {here}/witness; test {{{{ item }}}} != 1 || test -e {here}/gate"
    one = step("one", CommandStep(run=f"{script} || exit 1; echo '\"o{{{{ item }}}}\"'", output={"type": "string"}))
    each = step("each", for_each("context.list", one))
    collect = command("collect", f"echo '{{{{ steps.each.output | join(\"-\") }}}}' >> {here}/witness", "each")
    async with opened() as engine:
        run = await engine.workflows.start(defined(each, collect, context={"list": [0, 1, 2]}))
        failed = await ends(engine, run.id)
        assert (failed.status, statuses(failed)["collect"], sorted(seen(here))) == (
            "failed",
            "pending",
            ["i0", "i1", "i2"],
        )
        await engine.workflows.update_context(run.id, {"list": [7]})
        (here / "gate").touch()
        await engine.workflows.retry(run.id, again)
        done = await reaches(engine, run.id, lambda one: one.status == "completed")
    assert done.steps["each"].items == (0, 1, 2)
    assert sorted(seen(here)[:3]) == ["i0", "i1", "i2"]
    assert seen(here)[3:] == ["i1", "o0-o1-o2"]


# --- Where the bound is written, 60 -----------------------------------------------------------------------------------


BOUNDED = """\
name: bounded
steps:
  - id: each
    type: for_each
    items: range(4) | list
    {bound}
    steps:
      - id: one
        type: command
        run: "echo + >> {root}/witness; sleep 0.1; echo - >> {root}/witness"
        {inner}
"""


@pytest.mark.deep
def test_60_the_bound_holds_where_the_reference_names_it_and_is_refused_elsewhere(tmp_path, monkeypatch):
    """langchain-ai/langgraph#8920, PR #8944: ``max_concurrency`` was ignored where the documentation had put it.

    In AURA the key of the file bounds the items, and no other place or word for it is accepted.
    """
    place = move_to(tmp_path, monkeypatch)
    for bound, inner, code in (
        ("max_concurrency: 1", "", "max_concurrency"),
        ("options: {concurrency: 1}", "", "options"),
        ("concurrency: 0", "", "between 1 and 1000"),
        ("limit: 4", "concurrency: 1", "concurrency"),
    ):
        (place / "bounded.yaml").write_text(BOUNDED.format(bound=bound, inner=inner, root=tmp_path))
        refused = call_aura("workflow", "validate", "bounded.yaml")
        assert (refused.code, code in refused.out) == (1, True), (bound, inner, refused)
    (place / "bounded.yaml").write_text(BOUNDED.format(bound="concurrency: 1", inner="", root=tmp_path))
    assert call_aura("workflow", "start", "bounded.yaml", "--wait").code == 0
    assert seen(tmp_path) == ["+", "-"] * 4


# --- Fairness, 61 -----------------------------------------------------------------------------------------------------


async def queue_length(engine, length):
    await until(lambda: _has_queue(engine, length))


async def _has_queue(engine, length):
    return len(await engine.tasks.queue()) == length


@pytest.mark.parametrize("nested", [False, True])
async def test_61_a_big_workflow_does_not_keep_a_small_one_from_agents(opened, here, nested):
    """apache/airflow#21951, #19622, #18131: a big workflow starved all others.

    In AURA workflows take turns for agents: the task of a small one waits for one of a big one, however many that has,
    in itself or in workflows below it.
    """
    ask = step("ask", AgentTaskStep(task_template="Say it."))
    async with opened() as engine:
        await engine.workflows.create(defined(ask, name="sub"))
        big = step("call", SubWorkflowStep(workflow="sub")) if nested else ask
        await engine.workflows.start(defined(step("each", for_each("range(4) | list", big)), name="big"))
        await queue_length(engine, 4)
        small = await engine.workflows.start(defined(ask, name="small"))
        await queue_length(engine, 5)
        line = [(await engine.tasks.get(one.task_id)).context["workflow"]["id"] for one in await engine.tasks.queue()]
    assert line.index(small.id) <= 1


async def test_61_a_big_workflow_does_not_keep_a_small_one_from_slots(opened, here):
    """The same complaint, of commands, where an engine has few slots: they take turns too."""
    many = step("each", for_each("range(6) | list", marks(here, "big", name="one")))
    async with opened(executions=1) as engine:
        first = await engine.workflows.start(defined(held(here, "first"), name="first"))
        await until(lambda: seen(here) == ["first"])
        large = await engine.workflows.start(defined(many, name="big"))
        await until(lambda: _waiting(engine, 6))
        small = await engine.workflows.start(defined(marks(here, "small"), name="small"))
        await until(lambda: _waiting(engine, 7))
        (here / "gate").touch()
        for run in (first, small, large):
            assert (await ends(engine, run.id)).status == "completed"
    assert seen(here).index("small") <= 2
    assert sorted(seen(here)) == ["big"] * 6 + ["first", "small"]


def _waiting(engine, number):
    """Whether so many executions wait for a slot."""
    return len(engine._core.runtime.slots._line) == number


# --- What is given back, 62 and 63 ------------------------------------------------------------------------------------


async def test_62_a_cancelled_workflow_keeps_no_slot(opened, here):
    """dagster-io/dagster#28456, #32560: a cancelled run kept its slot for ever; where there was one, that was the end.

    In AURA the only slot goes to the next workflow once nothing of the cancelled one runs, though it is cancelled while
    no engine is there.
    """
    async with opened(executions=1) as engine:
        first = await engine.workflows.start(defined(held(here, "first"), name="first"))
        await until(lambda: seen(here) == ["first"])
        second = await engine.workflows.start(defined(marks(here, "second"), name="second"))
        third = await engine.workflows.start(defined(marks(here, "third"), name="third"))
        await until(lambda: _waiting(engine, 2))
        await engine.workflows.cancel(second.id)
        assert (await ends(engine, second.id)).status == "cancelled"
    async with opened(record_only=True) as recorder:
        await recorder.workflows.cancel(first.id)
    async with opened(executions=1, drive_all=True) as engine:
        assert (await ends(engine, first.id)).status == "cancelled"
        assert (await ends(engine, third.id)).status == "completed"
    assert seen(here) == ["first", "third"]


@pytest.mark.parametrize("ended", ["cancelled", "failed", "skipped"])
async def test_62_items_that_end_without_success_give_up_their_place(opened, here, ended):
    """The same complaint, of the items of a fan-out with one at a time: the next one begins however one ends."""
    script = f"echo i{{{{ item }}}} >> {here}/witness; until [ -e {here}/gate ]; do sleep 0.02; done"
    one = step("one", CommandStep(run=f"{script}; exit {{{{ 1 - item }}}}"), on_failure="continue")
    async with opened() as engine:
        each = step("each", for_each("[0, 1]", one, concurrency=1, join=Join.ALL_DONE))
        run = await engine.workflows.start(defined(each))
        await until(lambda: seen(here) == ["i0"])
        match ended:
            case "cancelled":
                await engine.workflows.cancel(run.id, step="each[0]/one")
            case "skipped":
                await engine.workflows.skip(run.id, "each[0]/one", "not needed")
            case "failed":
                (here / "gate").touch()
        await until(lambda: seen(here) == ["i0", "i1"])
        (here / "gate").touch()
        done = await ends(engine, run.id)
    assert done.status == "completed"
    assert (done.steps["each[0]/one"].status, done.steps["each[1]/one"].status) == (ended, "completed")


LOCKED = {"locks": ("prod",)}


@pytest.mark.parametrize("ended", ["cancelled", "terminated", "failed", "timeout", "handled", "skipped", "compensated"])
async def test_63_a_lock_is_free_however_its_step_ended(opened, here, time, ended):
    """argoproj/argo-workflows#8684, #7633, #11117, #4046: a mutex was kept after a terminate, or by a hook.

    In AURA it is free for other steps and for other workflows once nothing of the step runs, however that ended.
    """
    how = {"on_failure": "continue", **LOCKED}
    first = {
        "failed": marks(here, "first", fails=True, **how),
        "handled": marks(here, "first", fails=True, handler=(marks(here, "handler", **LOCKED),), **how),
        "compensated": marks(here, "first", compensation=marks(here, "undo", **LOCKED), **how),
    }.get(ended, held(here, "first", timeout=60, **how))
    after = (held if ended == "compensated" else marks)(
        here, "after", "first", join=Join.ALL_DONE, locks=() if ended == "compensated" else ("prod",)
    )
    async with opened(host=Host(clock=time)) as engine:
        run = await engine.workflows.start(defined(first, after))
        await until(lambda: "first" in seen(here))
        other = await engine.workflows.start(defined(marks(here, "other", **LOCKED)))
        match ended:
            case "cancelled":
                await engine.workflows.cancel(run.id, step="first")
            case "skipped":
                await engine.workflows.skip(run.id, "first", "not needed")
            case "timeout":
                time.passes(seconds=61)
            case "terminated":
                await engine.workflows.cancel(run.id)
            case "compensated":
                await until(lambda: "after" in seen(here))
                await engine.workflows.cancel(run.id)
        done = await ends(engine, run.id)
        assert (await ends(engine, other.id)).status == "completed"
    cancelled = ended in {"terminated", "compensated"}
    assert done.status == ("cancelled" if cancelled else "completed")
    expected = {"handled": ["handler"], "compensated": ["undo"]}.get(ended, [])
    rest = [] if ended == "terminated" else ["after"]
    assert sorted(seen(here)) == sorted(["first", "other", *expected, *rest])


@pytest.mark.deep
@asyncio_only
async def test_63_a_lock_is_free_after_a_crash(site, anyio_backend):
    """The same complaint: engine and command are killed while the step has the lock, and a gate behind it waits.

    In AURA the step fails, for a human to decide; the lock is free then, and is not taken while one is asked.
    """
    script = f"echo $$ > {site.root}/new; mv {site.root}/new {site.root}/pid; echo work >> {site.root}/witness; "
    work = command("work", script + "exec sleep 600", **LOCKED)
    async with site.engine() as engine:
        run = await engine.workflows.start(defined(work, step("ask", ApprovalStep(question="Go?"))))
        process = site.begin("advance", run.id, "--wait")
        await until(lambda: site.seen() == ["work"])
        await until(lambda: open_questions(engine))
        kill(process)
        for pid in [*site.supervisors(), int((site.root / "pid").read_text())]:
            os.kill(pid, signal.SIGKILL)
        other = await engine.workflows.start(defined(marks(site.root, "other", **LOCKED)))
        site.begin("advance", run.id, "--wait")
        await reaches(engine, run.id, lambda one: one.steps["work"].status == "failed")
        assert site.begin("advance", other.id, "--wait").wait(60) == 0, site.said
        assert site.seen() == ["work", "other"]
