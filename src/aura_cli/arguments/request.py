"""Request: converts arguments into inputs of the engine. Does not read files."""

import os.path
from argparse import Namespace
from collections.abc import Iterable, Mapping
from typing import Any

from aura_cli.arguments.declarations import OptionGroup, values_of
from aura_cli.arguments.options import RUN
from aura_contracts.errors import InvalidInput
from aura_contracts.executor_names import executor_name
from aura_contracts.run_plan import Script, Shell
from aura_engine import RunRequest


def run_request(arguments: Namespace, prompt: str) -> RunRequest:
    """Return the request of ``aura run``. Raises `InvalidInput`."""
    cwd = os.path.abspath(arguments.cwd)  # noqa: PTH100 - looks at no file
    values = input_of(arguments, RUN) | {"prompt": prompt} | _approval(arguments)
    paths = [os.path.join(cwd, path) for path in arguments.repo] or [cwd]  # noqa: PTH118
    values["repositories"] = [os.path.normpath(path) for path in paths]
    return RunRequest.model_validate(values)


def input_of(arguments: Namespace, groups: Iterable[OptionGroup]) -> dict[str, Any]:
    """Return the given values by field of the input; paths become absolute, scripts get their shell."""
    values = values_of(arguments, groups)
    if "repositories" in values:
        values["repositories"] = [os.path.abspath(path) for path in values["repositories"]]  # noqa: PTH100
    if hasattr(arguments, "executor_path"):
        values["options"] = _executor_options(arguments, values.get("options", {}))
    scripts = [name for name in ("setup", "cleanup") if name in values]
    return values | {name: Script(values[name], Shell(arguments.setup_shell)) for name in scripts}


def _executor_options(arguments: Namespace, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for the executor: only those given, because each executor rejects unknown ones."""
    name = executor_name(arguments.executor)
    path = {executor_name(named): path for named, path in arguments.executor_path}.get(name)
    return {**({} if path is None else {"executable": path}), **options}


def _approval(arguments: Namespace) -> dict[str, str]:
    wanted, automatic = arguments.approval, arguments.auto_approve
    if automatic is not None and wanted is not None and automatic != (wanted == "auto"):
        reason = f"--auto-approve {str(automatic).lower()} and --approval {wanted} contradict each other"
        raise InvalidInput(field="approval", reason=reason, remedy="give one of the two")
    mode = "auto" if automatic else wanted
    return {} if mode is None else {"approval": mode}
