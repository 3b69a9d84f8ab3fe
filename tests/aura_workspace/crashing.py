"""A process that does things with workspaces in children of its own, which it kills at a chosen step.

Steps are what changes files and what starts programs, as `sys.addaudithook` tells of them just before they happen. One
line in: ``{"home", "operation", "spec", "step"}``; one line out: ``killed`` or ``done``.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
from worlds import command_line_git

from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.workspace import MergeStyle
from aura_workspace import LocalWorkspaces

STEPS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.utime", "os.chmod", "subprocess.Popen"}

_WRITING = os.O_WRONLY | os.O_RDWR


def do(workspaces: LocalWorkspaces, operation: str, spec: WorkspaceSpec) -> None:
    match operation:
        case "prepare":
            workspaces.prepare(spec)
        case "collect":
            workspaces.collect(spec, "work")
        case "merge":
            workspaces.merge(spec, MergeStyle.SQUASH, "merge")
        case "remove":
            workspaces.remove(spec, delete_branch=True)
        case "remove_orphans":
            for orphan in workspaces.orphans(()):
                workspaces.remove_orphan(orphan, "refs/aura/orphans/test")


def die_at(step: int) -> None:
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(arguments[0], str) and bool((arguments[2] or 0) & _WRITING)
        if event in STEPS or writes:
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        spec = msgspec.convert(order["spec"], WorkspaceSpec)
        child = os.fork()
        if not child:
            workspaces = LocalWorkspaces(Path(order["home"]), command_line_git())
            die_at(order["step"])
            do(workspaces, order["operation"], spec)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        answer = "killed" if os.WIFSIGNALED(status) else f"done {os.waitstatus_to_exitcode(status)}"
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
