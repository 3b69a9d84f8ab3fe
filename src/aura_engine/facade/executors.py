"""Executors: the agent adapters on the worker's machine."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from aura_contracts.errors import InvalidInput
from aura_contracts.permission import PermissionRules, require_questions
from aura_contracts.ports.executors import Capability, ExecutorInfo
from aura_engine import policy
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_worker_protocol.messages import CheckOptions, DescribeRepository, ListExecutors

if TYPE_CHECKING:
    from aura_engine.inputs import RunRequest
    from aura_engine.policy import Rulebook


@gated
@attrs.frozen
class Executors:
    """The executors and their capabilities, and whether each is installed and logged in."""

    _core: Core

    async def get(self, name: str) -> ExecutorInfo:
        """Return one executor. Raises `UnknownExecutor`."""
        return await self._core.runtime.gateway.executor(name)

    async def capability(self, name: str) -> Capability:
        """Return what an executor can do, cached after the first call. Raises `UnknownExecutor`."""
        return await self._core.runtime.gateway.capability(name)

    async def list(self) -> Sequence[ExecutorInfo]:
        """Return all executors, by name."""
        return (await self._core.runtime.gateway.request(ListExecutors())).executors

    async def check(self, request: "RunRequest") -> None:
        """Validate a request without recording, creating or starting anything; `Engine.run` does it too.

        Raises `UnknownExecutor`, `InvalidInput` for anything that the executor cannot do or would refuse, and
        `ExecutableNotFound` if its program is not installed; but a setup script may install it. Raises `InvalidFile`
        for a policy file that has faults.
        """
        can = await self.capability(request.executor)
        _require_able(can, request)
        await self._core.policies.require(request.repositories)
        await examine_options(
            self._core,
            request.executor,
            request.options,
            variant=request.variant,
            prompt=request.prompt,
            directory=next(iter(request.repositories), "."),
            session_id=request.session_id,
            fork=request.fork and request.session_id is not None,
            variables=request.variables,
            complete=True,
            installed=request.setup is None,  # which may install it
            rules=request.plan.permissions,
            policies=lambda: self._policies(request),
        )

    async def _policies(self, request: "RunRequest") -> "Rulebook":
        """Return the policies of the repositories that hold the paths of a request."""
        asked = [DescribeRepository(path=path, in_place=True) for path in request.repositories]
        found = [await self._core.runtime.gateway.request(one) for one in asked]
        return await self._core.policies.book_of([one.path for one in found])


def _require_able(can: Capability, request: "RunRequest") -> None:
    name = request.executor
    if (request.resume_latest or request.session_id is not None) and not can.resume:
        reason = f"executor {name} has no sessions to resume"
        field = "resume_latest" if request.resume_latest else "session_id"
        raise InvalidInput(field=field, reason=reason, remedy="leave the session out")
    if request.fork and not can.fork:
        reason = f"executor {name} cannot copy a session"
        raise InvalidInput(field="fork", reason=reason, remedy="leave fork out: the session itself is resumed")
    if request.tools and not can.tool_servers:
        reason = f"executor {name} cannot be given tools"
        raise InvalidInput(field="tools", reason=reason, remedy="leave the tools out")


async def examine_options(
    core: Core,
    executor: str,
    options: Mapping[str, Any],
    *,
    variant: str | None = None,
    prompt: str = "work",
    directory: str = ".",
    session_id: str | None = None,
    fork: bool = False,
    variables: Mapping[str, str] = MappingProxyType({}),
    complete: bool = False,
    installed: bool = False,
    rules: PermissionRules | None = None,
    policies: "Callable[[], Awaitable[Rulebook]] | None" = None,
) -> None:
    """Have an executor examine options together with those of the profiles, as it will for a run.

    Unless they have to be `complete`, others may be added for each run. Raises `UnknownExecutor`, `InvalidInput` for
    what the executor would refuse and for `rules` that its agent would not ask about, and with `installed`
    `ExecutableNotFound`. `policies` are those in force where it will work, by default those of the user."""
    gateway = core.runtime.gateway
    can = await gateway.capability(executor)  # an unknown executor is refused before its variant
    silencing = None
    profiles = await core.runtime.profiles.load()
    whole = profiles.options(executor, variant, options)
    check = CheckOptions(
        executor=executor,
        prompt=prompt,
        directory=directory,
        options=whole,
        session_id=session_id,
        fork=fork,
        installed=installed,
        variables=dict(variables),
    )
    try:
        silencing = (await gateway.request(check)).silencing
    except InvalidInput as error:
        name = error.field.removeprefix("option ").partition("[")[0].partition(".")[0]
        if name in options or (name not in whole and complete):
            raise
        if name in whole:
            sources = ", ".join(profiles.sources(executor, variant, name))
            field = f"{sources}: {executor}, {error.field}"
            raise InvalidInput(field=field, reason=error.reason, remedy=error.remedy) from error
    require_questions(rules or PermissionRules(), executor, asks=can.permissions, silencing=silencing)
    if silencing is not None or not can.permissions:
        book = await (core.policies.book_of(()) if policies is None else policies())
        policy.require_asking(book, executor, asks=can.permissions, silencing=silencing)
