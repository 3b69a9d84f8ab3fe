"""Reads the request, sets up the parts, runs the loop, and reports how it ended.

Exit codes: 0 done, 1 failed, 2 the request is invalid, 128 and the number of the signal that stopped it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from aura_executors.agents.local.program.chat import Chat, InputClosed
from aura_executors.agents.local.program.endpoint import Endpoint, ModelFailed
from aura_executors.agents.local.program.files import Files
from aura_executors.agents.local.program.history import asked
from aura_executors.agents.local.program.interruption import Interruption, Stopped
from aura_executors.agents.local.program.loop import Loop, LoopFailed
from aura_executors.agents.local.program.model_client import ModelClient
from aura_executors.agents.local.program.request import AgentRequest
from aura_executors.agents.local.program.session import Session, SessionUnknown, load, sessions_folder
from aura_executors.agents.local.program.toolbox import Toolbox


def main() -> int:
    """Run the program."""
    interruption = Interruption()
    chat = Chat(sys.stdout.buffer, sys.stdin.buffer)
    try:
        interruption.install()
        try:
            request = AgentRequest(**json.loads(sys.stdin.buffer.readline()))
        except (ValueError, TypeError, RecursionError) as error:
            print(f"local: not a request: {error}", file=sys.stderr)  # noqa: T201 - for a person who starts it by hand
            return 2
        return _run(request, chat, interruption)
    except Stopped as stopped:
        return _stopped(chat, stopped)
    except BrokenPipeError:  # standard output is closed: the rest of the buffers cannot be written at exit either
        os._exit(1)


def _run(request: AgentRequest, chat: Chat, interruption: Interruption) -> int:
    try:
        _work(request, chat, interruption)
    except SessionUnknown as unknown:
        return _failed(chat, str(unknown), reason="SessionLost")
    except InputClosed:
        return _failed(
            chat, "it asked for permission, and its input ended before the answer", reason="PermissionDenied"
        )
    except ModelFailed as failed:
        return _failed(chat, str(failed), status=failed.status)
    except LoopFailed as failed:
        return _failed(chat, str(failed), reason=failed.reason)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _failed(chat, str(error), reason="AgentError")
    chat.send("finished")
    return 0


def _work(request: AgentRequest, chat: Chat, interruption: Interruption) -> None:
    session = _session(request, dict(os.environ))
    endpoint = Endpoint(request.endpoint, _key(request), request.request_timeout)
    name = request.model or _only_model(endpoint)
    session.messages = asked(session.messages, request.prompt)
    with interruption.held():
        session.save()
    chat.send("session_started", session_id=session.id, model=name)
    settings: dict[str, Any] = {"temperature": request.temperature, "max_tokens": request.max_tokens}
    model = ModelClient(
        endpoint=endpoint,
        name=name,
        chat=chat,
        context_tokens=request.context_tokens,
        settings={key: value for key, value in settings.items() if value is not None},
        max_retries=request.max_retries,
        retry_delay=request.retry_delay,
    )
    files = Files(Path.cwd(), read_outside=request.read_outside)
    toolbox = Toolbox(request, files, os.environ, session, chat, interruption)
    Loop(request, str(files.root), model, session, toolbox, chat, interruption).run()


def _session(request: AgentRequest, environment: dict[str, str]) -> Session:
    folder = sessions_folder(request.sessions, environment)
    new = request.new_session_id or str(uuid4())
    if request.session_id is None:
        return Session(folder, new, [])
    return load(folder, request.session_id, new if request.fork else None)


def _key(request: AgentRequest) -> str:
    key = os.environ.get(request.api_key_env, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise LoopFailed(
            f"the key in variable {request.api_key_env} holds characters that no key has", "Authentication"
        )
    return key


def _only_model(endpoint: Endpoint) -> str:
    offered = endpoint.models()
    if len(offered) == 1:
        return offered[0]
    there = f"offers {', '.join(offered[:20])}" if offered else "names none"
    raise LoopFailed(f"which model? the server {there}; give the option model")


def _failed(chat: Chat, message: str, **why: object) -> int:
    chat.send("finished", failure={"message": message, **why})
    return 1


def _stopped(chat: Chat, stopped: Stopped) -> int:
    try:
        chat.send("finished", failure={"message": f"it was stopped by signal {stopped.number}", "reason": "Cancelled"})
    except BrokenPipeError:
        os._exit(1)
    return 128 + stopped.number
