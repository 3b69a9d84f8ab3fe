"""Rulebook: the policies in force, and their verdict on a question. Pure.

    never > reject > ask > approve; nothing matched: ask

- A rule that asks or approves, and matches depending on something unknown, has a human asked. So does one that rejects:
  a human sees what the rule could not. One that says ``never`` matches.
- A policy rejects the proposals of one task `REJECTIONS` times; then a human is asked, because the agent cannot satisfy
  the rule, and would try forever.
- Where a rule that rejects has a human asked, no answer given in advance takes their place.
- A policy that failed, a file that cannot be read or a callable that raised, says ``never``.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

import attrs
from msgspec.structs import replace

from aura_contracts.approval import (
    ApprovalKind,
    PolicyDecision,
    PolicyRef,
    PolicyVerdict,
    Question,
    RuleMatch,
    WaitingTimes,
)
from aura_contracts.ids import ApprovalId
from aura_contracts.permission import Fit, fits
from aura_contracts.quoting import ERROR_LIMIT, cut, one_line, printable
from aura_contracts.secrets import redact_text
from aura_engine.policy.conditions import Condition, PolicySubject, value_of
from aura_engine.policy.terms import Terms, on_terms
from aura_engine.record.verdicts import Verdicts

REJECTIONS = 3
"""How often proposals of a task are sent back before policies leave it to a human."""

UNANSWERABLE = frozenset({ApprovalKind.QUESTION, ApprovalKind.MERGE_CONFLICT, ApprovalKind.LOCK_CONFLICT})
"""Questions that yes and no do not answer: policies say only who is asked, and until when."""

PolicyAnswer = PolicyVerdict | str | tuple[PolicyVerdict | str, str] | None
"""A verdict, with words or without, of which the log keeps the first 8,192 characters; None: no opinion."""

PolicyCallable = Callable[[PolicySubject], PolicyAnswer]
"""A policy in Python. It is called for every question that its engine asks, and should be quick."""


@attrs.frozen(kw_only=True)
class PolicyRule:
    """A rule of a policy, ready to be applied."""

    name: str
    verdict: PolicyVerdict
    conditions: tuple[Condition, ...]
    line: int = 0
    because: str = ""
    terms: Terms | None = None
    audit: float = 0.0
    """Share of its approvals that a human decides all the same."""

    @property
    def kinds(self) -> frozenset[ApprovalKind]:
        """The kinds of question that it may match."""
        kinds = frozenset(ApprovalKind)
        for condition in self.conditions:
            kinds &= condition.kinds
        return kinds - UNANSWERABLE if self.verdict in (PolicyVerdict.APPROVE, PolicyVerdict.REJECT) else kinds

    def fit(self, subject: PolicySubject) -> Fit:
        """Return whether it matches a question of one of its kinds."""
        found = Fit.YES
        for condition in self.conditions:
            if (fit := condition.test(subject)) is Fit.NO:
                return Fit.NO
            found = min(found, fit)
        return found

    def guards_calls(self, executor: str) -> bool:
        """Whether it speaks of tool calls, and may match those of an executor."""
        given = {condition.key: condition.given for condition in self.conditions}
        speaks = "tools" in given or "commands" in given or ApprovalKind.TOOL_CALL in given.get("kind", ())
        return speaks and any(fits(executor, one) for one in given.get("executor", (executor,)))


@attrs.frozen
class Policy:
    """A policy: rules of a file, or a callable."""

    ref: PolicyRef
    rules: tuple[PolicyRule, ...] = ()
    call: PolicyCallable | None = None
    broken: str = ""
    """Why it cannot be applied."""


@attrs.frozen
class _Match:
    """A match with the words and the terms of its rule."""

    recorded: RuleMatch
    because: str = ""
    terms: Terms | None = None
    audit: float = 0.0


def _by_kind(policies: Sequence[Policy]) -> Mapping[ApprovalKind, Sequence[tuple[str, PolicyRule]]]:
    every = [(policy.ref.name, rule, rule.kinds) for policy in policies for rule in policy.rules]
    return {kind: [(name, rule) for name, rule, kinds in every if kind in kinds] for kind in ApprovalKind}


@attrs.frozen
class Rulebook:
    """The policies in force for a question."""

    policies: tuple[Policy, ...] = ()
    verdicts: Verdicts | None = attrs.field(default=None, eq=False, repr=False)
    """What humans decided about agents' work before; None if it was not looked up."""
    waiting: WaitingTimes = attrs.field(factory=WaitingTimes, kw_only=True)
    """How long questions wait where no policy says otherwise."""
    _rules: Mapping[ApprovalKind, Sequence[tuple[str, PolicyRule]]] = attrs.field(
        default=attrs.Factory(lambda book: _by_kind(book.policies), takes_self=True), init=False, eq=False, repr=False
    )
    """By kind of question, the rules that may match it, with their policies."""

    def __bool__(self) -> bool:
        return bool(self.policies)

    def looks_at(self, key: str) -> bool:
        """Whether a rule has the condition `key`, or a callable may look at its value."""
        rules = (rule for policy in self.policies for rule in policy.rules)
        calls = any(policy.call is not None for policy in self.policies)
        return calls or any(condition.key == key for rule in rules for condition in rule.conditions)

    def informed(self, question: Question) -> Question:
        """Return a question with what humans decided about such work of its agent before."""
        if self.verdicts is None:
            return question
        record = self.verdicts.so_far(question.evidence, question.kind)
        return replace(question, evidence=replace(question.evidence, record=record))

    def guarding_calls(self, executor: str) -> tuple[str, str] | None:
        """Return the name and the policy of a rule that rejects tool calls of an executor, or demands a human for them.

        Only a rule that speaks of tool calls counts."""
        for policy in self.policies:
            for rule in policy.rules:
                if rule.verdict in (PolicyVerdict.NEVER, PolicyVerdict.REJECT) and rule.guards_calls(executor):
                    return rule.name, policy.ref.source or policy.ref.name
        return None

    def decide(self, subject: PolicySubject, approval_id: ApprovalId) -> PolicyDecision:
        """Return the verdict on a question, with everything it is based on; no order of rules or files changes it."""
        return self._decided(self._matches(subject), subject, approval_id)

    def verdict(self, subject: PolicySubject, approval_id: ApprovalId) -> tuple[PolicyVerdict, Sequence[RuleMatch]]:
        """Return the verdict and the rules that match, as `decide` would, without the values."""
        matches = self._matches(subject)
        verdict, deciding, _ = _verdict(matches, subject)
        if verdict is PolicyVerdict.APPROVE and is_sampled(approval_id, _share(deciding)):
            verdict = PolicyVerdict.ASK
        return verdict, [match.recorded for match in matches]

    def ask(
        self, question: Question, subject: PolicySubject, approval_id: ApprovalId
    ) -> tuple[Question, PolicyDecision]:
        """Return the verdict, and the question on the terms of the rules that have a human asked."""
        matches = self._matches(subject)
        decision = self._decided(matches, subject, approval_id)
        asking = [match.terms for match in matches if match.terms is not None]
        return on_terms(question, Terms.of(asking), decision, subject.at), decision

    def _matches(self, subject: PolicySubject) -> list[_Match]:
        found: list[_Match] = []
        for policy in self.policies:
            if policy.broken:
                found.append(_Match(RuleMatch(policy.ref.name, "", PolicyVerdict.NEVER, sure=False), policy.broken))
            elif policy.call is not None:
                found += _called(policy.ref.name, policy.call, subject)
        for name, rule in self._rules[subject.kind]:
            if (fit := rule.fit(subject)) is not Fit.NO:
                match = RuleMatch(name, rule.name, rule.verdict, rule.line, fit is Fit.YES)
                found.append(_Match(match, rule.because, rule.terms, rule.audit))
        return sorted(found, key=_rank) if len(found) > 1 else found

    def _decided(self, matches: Sequence[_Match], subject: PolicySubject, approval_id: ApprovalId) -> PolicyDecision:
        verdict, deciding, reason = _verdict(matches, subject)
        audited = verdict is PolicyVerdict.APPROVE and is_sampled(approval_id, _share(deciding))
        keys = {condition.key for policy in self.policies for rule in policy.rules for condition in rule.conditions}
        return PolicyDecision(
            verdict=PolicyVerdict.ASK if audited else verdict,
            reason="a human looks at a sample of what is approved by policy" if audited else reason,
            policies=tuple(sorted((policy.ref for policy in self.policies), key=lambda ref: (ref.name, ref.source))),
            matched=tuple(match.recorded for match in matches),
            values={key: value_of(key, subject) for key in sorted(keys)},
            audited=audited,
        )


def _share(matches: Sequence[_Match]) -> float:
    return max((match.audit for match in matches), default=0.0)


def _rank(match: _Match) -> tuple[int, str, str, int]:
    recorded = match.recorded
    return recorded.verdict.rank, recorded.policy, recorded.rule, recorded.line


def _verdict(matches: Sequence[_Match], subject: PolicySubject) -> tuple[PolicyVerdict, Sequence[_Match], str]:
    """Return the verdict, the matches it is based on, and its reason in words."""
    if not matches:
        return PolicyVerdict.ASK, (), ""
    never = [match for match in matches if match.recorded.verdict is PolicyVerdict.NEVER]
    if never:
        return PolicyVerdict.NEVER, never, _words(never)
    sure = [match for match in matches if match.recorded.sure]
    reject = [match for match in sure if match.recorded.verdict is PolicyVerdict.REJECT]
    if reject:
        if subject.evidence.rejections >= REJECTIONS:
            words = f"{_words(reject)} (sent back {subject.evidence.rejections} times already)"
            return PolicyVerdict.ASK, reject, words
        return PolicyVerdict.REJECT, reject, _words(reject)
    ask = [match for match in matches if match.recorded.verdict is PolicyVerdict.ASK or not match.recorded.sure]
    if ask or not sure:
        return PolicyVerdict.ASK, ask, _words(ask)
    return PolicyVerdict.APPROVE, sure, _words(sure)


def _words(matches: Sequence[_Match]) -> str:
    """Return the words of rules, or else their names."""
    said = [match.because or _named(match.recorded) for match in matches]
    return "; ".join(dict.fromkeys(said))


def _named(match: RuleMatch) -> str:
    unknown = "" if match.sure else " (depending on what is unknown)"
    return f"rule {match.rule!r} of {match.policy}{unknown}"


def is_sampled(approval_id: ApprovalId, share: float) -> bool:
    """Return whether an approval is in the sample of this share: the same one always is, wherever it is asked."""
    number = int.from_bytes(sha256(approval_id.encode()).digest()[:8])
    return number < share * 2**64


def _called(name: str, call: PolicyCallable, subject: PolicySubject) -> list[_Match]:
    """Return the match of a callable, none if it has no opinion."""
    try:
        answer = call(subject)
        verdict, words = answer if isinstance(answer, tuple) else (answer, None)
        if verdict is None:
            return []
        match = _Match(RuleMatch(name, name, PolicyVerdict(verdict)), "" if words is None else _recordable(str(words)))
    except Exception as error:  # noqa: BLE001 - code of an embedder: whatever it raises, a human decides
        words = f"policy {name} failed: {type(error).__name__}{_said_by(error)}"
        return [_Match(RuleMatch(name, name, PolicyVerdict.NEVER, sure=False), cut(one_line(words), 500))]
    if subject.kind in UNANSWERABLE and match.recorded.verdict in (PolicyVerdict.APPROVE, PolicyVerdict.REJECT):
        return []
    return [match]


def _said_by(error: Exception) -> str:
    """Return the words of an exception, which are code of an embedder, too."""
    try:
        return f": {_recordable(str(error))}"
    except Exception:  # noqa: BLE001 - as above
        return ", whose text cannot be read"


def _recordable(words: str) -> str:
    """Return words as the log can keep them: of a bounded length, of characters it can store, without secrets."""
    beginning = redact_text(words[: 2 * ERROR_LIMIT])
    return cut(printable(beginning, keep="\n\t"), ERROR_LIMIT)
