"""Carries out the calls of the model, each after it was permitted. Failures are reported to the model."""

from collections.abc import Mapping
from typing import Any

from aura_executors.agents.local.program import search
from aura_executors.agents.local.program.chat import Chat
from aura_executors.agents.local.program.files import LINES, EditedFile, Files, ToolFailed
from aura_executors.agents.local.program.history import result
from aura_executors.agents.local.program.interruption import Interruption
from aura_executors.agents.local.program.replies import ModelCall
from aura_executors.agents.local.program.request import AgentRequest
from aura_executors.agents.local.program.session import Session
from aura_executors.agents.local.program.shell import run_shell
from aura_executors.agents.local.program.tools import EDITS, RUNS, TOOLS, Tool, arguments_of

_FREE = {"full": {"", EDITS, RUNS}, "edit": {"", EDITS}, "ask": {""}, "read-only": {""}}
"""What each degree of autonomy does without asking."""


class Toolbox:
    """Carries out calls in a working folder."""

    def __init__(
        self,
        request: AgentRequest,
        files: Files,
        environment: Mapping[str, str],
        session: Session,
        chat: Chat,
        interruption: Interruption,
    ) -> None:
        self._request = request
        self._files = files
        self._environment = {name: value for name, value in environment.items() if name != request.api_key_env}
        self._session = session
        self._chat = chat
        self._interruption = interruption

    def carry_out(self, call: ModelCall) -> None:
        """Carry out `call`, and put its result into the session. Raises `InputClosed`."""
        exit_code: int | None = None
        change: EditedFile | None = None
        announced = False
        try:
            tool = _tool(call.name)
            arguments = arguments_of(tool, call.arguments)
            self._chat.send("tool_call", call_id=call.id, tool=tool.name, arguments=arguments)
            announced = True
            change = self._change(tool, arguments)
            self._permit(tool, arguments, change, call)
            text, exit_code = self._done(tool, arguments, change, call)
            success = exit_code in {None, 0}
        except ToolFailed as failed:
            text, success, change = str(failed), False, None
        if not announced:
            self._chat.send("tool_call", call_id=call.id, tool=call.name, arguments={"text": call.arguments[:2_000]})
        self._end(call, _shortened(text, self._request.output_limit), change, success=success, exit_code=exit_code)

    def _change(self, tool: Tool, arguments: dict[str, Any]) -> EditedFile | None:
        if tool.effect != EDITS:
            return None
        path = arguments["file_path"]
        if tool.name == "write_file":
            return self._files.write(path, arguments["content"])
        replace_all = arguments.get("replace_all", False)
        return self._files.edit(path, arguments["old_string"], arguments["new_string"], replace_all=replace_all)

    def _permit(self, tool: Tool, arguments: dict[str, Any], change: EditedFile | None, call: ModelCall) -> None:
        """Return if the call may be carried out. Raises `ToolFailed` if not."""
        autonomy = self._request.autonomy
        if tool.effect in _FREE[autonomy]:
            return
        what = arguments.get("file_path") or arguments.get("command", "")
        if autonomy == "read-only":
            self._chat.send("blocked", what=f"{tool.name} {what}"[:500])
            raise ToolFailed("nothing may be changed in this run; say what you would do")
        permission = self._chat.ask(tool.name, arguments, change.diff if change else None, call.id)
        if not permission.granted:
            self._chat.send("blocked", what=f"{tool.name} {what}"[:500])
            said = f": {permission.feedback}" if permission.feedback else "; do not try it again another way"
            raise ToolFailed(f"the user did not permit this{said}")

    def _done(
        self, tool: Tool, arguments: dict[str, Any], change: EditedFile | None, call: ModelCall
    ) -> tuple[str, int | None]:
        if tool.effect:
            self._session.running = call.id
            with self._interruption.held():
                self._session.save()
        if change is not None:
            change.apply()
            return f"{change.shown} was {'changed' if change.before is not None else 'made'}", None
        if tool.effect == RUNS:
            return self._shell(arguments)
        match tool.name:
            case "read_file":
                text = self._files.read(
                    arguments["file_path"], arguments.get("offset", 1), arguments.get("limit", LINES)
                )
            case "list_files":
                text = search.list_files(self._files, arguments.get("path", "."), arguments.get("pattern", "*"))
            case _:
                text = search.search(
                    self._files, arguments["pattern"], arguments.get("path", "."), arguments.get("glob", "*")
                )
        return text, None

    def _shell(self, arguments: dict[str, Any]) -> tuple[str, int]:
        longest = self._request.shell_timeout
        timeout = max(0.0, min(float(arguments.get("timeout", longest)), longest)) or longest
        ran = run_shell(
            arguments["command"],
            self._files.root,
            self._environment,
            timeout,
            self._request.output_limit,
            self._interruption,
            self._chat.keep_alive,
        )
        if ran.exit_code is None:
            raise ToolFailed(f"it was ended after {timeout:g} seconds; until then it wrote:\n{ran.output}")
        return f"{ran.output.rstrip()}\n[exit code {ran.exit_code}]".lstrip("\n"), ran.exit_code

    def _end(
        self, call: ModelCall, text: str, change: EditedFile | None, *, success: bool, exit_code: int | None
    ) -> None:
        with self._interruption.held():
            self._session.messages.append(result(call.id, text))
            self._session.running = None
            self._session.save()
        if change is not None and change.before != change.after:
            kind = "added" if change.before is None else "modified"
            self._chat.send("file_change", path=change.shown, change=kind, call_id=call.id, diff=change.diff)
        self._chat.send("tool_result", call_id=call.id, success=success, output=text, exit_code=exit_code)


def _tool(name: str) -> Tool:
    tool = TOOLS.get(name)
    if tool is None:
        raise ToolFailed(f"unknown tool {name!r}; the tools are {', '.join(TOOLS)}")
    return tool


def _shortened(text: str, limit: int) -> str:
    """Return at most about `limit` characters: the beginning, and the end."""
    text = text.replace("\0", "\ufffd")
    left = len(text) - limit
    half = limit // 2
    return text if left <= 0 else f"{text[:half]}\n[... {left} characters left out ...]\n{text[-half:]}"
