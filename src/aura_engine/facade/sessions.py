"""Sessions: agent conversations that can be resumed."""

import os.path
from collections.abc import Sequence
from typing import Unpack

import attrs

from aura_contracts.errors import AmbiguousId
from aura_contracts.ports.read_models import LIMIT, SessionQuery
from aura_contracts.ports.rows import Page, SessionRow
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import SessionFilters
from aura_engine.unit_of_work import not_found


@gated
@attrs.frozen
class Sessions:
    """Sessions by the agent's own session id, each with its newest run."""

    _core: Core

    async def get(self, session: str, *, executor: str | None = None) -> SessionRow:
        """Return a session by its id or a unique prefix or suffix of it. Raises `AggregateNotFound`, `AmbiguousId`."""
        reads = self._core.reads
        found = (await reads.list(SessionQuery(id=session, executor=executor))).rows
        if not found:
            matches = await reads.find("session", session, limit=LIMIT)
            found = (await reads.list(SessionQuery(id=[match.id for match in matches], executor=executor))).rows
        if len(found) > 1:
            names = tuple(f"{row.id} of {row.executor} in {row.directory}" for row in found)
            raise AmbiguousId(kind="session", text=session, candidates=names)
        if not found:
            raise not_found("session", session)
        return found[0]

    async def list(self, **filters: Unpack[SessionFilters]) -> Page[SessionRow]:
        """Return a page of sessions, newest first unless `sort` and `descending` say otherwise."""
        return await self._core.reads.list(SessionQuery(**filters))

    async def latest(self, *, executor: str | None = None, folders: Sequence[str] = ()) -> SessionRow | None:
        """Return the most recent session of `executor` that worked on one of `folders`, None without one.

        A folder is a repository or a subfolder of one: sessions of other subfolders are other sessions.
        """
        newest: list[SessionRow] = []
        for folder in folders or (None,):
            query = SessionQuery(executor=executor, place=_real(folder), limit=1)
            newest += (await self._core.reads.list(query)).rows
        return max(newest, key=lambda row: row.queued_at, default=None)


def _real(folder: str | None) -> str | None:
    return None if folder is None else os.path.realpath(folder)
