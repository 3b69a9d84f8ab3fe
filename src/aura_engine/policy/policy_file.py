"""Policy file: its text as a policy, or all of its faults at once, each with line and column. Pure.

rules:
  - approve: documentation
    when:
      kind: changes
      paths: {all: [docs/*, "*.md"]}
      added: {at_most: 200}
  - never: migrations
    when: {paths: {any: migrations/*}}
    then: {reviewers: [ann, bob], quorum: 2}
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256

import attrs

from aura_contracts.approval import ApprovalKind, Level, OnExpiry, PolicyRef, PolicyVerdict
from aura_contracts.errors import Fault, InvalidFile, InvalidInput
from aura_contracts.secrets import require_no_secret_within
from aura_engine.policy import vocabulary
from aura_engine.policy.conditions import KINDS_WITH, conditions_of
from aura_engine.policy.reachability import warnings_about
from aura_engine.policy.rulebook import UNANSWERABLE, Policy, PolicyRule
from aura_engine.policy.terms import Terms
from aura_engine.yaml_document import Path, YamlDocument, read_yaml
from aura_engine.yaml_faults import checked, keys_of


@attrs.frozen
class ReadPolicy:
    """A policy file as read: the policy, unless a fault is an error; warnings, if wanted, are faults, too."""

    faults: tuple[Fault, ...]
    policy: Policy | None = None

    def require(self, file: str) -> Policy:
        """Return the policy. Raises `InvalidFile`, with all errors."""
        if self.policy is None:
            errors = tuple(fault for fault in self.faults if fault.severity == "error")
            remedy = f"see `aura policy validate {file}`"
            raise InvalidFile(field=file, faults=errors, remedy=remedy)
        return self.policy


def read_policy(content: bytes, file: str, name: str = "policy", *, warn: bool = False) -> ReadPolicy:
    """Return the policy that a file states; `name` is its name unless it names itself.

    With `warn`, for a human who looks at the file, its rules are compared with each other, which can take a second.
    """
    document = read_yaml(content, file)
    if document.faults:
        return ReadPolicy(tuple(document.faults))
    if document.data is None:
        return ReadPolicy((document.fault((), "empty", "the file is empty; write rules"),))
    entry, faults = checked(document, vocabulary.PolicyEntry, document.data, (), _keys_at)
    rules: list[_PlacedRule] = []
    for place, data in enumerate(entry.rules if entry is not None else ()):
        path: Path = ("rules", place)
        rule, wrong = checked(document, vocabulary.RuleEntry, data, path, _keys_at)
        faults += [*wrong, *_secrets(document, path, data)]
        if rule is not None:
            rules.append(_PlacedRule(path, rule))
    faults += [*_secrets(document, ("name",), entry and entry.name), *_faults_in(document, rules)]
    if entry is None or faults:
        return ReadPolicy(_sorted(faults))
    ref = PolicyRef(entry.name or name, file, sha256(content).hexdigest())
    made = tuple(_rule(document, one) for one in rules)
    return ReadPolicy(_sorted(warnings_about(document, made)) if warn else (), Policy(ref, made))


@attrs.frozen
class _PlacedRule:
    """A rule that is valid by itself, and its place."""

    path: Path
    rule: vocabulary.RuleEntry

    @property
    def verdicts(self) -> list[PolicyVerdict]:
        return [verdict for verdict in PolicyVerdict if getattr(self.rule, verdict) is not None]

    @property
    def name(self) -> str:
        return str(getattr(self.rule, self.verdicts[0]))


def _keys_at(path: Path) -> Sequence[str]:
    """Return the keys that the table at a path may have."""
    names = [part for part in path if isinstance(part, str)]
    if not names:
        return keys_of(vocabulary.PolicyEntry)
    return keys_of(vocabulary.MODELS.get(names[-1], vocabulary.RuleEntry))


def _sorted(faults: Sequence[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(faults, key=lambda fault: (fault.line, fault.column)))


# --- What only the whole shows ----------------------------------------------------------------------------------------


def _secrets(document: YamlDocument, path: Path, given: object) -> Iterator[Fault]:
    """The log keeps the name of a policy, and the words and values of its rules, forever."""
    try:
        require_no_secret_within(given, "rule")
    except InvalidInput as error:
        yield document.fault(path, "secret", f"there is a secret here: {error.reason}")


def _faults_in(document: YamlDocument, entries: Sequence[_PlacedRule]) -> Iterator[Fault]:
    lines: dict[str, int] = {}
    for entry in entries:
        if len(entry.verdicts) != 1:
            yield document.fault(entry.path, "verdict", _verdicts(entry.verdicts))
            continue
        verdict = entry.verdicts[0]
        if entry.name in lines:
            message = f"the rule in line {lines[entry.name]} has the name {entry.name!r}, too"
            yield document.fault((*entry.path, str(verdict)), "duplicate_name", message)
        lines.setdefault(entry.name, document.place(entry.path).line)
        yield from _contradictions(document, entry.path, entry.rule, verdict)


def _verdicts(given: Sequence[PolicyVerdict]) -> str:
    if not given:
        return f"a rule begins with its verdict and its name, as in `ask: migrations`: {', '.join(PolicyVerdict)}"
    return f"a rule has one verdict, and this one has {' and '.join(given)}"


def _contradictions(
    document: YamlDocument, path: Path, rule: vocabulary.RuleEntry, verdict: PolicyVerdict
) -> Iterator[Fault]:
    def fault(key: tuple[str, ...], message: str) -> Fault:
        return document.fault((*path, *key), "contradiction", message, at_key=True)

    kinds = _kinds(rule.when)
    if not kinds:
        keys = ", ".join(key for key in KINDS_WITH if getattr(rule.when, key) is not None)
        yield fault(("when",), f"no question matches: none of its kinds has all that the rule looks at ({keys})")
    elif verdict in (PolicyVerdict.APPROVE, PolicyVerdict.REJECT) and kinds <= UNANSWERABLE:
        yield fault((str(verdict),), f"yes and no do not answer these questions: {', '.join(sorted(kinds))}; use ask")
    if verdict is PolicyVerdict.REJECT and rule.because is None:
        yield fault((str(verdict),), "say with `because` what the agent should do instead")
    then = rule.then
    if then is None:
        return
    asking = sorted(then.model_fields_set - {"audit"})
    if verdict in (PolicyVerdict.APPROVE, PolicyVerdict.REJECT) and asking:
        yield fault(("then", asking[0]), f"a rule that says {verdict} asks no one")
    if verdict is not PolicyVerdict.APPROVE and then.audit is not None:
        yield fault(("then", "audit"), "only approvals are sampled")
    if verdict is PolicyVerdict.NEVER and then.on_expiry is OnExpiry.CONTINUE:
        yield fault(("then", "on_expiry"), "silence is not a human's approval")


def _kinds(when: vocabulary.When) -> frozenset[ApprovalKind]:
    """Return the kinds of question that the conditions are about."""
    kinds = frozenset(when.kind or ApprovalKind)
    for key, having in KINDS_WITH.items():
        if getattr(when, key) is not None:
            kinds &= having
    return kinds


# --- The policy -------------------------------------------------------------------------------------------------------


def _rule(document: YamlDocument, entry: _PlacedRule) -> PolicyRule:
    rule, verdict = entry.rule, entry.verdicts[0]
    then = rule.then
    return PolicyRule(
        name=entry.name,
        verdict=verdict,
        conditions=conditions_of(rule.when.model_dump(exclude_none=True), verdict),
        line=document.place(entry.path).line,
        because=rule.because or "",
        terms=_terms(then) if then is not None and verdict in (PolicyVerdict.ASK, PolicyVerdict.NEVER) else None,
        audit=(then.audit or 0.0) if then is not None else 0.0,
    )


def _terms(then: vocabulary.Then) -> Terms:
    return Terms(
        reviewers=tuple(then.reviewers or ()),
        quorum=then.quorum,
        deadline=then.deadline,
        on_expiry=then.on_expiry,
        remind_after=then.remind_after,
        escalate_after=then.escalate_after,
        escalate_to=tuple(then.escalate_to or ()),
        levels=tuple(Level(reviewers=tuple(one.reviewers), quorum=one.quorum) for one in then.levels or ()),
    )
