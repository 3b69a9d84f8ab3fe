"""Order: who decides a tool call. Pure. The first that applies decides; of several answers of humans to the
same call, the one given last holds, whichever was asked first:

1. A **deny rule** of the run that covers the call refuses it, whatever anyone allowed before.
2. A **policy** that rejects the call refuses it; one that says ``never`` leaves it to 3, or else a human.
3. An **answer to the same question**, if an agent that died asked it before and did not make the call yet. Of several
   such questions, the one answered last, or asked if it is open, unless a human has since refused or allowed the same
   call another time and that answer counts for later calls.
4. If a deny rule **may** cover the call (a line of shell that is not understood, say): 6, or else a human.
5. **Allow rules** of the run that cover all of the call.
6. A human's **remembered answer** to the same call, for the task or the agent's session. A later refusal of the same
   call takes it back, and the patterns of 7 for this call.
7. **Patterns** that humans gave for this task with an answer; they add to the allow rules.
8. A **policy** that approves the call, unless a human has refused the same one in this task.
9. **A human** is asked. Silence means no.

Two options are not in this order, because no question reaches it. With ``--yolo`` and its kin the agent asks for
nothing, so AURA refuses a run and an assignment that have rules as well (`require_questions`), or for which a policy
rejects calls or says ``never``. ``--approval auto`` is about the result, and answers no question about a call.
"""

from collections.abc import Sequence

import attrs

from aura_contracts.approval import Approval, PolicyDecision, PolicyVerdict, Remember, ToolCall
from aura_contracts.permission import Judgement, PermissionRules, Places, Ruling, judge
from aura_contracts.permission.verdict import allowing


@attrs.frozen
class GivenAnswer:
    """A human's decision about an earlier call of the task, which `fingerprint` identifies."""

    approval: Approval
    fingerprint: str
    session_id: str | None


@attrs.frozen
class CallDecision:
    """What happens to a call, and why."""

    verdict: Ruling
    reason: str = ""


def decide_call(
    rules: PermissionRules,
    call: ToolCall,
    places: Places | None,
    answers: Sequence[GivenAnswer] = (),
    session_id: str | None = None,
    policies: PolicyDecision | None = None,
) -> CallDecision:
    """Return who decides `call`, by the order without 3, which needs the log.

    `answers` are those to earlier calls of the task, the one given last first; `session_id` is the session that asks;
    `policies` is what the policies in force say, None without any.
    """
    judged = judge(rules, call, places)
    if judged.verdict is Ruling.REFUSED:
        return CallDecision(Ruling.REFUSED, f"the rule {judged.rules[0]!r} of this run does not permit it")
    if policies is not None and policies.verdict is PolicyVerdict.REJECT:
        return CallDecision(Ruling.REFUSED, policies.reason)
    if policies is not None and policies.holds_back:
        return CallDecision(Ruling.ASKED)
    decided = _in_advance(judged, rules, call, places, answers, session_id)
    approves = policies is not None and policies.verdict is PolicyVerdict.APPROVE
    refused = any(one.fingerprint == call.fingerprint and not one.approval.granted for one in answers)
    if decided.verdict is Ruling.ASKED and approves and not refused and not judged.rules:
        return CallDecision(Ruling.ALLOWED, "a policy allows it")
    return decided


def _in_advance(
    judged: Judgement,
    rules: PermissionRules,
    call: ToolCall,
    places: Places | None,
    answers: Sequence[GivenAnswer],
    session_id: str | None,
) -> CallDecision:
    """Return what was decided in advance, by rules of the run and by humans: 4 to 7 of the order."""
    if judged.verdict is Ruling.ALLOWED:
        return CallDecision(Ruling.ALLOWED, _by_rules(judged.rules))
    valid = _not_taken_back(answers, call)
    same = next((one for one in valid if _holds(one, call, session_id)), None)
    if same is not None:
        return CallDecision(Ruling.ALLOWED, _by_human(same))
    return CallDecision(Ruling.ASKED) if judged.rules else _by_patterns(rules, call, places, valid)


def _by_patterns(
    rules: PermissionRules, call: ToolCall, places: Places | None, answers: Sequence[GivenAnswer]
) -> CallDecision:
    patterns = {
        one.approval.pattern: one
        for one in reversed(answers)
        if one.approval.granted and one.approval.remember is Remember.PATTERN and one.approval.pattern is not None
    }
    used = allowing((*rules.allow, *patterns), call, places)
    if not used:
        return CallDecision(Ruling.ASKED)
    humans = [_by_human(patterns[rule]) for rule in used if rule in patterns]
    own = tuple(rule for rule in used if rule not in patterns)
    return CallDecision(Ruling.ALLOWED, "; ".join([*humans, *([_by_rules(own)] if own else [])]))


def _not_taken_back(answers: Sequence[GivenAnswer], call: ToolCall) -> Sequence[GivenAnswer]:
    """Return the answers since the last refusal of the same call."""
    for place, one in enumerate(answers):
        if one.fingerprint == call.fingerprint and not one.approval.granted:
            return answers[:place]
    return answers


def _holds(answer: GivenAnswer, call: ToolCall, session_id: str | None) -> bool:
    if answer.fingerprint != call.fingerprint or not answer.approval.granted:
        return False
    if answer.approval.remember is Remember.SESSION:
        return session_id is not None and answer.session_id == session_id
    return answer.approval.remember is Remember.TASK


def _by_rules(rules: Sequence[str]) -> str:
    if len(rules) == 1:
        return f"the rule {rules[0]!r} of this run"
    return f"the rules {', '.join(map(repr, rules))} of this run"


def _by_human(answer: GivenAnswer) -> str:
    return f"{answer.approval.reviewed_by} allowed it in approval {answer.approval.id}"
