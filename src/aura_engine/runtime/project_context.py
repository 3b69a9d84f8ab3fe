"""Project context: reads the documents of a task's project, once its worktrees are prepared and before they change.

The agent's program may read some of them by itself (``CLAUDE.md``): these are not given to it a second time. It does so
only in the folder that it works in, and above.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from aura_contracts.context_documents import AgentContext, DocumentPlace, LeftOutDocument
from aura_contracts.errors import ExecutableNotFound, InvalidInput, UnknownExecutor
from aura_contracts.execution import Execution, RecordContext
from aura_contracts.file_paths import relative
from aura_contracts.ports.workspaces import PreparedWorkspace
from aura_contracts.task import Task
from aura_engine.context_text import context_text
from aura_engine.runtime.context import Runtime
from aura_worker_protocol.messages import CheckOptions, ReadDocuments


async def context_report(
    runtime: Runtime, task: Task, execution: Execution, made: PreparedWorkspace
) -> RecordContext | None:
    """Return the report of the documents that the agent gets; None without a project, or if it was read."""
    if not execution.documents or execution.context_read or task.project is None:
        return None
    trees = [DocumentPlace(repository=tree.repository, path=tree.path) for tree in made.worktrees]
    places = trees or [DocumentPlace(repository="", path=made.root)]
    own = await _own(runtime, execution, places, made.directory)
    asked = ReadDocuments(places=tuple(places), patterns=execution.documents, without=own)
    found = await runtime.gateway.request(asked)
    reason = f"{execution.executor} reads it by itself"
    reads = tuple(LeftOutDocument(repository=name, path=path, reason=reason) for name, path in found.without)
    context = AgentContext(
        project=task.project,
        text=context_text(task.project, found, several=len(places) > 1),
        documents=tuple(one.document for one in found.documents),
        left_out=(*found.left_out, *reads),
        more=found.more,
    )
    return RecordContext(epoch=execution.epoch, context=context)


async def _own(
    runtime: Runtime, execution: Execution, places: Sequence[DocumentPlace], directory: str
) -> tuple[str, ...]:
    """Return the paths of the documents that the agent reads by itself, relative to the only repository."""
    inside = relative(directory, places[0].path) if len(places) == 1 else None
    if inside is None:
        return ()
    check = CheckOptions(
        executor=execution.executor,
        prompt=execution.prompt,
        directory=directory,
        options=execution.plan.options,
        variables=execution.plan.variables,
    )
    try:
        names = (await runtime.gateway.request(check)).reads
    except (InvalidInput, UnknownExecutor, ExecutableNotFound):  # the start of the agent says so
        return ()
    folders = (PurePosixPath(inside), *PurePosixPath(inside).parents)
    return tuple(str(folder / name) for folder in folders for name in names)
