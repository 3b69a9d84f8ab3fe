"""Silence: no agent that asks for nothing may run where a policy demands that it asks. Pure.

If such a policy came after the agent had begun, only a human approves its work.
"""

from aura_contracts.approval import PolicyRef, PolicyVerdict
from aura_contracts.errors import InvalidInput
from aura_engine.policy.rulebook import Policy, PolicyRule, Rulebook


def guard_of(book: Rulebook, executor: str) -> str | None:
    """Return in words what rejects tool calls of an executor, or demands a human for them; None if nothing does."""
    for policy in book.policies:
        if policy.broken:  # its rules are unknown
            return f"the rules of {policy.ref.source or policy.ref.name}, which cannot be read,"
    found = book.guarding_calls(executor)
    return None if found is None else f"the rule {found[0]!r} of {found[1]}"


def require_asking(book: Rulebook, executor: str, *, asks: bool, silencing: str | None) -> None:
    """Refuse an agent that asks for nothing where a policy speaks of its calls. Raises `InvalidInput`.

    `asks` and `silencing` are those of `aura_contracts.permission.require_questions`.
    """
    reason = unkept(book, executor, asks=asks, silencing=silencing)
    if reason is None:
        return
    remedy = f"leave option {silencing} out" if silencing else "use an executor that asks"
    raise InvalidInput(field=silencing or "executor", reason=reason, remedy=f"{remedy}, or change the policy")


def unkept(book: Rulebook, executor: str, *, asks: bool, silencing: str | None) -> str | None:
    """Return in words which rule about its calls an agent that asks for nothing does not keep; None if it asks."""
    guard = None if asks and silencing is None else guard_of(book, executor)
    if guard is None:
        return None
    does = f"with its option {silencing} the agent" if silencing else f"executor {executor}"
    return f"{does} asks for no permission, so {guard} could not be kept"


def looking(book: Rulebook, reason: str) -> Rulebook:
    """Return policies with one of AURA's own that leaves every question to a human, for a reason in words."""
    rule = PolicyRule(name="calls unseen", verdict=PolicyVerdict.NEVER, conditions=(), because=reason)
    return Rulebook((*book.policies, Policy(PolicyRef("aura"), (rule,))))
