"""A process that keeps the read models of a log current until it is killed: ``python follow.py URL``."""

import sys

import anyio

from aura_store import open_log, open_read_models


async def main(url: str) -> None:
    async with open_log(url) as log, open_read_models(log) as models:
        reached = await models.catch_up()
        print("following", flush=True)  # noqa: T201 - tells the test
        while True:
            await log.wait(reached)
            reached = await models.catch_up()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1])
