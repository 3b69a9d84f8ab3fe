"""Engine: decides what happens to tasks, and has it done. `open_engine` is the way in.

    from aura_engine import open_engine

    async with open_engine("sqlite:///aura.db") as engine:
        run = await engine.run("Fix the login", executor="claude")
        async for question in run.questions():
            await engine.approvals.approve(question.id)
        task = await run.result()

An `Engine` has a noun for everything: `tasks`, `approvals`, `agents`, `workspaces`, `sessions`, `executors`, `usage`,
`events`, `history`, `audit`, `logs`, `store`, `doctor`; each has `get`, `list` and commands. `open_engine_sync` opens
the same for code that is not asynchronous.

Here is everything an embedding program needs, flat: the engine and what it returns, states and their statuses, events
to subscribe to, ids, errors. Writers of executors find theirs in `aura_executors`, auditors in `aura_store`.
"""

from typing import TYPE_CHECKING

from aura_contracts import lazy

if TYPE_CHECKING:
    ...
