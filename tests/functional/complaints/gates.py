"""Questions of workflows in tests: asking, answering, and what commands have done."""

from workflow_steps import command, ends, reaches, step

from aura_contracts.workflow import ApprovalStep
from conditions import until
from engines import all_questions, open_questions


def gate(name, *after, question="Go on?", **more):
    """Return a step that asks."""
    fields = {key: more.pop(key) for key in ("when", "timeout", "on_failure", "retry", "join", "n") if key in more}
    return step(name, ApprovalStep(question=question, **more), *after, **fields)


def marks(witness, text, name=None, *after, **more):
    """Return a command that writes a line into the witness."""
    return command(name or text, f"echo {text} >> {witness}", *after, **more)


def seen(witness):
    """Return what commands have written, in order."""
    return witness.read_text().split() if witness.exists() else []


async def asked(engine, number=1, **about):
    """Return the open questions, oldest first, as soon as there are `number` of them."""
    found = []

    async def are_asked():
        found[:] = [
            one for one in await open_questions(engine) if all(getattr(one, key) == about[key] for key in about)
        ]
        return len(found) >= number

    await until(are_asked)
    assert len(found) == number, found
    return found


async def ever_asked(engine):
    """Return the steps that have asked, oldest first, each as often as it has."""
    return [one.step_id for one in await all_questions(engine)]


async def rests(engine, run):
    """Return the state of a workflow as soon as it has ended, however."""
    return await ends(engine, run.id)


async def step_reaches(engine, run, address, *statuses):
    """Return the state of a workflow as soon as a step has one of these statuses."""
    return await reaches(engine, run.id, lambda one: address in one.steps and one.steps[address].status in statuses)
