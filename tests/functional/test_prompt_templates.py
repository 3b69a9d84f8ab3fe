"""Prompt templates: what agents are told where a scope has a template of its own, in real runs."""

from pathlib import Path

import anyio
import pytest

from aura_contracts.errors import InvalidInput, RuleViolated, TemplateError
from aura_contracts.task import TaskStatus
from engines import settled
from repositories import make_repository

pytestmark = pytest.mark.anyio

PRINTS = {
    "executor": "custom",
    "options": {"base_command": "sh", "params": ["-c", "cat >> told.txt; echo --- >> told.txt"], "prompt_via": "stdin"},
}
"""An agent that writes down what it is told; each turn is a process of its own."""


@pytest.fixture
def shop(tmp_path):
    return make_repository(tmp_path / "shop", {"README": "A shop\n"})


async def told(engine, task_id):
    """Return the prompts of a task that has settled."""
    await settled(engine, task_id)
    view = await engine.tasks.view(task_id)
    return _written(view).split("---\n")[:-1]


def _written(view):
    return Path(view.workspace.directory, "told.txt").read_text()


def scoped(scope):
    return f'{scope}\n{{% include "coding" %}}'


@pytest.mark.deep
async def test_a_task_is_told_what_each_scope_says_the_narrowest_first(opened, shop):
    async with opened() as engine:
        await engine.projects.create("shop", repositories=[str(shop)])
        task = await engine.tasks.create("Show prices", repositories=[str(shop)])
        await engine.templates.set("coding", scoped("global"))
        await engine.templates.set("coding", scoped("project"), project="shop")
        await engine.templates.set("coding", scoped("task"), task=task.id)
        other = await engine.tasks.create("Other", repositories=[str(shop)], project="")
        for one in (task, other):
            await engine.tasks.assign(one.id, **PRINTS)
        assert await told(engine, task.id) == ["task\nproject\nglobal\nShow prices"]
        assert await told(engine, other.id) == ["global\nOther"]
        view = await engine.tasks.view(task.id)
        await engine.templates.set("follow_up", "again: {{ feedback }}", workspace=view.workspace.id)
        await engine.templates.retire("coding", "enough", task=task.id)
        await engine.tasks.follow_up(task.id, "Use euros")
        assert (await told(engine, task.id))[1:] == ["again: Use euros"]
        third = await engine.run("Third", repositories=[str(shop)], **PRINTS)
        assert await told(engine, third.id) == ["project\nglobal\nThird"]


async def test_a_built_in_template_includes_what_a_scope_has(opened, shop):
    async with opened() as engine:
        await engine.templates.set(
            "coding", '{{ task.title }}: {{ ticket }} {% include "style" %}', variables=["ticket"]
        )
        await engine.templates.set("style", "Be brief.")
        run = await engine.run(
            "Show prices", repositories=[str(shop)], variables={"ticket": "A-1"}, approval="plan", **PRINTS
        )
        (prompt,) = await told(engine, run.id)
        assert prompt.startswith("Show prices: A-1 Be brief.\n\nDo not change any files yet.")


async def test_a_text_that_is_no_template_is_refused_and_the_former_one_is_told(opened, shop):
    async with opened() as engine:
        good = await engine.templates.set("coding", "Good: {{ task.title }}")
        for text in ("{% if %}", "{{ nothing }}", "{{ task.title | shuffle }}", "{% include task.title %}"):
            with pytest.raises(TemplateError) as caught:
                await engine.templates.set("coding", text)
            assert caught.value.template == "coding (global)"
        for name, text in (("a b", "x"), ("coding", "x" * 65_537)):
            with pytest.raises((RuleViolated, TemplateError)):
                await engine.templates.set(name, text)
        assert await engine.templates.get("coding") == good
        assert [one.revision for one in await engine.templates.revisions("coding")] == [1]
        assert len(await engine.events.list(stream=good.id)) == 1
        run = await engine.run("Show prices", repositories=[str(shop)], **PRINTS)
        assert await told(engine, run.id) == ["Good: Show prices"]


@pytest.mark.deep
async def test_a_run_without_a_declared_variable_fails_with_its_name_and_is_told_after_the_mend(opened, shop):
    async with opened() as engine:
        task = await engine.tasks.create("Show prices", repositories=[str(shop)])
        await engine.templates.set("follow_up", "{{ ticket }} {{ feedback }}", variables=["ticket"])
        await engine.tasks.assign(task.id, **PRINTS)
        await told(engine, task.id)
        with pytest.raises(TemplateError, match="ticket has no value"):
            await engine.templates.preview("follow_up", task=task.id)
        await engine.templates.set("follow_up", "now: {{ feedback }}")
        await engine.tasks.follow_up(task.id, "Use euros")
        assert (await told(engine, task.id))[1:] == ["now: Use euros"]
        assert (await engine.tasks.get(task.id)).status is not TaskStatus.FAILED


async def test_of_two_who_change_a_template_at_one_moment_one_finds_out(opened):
    async with opened(record_only=True) as one, opened(record_only=True, user="bob") as other:
        await one.templates.set("coding", "first")
        done, refused = [], []

        async def change(engine, text):
            try:
                done.append(await engine.templates.set("coding", text, based_on=1))
            except RuleViolated as error:
                refused.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(change, one, "from alice")
            group.start_soon(change, other, "from bob")
        assert [template.revision for template in done] == [2]
        assert [error.rule for error in refused] == ["stale_revision"]
        texts = [revision.text for revision in await one.templates.revisions("coding")]
        assert texts == ["first", done[0].text]


async def test_a_retired_template_that_is_written_again_keeps_its_history(opened):
    async with opened(record_only=True) as engine:
        await engine.templates.set("coding", "one")
        await engine.templates.retire("coding")
        made = await engine.templates.set("coding", "two", by="bob")
        assert (made.status, made.revision, made.revised_by) == ("active", 2, "human:bob")
        assert [one.text for one in await engine.templates.revisions(made.id)] == ["one", "two"]
        for place in ({"project": "gone"}, {"task": "0" * 8, "workspace": "0" * 8}):
            with pytest.raises(InvalidInput):
                await engine.templates.set("coding", "x", **place)


async def test_what_people_wrote_is_never_taken_for_a_template(opened, shop):
    """Context, variables and feedback reach the agent as they are, whatever they look like."""
    texts = [
        "{{ 7 * 7 }}",
        "{% for x in y %}",
        "{# gone #}",
        "{{ task.title",
        "%}",
        "{% include 'coding' %}",
    ]
    async with opened() as engine:
        task = await engine.tasks.create(
            f"Title {texts[0]}",
            description=f"Do {texts[1]}",
            repositories=[str(shop)],
            context={f"key {text}": text for text in texts},
        )
        await engine.tasks.assign(task.id, **PRINTS)
        (prompt,) = await told(engine, task.id)
        assert "Title {{ 7 * 7 }}" in prompt or "Do {% for x in y %}" in prompt
        assert all(prompt.count(text) >= 2 for text in texts), prompt
        assert "49" not in prompt
        for text in texts:
            await engine.tasks.follow_up(task.id, f"No: {text}")
            assert f"No: {text}" in (await told(engine, task.id))[-1]
