"""Free options: options with which an agent does not ask, so that rules would have no effect."""

from collections.abc import Mapping
from types import MappingProxyType

from aura_contracts.errors import InvalidInput
from aura_contracts.permission.rules import PermissionRules

_FREE: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("yolo", "allow_all_tools", "force", "full_auto"), (True,)),
        "autonomy": ("full",),
        "permission_mode": ("bypassPermissions",),
        "approval_mode": ("yolo",),
        "approval_policy": ("never",),
        "protocol": ("exec",),
    }
)
"""Executor options that stop agents from asking, with the values that do."""


def require_questions(rules: PermissionRules, executor: str, options: Mapping[str, object], *, asks: bool) -> None:
    """Refuse rules that would never be used, because their author relies on them. Raises `InvalidInput`.

    `asks` says whether agents of this executor ask for permission at all.
    """
    if not rules.allow and not rules.deny:
        return
    field = "deny" if rules.deny else "allow"
    if not asks:
        reason = f"executor {executor} asks for no permission, so rules would have no effect"
        raise InvalidInput(field=field, reason=reason, remedy="remove the rules, or use an executor that asks")
    for name, values in _FREE.items():
        if (value := options.get(name)) in values:
            reason = f"with option {name}={value} the agent asks for nothing, so rules would have no effect"
            raise InvalidInput(field=field, reason=reason, remedy=f"remove the rules or option {name}")
