"""Policies: rules that answer questions, or say who is asked; those in force, and what another file would change."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import anyio
import attrs
import msgspec

from aura_contracts.approval import PolicyRef, PolicyVerdict
from aura_contracts.errors import Fault
from aura_contracts.plain_data import Plain
from aura_contracts.ports.read_models import LIMIT, ApprovalQuery
from aura_contracts.ports.time_arguments import instant_of
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.written_files import content_of
from aura_engine.policy.back_test import ChangedVerdict, changed_verdicts
from aura_engine.policy.policy_file import read_policy
from aura_engine.policy.rulebook import Policy, PolicyRule, Rulebook
from aura_engine.policy.sources import READ_LIMIT, PolicyFile, name_of
from aura_engine.unit_of_work import not_found


class PolicyRuleInfo(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A rule as its file states it."""

    name: str
    verdict: PolicyVerdict
    line: int
    because: str = ""
    when: dict[str, Any] = {}
    then: dict[str, Any] = {}
    """Times in seconds."""


class PolicyInfo(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A policy in force. `digest` is the SHA-256 of its text in hexadecimal; a callable has neither text nor rules."""

    id: str
    """Its name."""
    source: str
    digest: str
    rules: tuple[PolicyRuleInfo, ...] = ()
    faults: tuple[Fault, ...] = ()
    """With an error among them, the policy has a human asked each time."""


@gated
@attrs.frozen
class Policies:
    """The policies of the user, of projects and of the embedding program."""

    _core: Core

    async def get(self, policy: str, *, repository: str | None = None) -> PolicyInfo:
        """Return a policy in force by its name, see `list`. Raises `AggregateNotFound`."""
        for one in await self.list(repository=repository):
            if one.id == policy:
                return one
        raise not_found("policy", policy)

    async def list(self, *, repository: str | None = None) -> Sequence[PolicyInfo]:
        """Return the policies in force for work on a repository, or if None, in the project of the engine."""
        sources = self._core.policies
        files = await sources.files(None if repository is None else [repository])
        calls = (Policy(PolicyRef(name_of(call)), call=call) for call in sources.calls)
        infos = await anyio.to_thread.run_sync(lambda: [_info(file) for file in files])
        return [*infos, *(_info(PolicyFile("", call)) for call in calls)]

    async def validate(self, file: Path | str) -> Sequence[Fault]:
        """Return all faults of a policy file, warnings included. Raises `InvalidInput` if it cannot be read."""
        content = await content_of(file, READ_LIMIT, "policy")
        return await anyio.to_thread.run_sync(lambda: read_policy(content, str(file), warn=True).faults)

    async def test(self, file: Path | str, *, since: datetime | date | None = None) -> Sequence[ChangedVerdict]:
        """Return the past questions whose verdict would be another one with this file as the only policy.

        First those that a human refused and the file approves, then by direction. `since` is the time of the first
        question to look at. Raises `InvalidFile`, and `InvalidInput` if the file cannot be read.
        """
        policy = read_policy(await content_of(file, READ_LIMIT, "policy"), str(file)).require(str(file))
        query = ApprovalQuery(requested_after=_instant(since), limit=LIMIT)
        asked = [approval async for approval in self._core.reads.rows(query)]
        return await anyio.to_thread.run_sync(changed_verdicts, Rulebook((policy,)), asked)


def _instant(since: datetime | date | None) -> datetime | None:
    return None if since is None else instant_of(since, "since")


def _info(file: PolicyFile) -> PolicyInfo:
    policy: Policy = file.policy
    warnings = () if file.text is None else read_policy(file.text.encode(), file.file, warn=True).faults
    return PolicyInfo(
        id=policy.ref.name,
        source=file.file or "callable",
        digest=policy.ref.digest,
        rules=tuple(map(_rule_info, policy.rules)),
        faults=(*file.faults, *warnings),
    )


def _rule_info(rule: PolicyRule) -> PolicyRuleInfo:
    then = {} if rule.terms is None else attrs.asdict(rule.terms, filter=lambda _, value: value not in (None, ()))
    return PolicyRuleInfo(
        name=rule.name,
        verdict=rule.verdict,
        line=rule.line,
        because=rule.because,
        when=msgspec.to_builtins({condition.key: condition.given for condition in rule.conditions}),
        then=msgspec.to_builtins({**then, **({"audit": rule.audit} if rule.audit else {})}),
    )
