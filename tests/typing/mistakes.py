"""Mistakes that an embedding program can make, one a marked line: both checkers find each of them."""

from aura_engine import Engine, EventRecord, TaskCompleted, TaskFailed, open_engine_sync


async def mistakes(engine: Engine) -> None:
    await engine.run("Fix it", executor="claude", aproval="both")  # MISTAKE: an option that does not exist
    await engine.run("Fix it", executor="claude", timeout="soon")  # MISTAKE: an option of the wrong type
    await engine.run("Fix it", executor="claude", approval="maybe")  # MISTAKE: a word that is not one of its values
    await engine.run("Fix it", executor="claude", repositories=".")  # MISTAKE: a text where there is a list
    await engine.run("Fix it")  # MISTAKE: a required argument left out
    run = await engine.run("Fix it", executor="claude")
    run.result().title  # MISTAKE: a missing await
    for question in run.questions():  # MISTAKE: an asynchronous iterator iterated as a plain one
        print(question)
    task = await run.result()
    print(task.failure.reason)  # MISTAKE: None ignored
    print(task.titel)  # MISTAKE: a misspelt attribute
    await engine.tasks.list(state="pending")  # MISTAKE: a filter that does not exist
    page = await engine.approvals.list(pending=True)
    for approval in page.rows:
        number: int = approval.kind  # MISTAKE: a value taken for another type
        print(number)
    await engine.approvals.reject(run.id)  # MISTAKE: a rejection without its reason
    engine.on(TaskCompleted, about_failures)  # MISTAKE: a callback for something else
    with open_engine_sync("sqlite:///aura.db") as blocking:
        blocking.run("Fix it", executor="claude").result().titel  # MISTAKE: misspelt behind the blocking twin
        blocking.tasks.get(7)  # MISTAKE: a number for an id
        blocking.on(TaskCompleted, about_failures)  # MISTAKE: a callback for something else


def about_failures(record: EventRecord[TaskFailed]) -> None: ...
