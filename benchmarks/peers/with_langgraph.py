"""The task of the benchmark `lifecycle` in LangGraph: a node for each step, `interrupt` for the answer.

``with_langgraph.py FOLDER TASKS AT_ONCE`` prints tasks per second. As its documentation says: the checkpointer for
SQLite, a thread for each task, `Command(resume=...)` for the answer; ``durability="sync"`` has each step saved before
the next one begins.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import TypedDict
from uuid import uuid4

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt


class State(TypedDict, total=False):
    title: str
    done: str
    answer: str


def step(name):
    async def node(state: State) -> State:
        return {"done": name}

    return node


async def decide(state: State) -> State:
    return {"done": "decide", "answer": interrupt("May it be done?")}


def graph_with(saver):
    builder = StateGraph(State)
    names = ("assign", "propose", "ask", "decide", "approve", "complete")
    for name in names:
        builder.add_node(name, decide if name == "decide" else step(name))
    for before, after in zip((START, *names), (*names, END), strict=True):
        builder.add_edge(before, after)
    return builder.compile(checkpointer=saver)


async def life(graph) -> None:
    config = {"configurable": {"thread_id": str(uuid4())}}
    asked = await graph.ainvoke({"title": "Do it"}, config, durability="sync")
    assert asked["__interrupt__"]
    done = await graph.ainvoke(Command(resume="approved"), config, durability="sync")
    assert (done["done"], done["answer"]) == ("complete", "approved")


async def main(folder: Path, tasks: int, at_once: int) -> None:
    async with AsyncSqliteSaver.from_conn_string(str(folder / f"langgraph-{uuid4()}.db")) as saver:
        await saver.setup()
        await saver.conn.execute("PRAGMA synchronous=FULL")
        graph = graph_with(saver)

        async def lives(number: int) -> None:
            for _ in range(number):
                await life(graph)

        await asyncio.gather(*[lives(1) for _ in range(at_once)])
        began = time.perf_counter()
        await asyncio.gather(*[lives(tasks // at_once) for _ in range(at_once)])
        print(tasks / (time.perf_counter() - began))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
