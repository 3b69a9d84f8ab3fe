"""The workflow of the benchmark `workflows` in DBOS: a step that returns its argument, as often as there are steps.

``with_dbos.py STORE WORKFLOWS AT_ONCE STEPS`` prints steps per second. As its documentation says, with PostgreSQL as
the system database, or SQLite, whose own default is ``synchronous=FULL``. Results are looked for a hundred times as
often as by default.
"""

import asyncio
import sys
import time

from dbos import DBOS


@DBOS.step()
async def step(number: int) -> int:
    return number


@DBOS.workflow()
async def chain(steps: int) -> int:
    done = -1
    for _ in range(steps):
        done = await step(done + 1)
    return done


async def live(steps: int) -> None:
    handle = await DBOS.start_workflow_async(chain, steps)
    assert await handle.get_result(polling_interval_sec=0.01) == steps - 1


async def main(store: str, workflows: int, at_once: int, steps: int) -> None:
    DBOS(config={"name": "workflows", "system_database_url": store, "log_level": "ERROR"})
    DBOS.launch()

    async def lives(number: int) -> None:
        for _ in range(number):
            await live(steps)

    await asyncio.gather(*[lives(1) for _ in range(at_once)])
    began = time.perf_counter()
    await asyncio.gather(*[lives(workflows // at_once) for _ in range(at_once)])
    print(workflows * steps / (time.perf_counter() - began))
    DBOS.destroy()


asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:5])))
