"""Request: what somebody asks for with ``aura run``, made of the arguments. Reads nothing but standard input."""

import os.path
from argparse import Namespace
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import attrs
import msgspec
from aura_engine.requests import RunRequest

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import Script, Shell
from aura_contracts.task import ApprovalMode, RetryPolicy

_OPTIONS = ("base_command", "append_prompt", "model", "openai_endpoint")
"""Arguments with a text that are options of executors, given to them under these names."""

_SWITCHES = ("yolo", "force", "trust", "allow_all_tools")
"""The same for those that are given or not."""


def request_of(arguments: Namespace, prompt: str) -> RunRequest:
    """Return the request, with the word by which it is known again in its context. Raises `InvalidInput`."""
    cwd = os.path.abspath(arguments.cwd)  # noqa: PTH100 - looks at no file
    repositories = [os.path.join(cwd, path) for path in arguments.repo] or [cwd]  # noqa: PTH118
    request = RunRequest(
        prompt=prompt,
        executor=arguments.executor,
        options=executor_options(arguments),
        title=arguments.title or "",
        repositories=[os.path.normpath(path) for path in repositories],
        in_place=arguments.in_place,
        target_branch=arguments.target_branch or "",
        copy=arguments.copy,
        approval=_approval(arguments),
        setup=_script(arguments.setup, arguments.setup_shell),
        cleanup=_script(arguments.cleanup, arguments.setup_shell),
        timeout=arguments.timeout,
        idle_timeout=arguments.idle_timeout,
        retry=RetryPolicy(max_attempts=arguments.attempts),
        variant=arguments.variant,
        session_id=arguments.session,
        fork=arguments.fork and not arguments.resume_latest,
        allow=arguments.allow,
        deny=arguments.deny,
        tools=arguments.mcp,
        variables=dict(arguments.var),
    )
    return attrs.evolve(request, context={"run": {"digest": _digest(request), "cwd": cwd}})


def executor_options(arguments: Namespace) -> dict[str, Any]:
    """Return the options for the executor: only what was given, so that each refuses what it does not know."""
    texts = {name: getattr(arguments, name) for name in _OPTIONS}
    given: dict[str, Any] = {name: text for name, text in texts.items() if text is not None}
    given |= {name: True for name in _SWITCHES if getattr(arguments, name)}
    if arguments.param:
        given["params"] = list(arguments.param)
    paths = dict(arguments.executor_path)
    if arguments.executor in paths:
        given["executable"] = paths[arguments.executor]
    return given | options_of(arguments.option)


def options_of(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Return options that were written ``NAME=VALUE``: a value that is JSON is what it says, any other a text."""
    return {name: _value(text) for name, text in pairs}


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _approval(arguments: Namespace) -> ApprovalMode:
    wanted = None if arguments.approval is None else ApprovalMode(arguments.approval)
    said = arguments.auto_approve
    if said is None or wanted is None:
        return wanted or (ApprovalMode.AUTO if said else ApprovalMode.CHANGES)
    if said != (wanted is ApprovalMode.AUTO):
        reason = f"--auto-approve {str(said).lower()} and --approval {wanted} contradict one another"
        raise InvalidInput(field="approval", reason=reason, remedy="give one of the two")
    return wanted


def _script(text: str | None, shell: str) -> Script | None:
    return Script(text, Shell(shell)) if text else None


def _digest(request: RunRequest) -> str:
    """Return the word by which the same request is known again: of everything that it asks for."""
    asked: Mapping[str, Any] = attrs.asdict(request, recurse=False)
    return sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()
