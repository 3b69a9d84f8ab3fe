"""Request: what the arguments ask for, as the values that the engine takes. Reads no file."""

import os.path
from argparse import Namespace
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

import attrs
import msgspec

from aura_cli.arguments.options import RUN, Group, values_of
from aura_contracts.environment import require_no_secrets
from aura_contracts.errors import InvalidInput
from aura_contracts.execution import RunPlan, Script, Shell
from aura_contracts.task import ApprovalMode, RetryPolicy
from aura_engine.requests import RunRequest


def run_request(arguments: Namespace, prompt: str) -> RunRequest:
    """Return the request of ``aura run``, with its digest in its context. Raises `InvalidInput`."""
    cwd = os.path.abspath(arguments.cwd)  # noqa: PTH100 - looks at no file
    values = values_of(arguments, RUN) | {"prompt": prompt, "approval": _approval(arguments)}
    paths = [os.path.join(cwd, path) for path in values.get("repositories", ())] or [cwd]  # noqa: PTH118
    values["repositories"] = [os.path.normpath(path) for path in paths]
    values["options"] = executor_options(arguments, values.get("options", {}))
    values["retry"] = RetryPolicy(**values["retry"])
    values |= _scripts(arguments, values)
    if arguments.resume_latest:
        values.pop("fork", None)  # of the session that is found
    request = RunRequest(**values)
    return attrs.evolve(request, context={"run": {"digest": _digest(request), "cwd": cwd}})


def executor_options(arguments: Namespace, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for the executor: only those given, so that each rejects what it does not know."""
    path = dict(arguments.executor_path).get(arguments.executor)
    return dict(options) if path is None else {"executable": path, **options}


def run_plan(arguments: Namespace, groups: Iterable[Group]) -> RunPlan:
    """Return how an assigned task is run. Raises `InvalidInput` for what must not be stored."""
    values = values_of(arguments, groups)
    options = executor_options(arguments, values.get("options", {}))
    variables = values.get("variables", {})
    require_no_secrets(options)
    require_no_secrets(variables, "variables")
    scripts = _scripts(arguments, values)
    return RunPlan(
        options=options,
        variables=variables,
        setup=scripts.get("setup"),
        cleanup=scripts.get("cleanup"),
        timeout=values.get("timeout"),
        idle_timeout=values.get("idle_timeout"),
    )


def place_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a task is worked on: the values of `WHERE`, with absolute paths."""
    place = {name: values[name] for name in ("in_place", "target_branch", "copy") if name in values}
    paths = values.get("repositories", ())
    return {**place, "repositories": [os.path.abspath(path) for path in paths]}  # noqa: PTH100 - looks at no file


def _scripts(arguments: Namespace, values: Mapping[str, Any]) -> dict[str, Script]:
    shell = Shell(arguments.setup_shell)
    return {name: Script(values[name], shell) for name in ("setup", "cleanup") if name in values}


def _approval(arguments: Namespace) -> ApprovalMode:
    wanted = None if arguments.approval is None else ApprovalMode(arguments.approval)
    automatic = arguments.auto_approve
    if automatic is None or wanted is None:
        return wanted or (ApprovalMode.AUTO if automatic else ApprovalMode.CHANGES)
    if automatic != (wanted is ApprovalMode.AUTO):
        reason = f"--auto-approve {str(automatic).lower()} and --approval {wanted} contradict each other"
        raise InvalidInput(field="approval", reason=reason, remedy="give one of the two")
    return wanted


def _digest(request: RunRequest) -> str:
    """Return a digest of everything that a request asks for, by which the same request is recognised."""
    asked: Mapping[str, Any] = attrs.asdict(request, recurse=False)
    return sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()
