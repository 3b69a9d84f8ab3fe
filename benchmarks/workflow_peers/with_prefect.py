"""The workflow of the benchmark `workflows` in Prefect: a flow that calls a task as often as there are steps.

``with_prefect.py FOLDER WORKFLOWS AT_ONCE STEPS`` prints steps per second. As its documentation says, with the server
that it starts itself for a program, on SQLite; it records the states of runs, and the results are kept in files, so
that a flow that is run again does not do what was done. A server on SQLite that is asked by 50 flows at once answers
"503" while its database is locked: it gets more time, and is asked again.
"""

import asyncio
import os
import sys
import time

os.environ |= {
    "PREFECT_HOME": sys.argv[1],
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_DATABASE_TIMEOUT": "120",
    "PREFECT_CLIENT_MAX_RETRIES": "50",
    "DO_NOT_TRACK": "1",
}

from prefect import flow, task


@task(persist_result=True)
async def step(number: int) -> int:
    return number + 1


@flow(persist_result=True)
async def chain(steps: int) -> int:
    done = 0
    for _ in range(steps):
        done = await step(done)
    return done


async def main(workflows: int, at_once: int, steps: int) -> None:
    async def lives(number: int) -> None:
        for _ in range(number):
            assert await chain(steps) == steps

    await lives(1)
    began = time.perf_counter()
    await asyncio.gather(*[lives(workflows // at_once) for _ in range(at_once)])
    print(workflows * steps / (time.perf_counter() - began))


asyncio.run(main(*map(int, sys.argv[2:5])))
