"""The task of the benchmark `lifecycle` in Burr: an action for each step, a halt before the one that takes the answer.

``with_burr.py FOLDER TASKS AT_ONCE`` prints tasks per second. As its documentation says, with a persister for SQLite
that saves the state after each action.
"""

import asyncio
import sys
import time
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

from burr.core import ApplicationBuilder, State, action
from burr.integrations.persisters.b_aiosqlite import AsyncSQLitePersister

NAMES = ("create", "assign", "propose", "ask", "decide", "record", "approve", "complete")


def step(name):
    @action(reads=[], writes=["done"])
    async def act(state: State) -> State:
        return state.update(done=name)

    return act


@action(reads=[], writes=["done", "answer"])
async def decide(state: State, answer: str) -> State:
    return state.update(done="decide", answer=answer)


async def life(persister) -> None:
    application = await (
        ApplicationBuilder()
        .with_actions(**{name: decide if name == "decide" else step(name) for name in NAMES})
        .with_transitions(*pairwise(NAMES))
        .with_entrypoint("create")
        .with_state_persister(persister)
        .with_identifiers(app_id=str(uuid4()))
        .abuild()
    )
    await application.arun(halt_before=["decide"])
    _, _, state = await application.arun(halt_after=["complete"], inputs={"answer": "approved"})
    assert (state["done"], state["answer"]) == ("complete", "approved")


async def main(folder: Path, tasks: int, at_once: int) -> None:
    persister = await AsyncSQLitePersister.from_values(db_path=str(folder / f"burr-{uuid4()}.db"))
    await persister.initialize()
    await persister.connection.execute("PRAGMA synchronous=FULL")

    async def lives(number: int) -> None:
        for _ in range(number):
            await life(persister)

    await asyncio.gather(*[lives(1) for _ in range(at_once)])
    began = time.perf_counter()
    await asyncio.gather(*[lives(tasks // at_once) for _ in range(at_once)])
    print(tasks / (time.perf_counter() - began))
    await persister.cleanup()


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
