"""Terms: on what terms a human is asked, as the rules that ask say. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

import attrs
from msgspec.structs import replace

from aura_contracts.approval import ApprovalKind, Level, OnExpiry, PolicyDecision, PolicyVerdict, Question

EXPIRING = frozenset({ApprovalKind.PLAN, ApprovalKind.CHANGES, ApprovalKind.DECOMPOSITION, ApprovalKind.TOOL_CALL})
"""Questions that an execution waits for, so that it carries their end out. No one would answer others any more."""


@attrs.frozen(kw_only=True)
class Terms:
    """On what terms a human is asked. Times are in seconds; None: as without a policy."""

    reviewers: tuple[str, ...] = ()
    quorum: int | None = None
    deadline: float | None = None
    on_expiry: OnExpiry | None = None
    remind_after: float | None = None
    escalate_after: float | None = None
    escalate_to: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    """Those who are asked after the reviewers, one level after another."""

    @classmethod
    def of(cls, several: Sequence["Terms"]) -> "Terms":
        """Return what satisfies all of `several`: all people, the largest quorum, the earliest times, silence as no."""
        silence = {terms.on_expiry for terms in several} - {None}
        return cls(
            reviewers=_united(terms.reviewers for terms in several),
            quorum=max((terms.quorum for terms in several if terms.quorum is not None), default=None),
            deadline=_earliest(terms.deadline for terms in several),
            on_expiry=OnExpiry.DENY if OnExpiry.DENY in silence else next(iter(silence), None),
            remind_after=_earliest(terms.remind_after for terms in several),
            escalate_after=_earliest(terms.escalate_after for terms in several),
            escalate_to=_united(terms.escalate_to for terms in several),
            levels=_joined([terms.levels for terms in several]),
        )


def _earliest(times: Iterable[float | None]) -> float | None:
    return min((time for time in times if time is not None), default=None)


def _united(names: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({name for several in names for name in several}))


def _joined(several: Iterable[Sequence[Level]]) -> tuple[Level, ...]:
    """Return levels that satisfy all of `several`: at each place all people, and the largest quorum."""
    return tuple(
        Level(
            reviewers=_united(level.reviewers for level in place if level is not None),
            quorum=max(level.quorum for level in place if level is not None),
        )
        for place in zip_longest(*several)
    )


def on_terms(question: Question, terms: Terms, decision: PolicyDecision, at: datetime) -> Question:
    """Return a question asked at `at` on the terms of policies; as it is, if they answer it themselves."""
    if decision.verdict not in (PolicyVerdict.ASK, PolicyVerdict.NEVER):
        return question
    expires = question.kind in EXPIRING and question.execution_id is not None
    deadline = at + timedelta(seconds=terms.deadline) if expires and terms.deadline is not None else None
    changes: dict[str, Any] = {
        **_people(question, terms),
        "deadline": deadline,
        "on_expiry": OnExpiry.DENY if decision.holds_back else terms.on_expiry,
        "remind_after": terms.remind_after,
        "escalate_after": terms.escalate_after,
    }
    return replace(question, **{name: value for name, value in changes.items() if value is not None})


def _people(question: Question, terms: Terms) -> Mapping[str, Any]:
    """Return who is asked, and how many of them must approve: at least as many as the question itself demands.

    Who may not decide, or is asked at a later level, is left out. Those of the question are asked as well if the others
    are too few, and no more approvals are demanded than they can give: a question that can be answered still can be.
    """
    levels = _levels(question, terms, ())
    first = _first(question, terms, levels)
    names = {name for level in levels for name in level.reviewers}
    if not names.isdisjoint(first["reviewers"]):  # they are needed at the first level, as each votes once
        levels = _levels(question, terms, first["reviewers"])
        first = _first(question, terms, levels)
    return {**first, "levels": levels}


def _first(question: Question, terms: Terms, levels: Sequence[Level]) -> dict[str, Any]:
    """Return who is asked first."""
    elsewhere = {*question.barred, *(name for level in levels for name in level.reviewers)}
    escalate_to = tuple(dict.fromkeys((*question.escalate_to, *terms.escalate_to)))
    reviewers = tuple(name for name in terms.reviewers if name not in elsewhere)
    quorum = max(question.quorum, terms.quorum or 1)

    def able() -> int:
        return len({*reviewers, *escalate_to} - elsewhere)

    if not reviewers or able() < quorum:
        reviewers = tuple(dict.fromkeys((*reviewers, *question.reviewers)))
    return {"reviewers": reviewers, "quorum": max(question.quorum, min(quorum, able())), "escalate_to": escalate_to}


def _levels(question: Question, terms: Terms, needed: Collection[str]) -> tuple[Level, ...]:
    """Return the levels of the question with those of policies added, without who is `needed` at the first one.

    Each person is asked at the last level that names them. A level that no one is left at is not asked.
    """
    own = {name for level in question.levels for name in level.reviewers}
    without = {*question.barred, *needed} - own
    taken, levels = set[str](), list[Level]()
    for mine, more in reversed(list(zip_longest(question.levels, terms.levels))):
        added = () if more is None else tuple(name for name in more.reviewers if name not in {*without, *taken, *own})
        names = (*(() if mine is None else mine.reviewers), *added)
        least, most = (1 if mine is None else mine.quorum), (1 if more is None else more.quorum)
        taken.update(names)
        if names:
            levels.insert(0, Level(reviewers=names, quorum=max(least, min(most, len(names)))))
    return tuple(levels)
