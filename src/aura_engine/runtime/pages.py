"""Pages: reads many rows by their ids, as many at a time as fit on a page."""

from collections.abc import Iterable, Iterator, Sequence

from aura_contracts.ids import StreamId, TaskId
from aura_contracts.ports.read_models import LIMIT, ReadModels, TaskQuery
from aura_contracts.task import Task


def parts_of(ids: Iterable[StreamId]) -> Iterator[Sequence[StreamId]]:
    """Yield ids in parts that fit on a page, in order."""
    ordered = sorted(ids)
    return (ordered[start : start + LIMIT] for start in range(0, len(ordered), LIMIT))


async def tasks_of(reads: ReadModels, ids: Iterable[TaskId]) -> list[Task]:
    """Return the tasks with these ids; those that do not exist are left out."""
    found: list[Task] = []
    for part in parts_of(ids):
        found += (await reads.list(TaskQuery(id=part, limit=LIMIT))).rows
    return found
