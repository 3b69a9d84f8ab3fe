"""A graph that has an agent change a repository, and continues when a human has approved the change in AURA.

``python change_graph.py THREAD REPOSITORY REQUEST``; the same again continues after a crash.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from aura_engine import Engine, open_engine

AGENT: dict[str, Any] = json.loads(os.environ.get("AGENT", '{"executor": "claude"}'))


class State(TypedDict, total=False):
    repository: str
    request: str
    commit: str
    note: str


@dataclass
class Context:
    engine: Engine


async def change(state: State, config: RunnableConfig, runtime: Runtime[Context]) -> State:
    """Have the agent make the change, and wait until a human has approved it and it is merged.

    LangGraph starts a node again that did not end. The key makes that the same run: no agent works twice.
    """
    thread = config["configurable"]["thread_id"]
    run = await runtime.context.engine.run(
        state["request"],
        key=f"graph {thread}",
        repositories=[state["repository"]],
        approval="changes",
        **AGENT,
    )
    try:
        task = await run.result()
    except asyncio.CancelledError:
        await run.cancel("its graph was cancelled")
        await run.idle()
        raise
    (commit,) = task.result["merged"].values()
    return {"commit": commit}


async def announce(state: State) -> State:
    return {"note": f"merged {state['commit']}"}


GRAPH = (
    StateGraph(State, context_schema=Context)
    .add_node("change", change)
    .add_node("announce", announce)
    .add_edge(START, "change")
    .add_edge("change", "announce")
    .add_edge("announce", END)
)


async def main(thread: str, repository: str, request: str) -> None:
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    async with (
        open_engine("sqlite:///aura.db") as engine,
        AsyncSqliteSaver.from_conn_string("graph.db") as saver,
    ):
        graph = GRAPH.compile(checkpointer=saver)
        begun = (await graph.aget_state(config)).next
        first: State | None = None if begun else {"repository": repository, "request": request}
        state = await graph.ainvoke(first, config, context=Context(engine), durability="sync")
        print(state["note"])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
