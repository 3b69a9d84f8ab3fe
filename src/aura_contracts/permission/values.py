"""Values: what a run records of its rules."""

import msgspec

from aura_contracts.errors import InvalidInput


class PermissionRules(msgspec.Struct, frozen=True, gc=False):
    """The calls that a run allows and refuses by rule. Refusals win; AURA asks a human about all other calls."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


def require_questions(rules: PermissionRules, executor: str, *, asks: bool, silencing: str | None) -> None:
    """Refuse rules that would never be used, because their author relies on them. Raises `InvalidInput`.

    `asks` says whether agents of this executor ask for permission at all, `silencing` names the option that stops this
    one, see `aura_contracts.ports.executors.Executor.silencing_option`.
    """
    if not rules.allow and not rules.deny:
        return
    field = "deny" if rules.deny else "allow"
    if not asks:
        reason = f"executor {executor} asks for no permission, so rules would have no effect"
        raise InvalidInput(field=field, reason=reason, remedy="remove the rules, or use an executor that asks")
    if silencing is not None:
        reason = f"with its option {silencing} the agent asks for nothing, so rules would have no effect"
        raise InvalidInput(field=field, reason=reason, remedy=f"remove the rules, or option {silencing}")
