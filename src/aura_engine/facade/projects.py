"""Projects: repositories that belong together, and what agents read before they begin a task in them."""

from collections.abc import Sequence
from typing import Unpack

import attrs
from msgspec.structs import replace

from aura_contracts.context_documents import DocumentPlace, is_wild, require_document_pattern
from aura_contracts.errors import InvalidId, InvalidInput
from aura_contracts.ids import ProjectId
from aura_contracts.ports.read_models import ProjectQuery
from aura_contracts.ports.rows import Page
from aura_contracts.project import (
    PROJECT,
    CreateProject,
    EditProject,
    Project,
    ProjectChanges,
    RemoveProject,
    project_id,
)
from aura_contracts.quoting import one_line
from aura_engine import facade
from aura_engine.facade.arguments import Kept
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import NewProjectOptions, ProjectFilters
from aura_engine.unit_of_work import UnitOfWork, not_found
from aura_worker_protocol.messages import DescribeRepository, ReadDocuments


@gated
@attrs.frozen
class Projects:
    """The projects, by name or by id."""

    _core: Core

    async def get(self, project: str) -> Project:
        """Return a project, also one that was removed. Raises `AggregateNotFound`, `AmbiguousId`."""
        return await self._core.stored(PROJECT, await self._find(project))

    async def list(self, **filters: Unpack[ProjectFilters]) -> Page[Project]:
        """Return a page of projects, newest first unless `sort` and `descending` say otherwise; without removed ones,
        unless `status` asks for them."""
        return await self._core.reads.list(ProjectQuery(**filters))

    async def create(self, name: str, *, by: str | None = None, **options: Unpack[NewProjectOptions]) -> Project:
        """Create a project. Paths of repositories are relative to the folder of this program.

        Raises `NameTaken`, `NotARepository` for a folder that does not exist, and `InvalidInput` for a path inside a
        repository, for a pattern that leads out of it or matches nothing, and for a document that agents cannot be
        given: one that does not exist in any of the repositories, leads out of it, is binary or cannot be read.
        """
        given = facade.NewProject.model_validate({"name": name, **options})
        actor = await self._core.require_member("project", given.name, "create", by)  # before files are read
        repositories = await self._repositories(given.repositories)
        await self._require_documents(given.documents, repositories)
        ident, spec = project_id(given.spec.name), replace(given.spec, repositories=repositories)
        return await self._core.bus.handle(actor, ident, CreateProject(project_id=ident, spec=spec))

    async def edit(self, project: str, changes: Kept[ProjectChanges], *, by: str | None = None) -> Project:
        """Edit a project; fields that `changes` does not set stay as they are. Tasks that have begun do not change.

        Raises the errors of `create`, except for `NameTaken`: a project keeps its name.
        """
        ident = await self._find(project)
        actor = await self._core.require_member("project", project, "edit", by)
        if changes.repositories is not None:
            changes = replace(changes, repositories=await self._repositories(changes.repositories))
        if changes.documents is not None:
            known = changes.repositories
            places = (await self._core.stored(PROJECT, ident)).repositories if known is None else known
            await self._require_documents(changes.documents, places)

        async def decide(unit: UnitOfWork) -> Project:
            return await unit.handle(ident, EditProject(changes=changes))

        return await self._core.bus.transact(actor, decide)

    async def remove(self, project: str, reason: Kept[str] = "", *, by: str | None = None) -> Project:
        """Remove a project. Its repositories and tasks stay, and the tasks keep its name."""
        ident = await self._find(project)
        return await self._core.bus.handle(self._core.actor(by), ident, RemoveProject(reason=reason))

    async def _find(self, text: str) -> ProjectId:
        """Return the id of the project that has this name, or that this id, or a part of it, means."""
        named = project_id(text)
        if await self._core.bus.fetch(PROJECT, named) is not None:
            return named
        try:
            return ProjectId(await self._core.find("project", text))
        except InvalidId:
            raise not_found("project", text) from None

    async def _repositories(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Return the absolute paths of repositories, each once."""
        found: dict[str, None] = {}
        for number, path in enumerate(paths):
            one = await self._core.runtime.gateway.request(DescribeRepository(path=path, in_place=True))
            if one.subfolder:
                reason = f"{one_line(path)!r} is a folder in the repository {one.path}"
                raise InvalidInput(field=f"repositories.{number}", reason=reason, remedy=f"name {one.path}")
            found[one.path] = None
        return tuple(found)

    async def _require_documents(self, patterns: Sequence[str], repositories: Sequence[str]) -> None:
        """Refuse patterns that are not valid, and single documents that are in no repository, or cannot be given."""
        for number, pattern in enumerate(patterns):
            field = f"documents.{number}"
            require_document_pattern(pattern, field)
            if is_wild(pattern) or not repositories:
                continue
            places = tuple(DocumentPlace(repository="", path=path) for path in repositories)
            found = await self._core.runtime.gateway.request(ReadDocuments(places=places, patterns=(pattern,)))
            if not found.documents:
                reason = f"{one_line(pattern)!r} cannot be given to agents: {found.left_out[0].reason}"
                remedy = "name a file with text in UTF-8 that is in one of the repositories"
                raise InvalidInput(field=field, reason=reason, remedy=remedy)
