"""The workflow of the benchmark `workflows` in LangGraph: a node for each step, a thread for each workflow.

``with_langgraph.py STORE WORKFLOWS AT_ONCE STEPS`` prints steps per second. As its documentation says: the checkpointer
for SQLite; ``durability="sync"`` has each step saved before the next one begins.
"""

import asyncio
import sys
import time
from itertools import pairwise
from typing import TypedDict
from uuid import uuid4

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    done: int


async def step(state: State) -> State:
    return {"done": state["done"] + 1}


def graph_of(steps, saver):
    builder = StateGraph(State)
    names = [f"s{number}" for number in range(steps)]
    for name in names:
        builder.add_node(name, step)
    for before, after in pairwise((START, *names, END)):
        builder.add_edge(before, after)
    return builder.compile(checkpointer=saver)


async def main(store: str, workflows: int, at_once: int, steps: int) -> None:
    async with AsyncSqliteSaver.from_conn_string(store.removeprefix("sqlite:///")) as saver:
        await saver.setup()
        await saver.conn.execute("PRAGMA synchronous=FULL")
        graph = graph_of(steps, saver)

        async def lives(number: int) -> None:
            for _ in range(number):
                config = {"configurable": {"thread_id": str(uuid4())}, "recursion_limit": steps + 5}
                done = await graph.ainvoke({"done": 0}, config, durability="sync")
                assert done["done"] == steps

        await asyncio.gather(*[lives(1) for _ in range(at_once)])
        began = time.perf_counter()
        await asyncio.gather(*[lives(workflows // at_once) for _ in range(at_once)])
        print(workflows * steps / (time.perf_counter() - began))


asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:5])))
