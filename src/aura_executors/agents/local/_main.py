"""Main: reads the order, sets up the parts, runs the loop, and says how it ended.

Exit codes: 0 done, 1 failed, 2 no order that makes sense, 128 and the number of the signal that stopped it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from aura_executors.agents.local._asking import Model
from aura_executors.agents.local._endpoint import Endpoint, ModelFailed
from aura_executors.agents.local._files import Files
from aura_executors.agents.local._history import asked
from aura_executors.agents.local._loop import Loop, RunFailed
from aura_executors.agents.local._order import Order
from aura_executors.agents.local._session import Session, SessionUnknown, load, sessions_folder
from aura_executors.agents.local._stopping import Stopped, Stopping
from aura_executors.agents.local._talk import NobodyAnswers, Talk
from aura_executors.agents.local._toolbox import Toolbox


def main() -> int:
    """Run the program."""
    stopping = Stopping()
    talk = Talk(sys.stdout.buffer, sys.stdin.buffer)
    try:
        stopping.install()
        try:
            order = Order(**json.loads(sys.stdin.buffer.readline()))
        except (ValueError, TypeError, RecursionError) as error:
            print(f"local: no order: {error}", file=sys.stderr)  # noqa: T201 - for who starts it by hand
            return 2
        return _run(order, talk, stopping)
    except Stopped as stopped:
        return _stopped(talk, stopped)
    except BrokenPipeError:  # nobody reads: what is left in the buffers cannot be written at exit either
        os._exit(1)


def _run(order: Order, talk: Talk, stopping: Stopping) -> int:
    try:
        _work(order, talk, stopping)
    except SessionUnknown as unknown:
        return _failed(talk, str(unknown), reason="SessionLost")
    except NobodyAnswers:
        return _failed(talk, "it asked for permission, and nobody can answer any more", reason="PermissionDenied")
    except ModelFailed as failed:
        return _failed(talk, str(failed), status=failed.status)
    except RunFailed as failed:
        return _failed(talk, str(failed), reason=failed.reason)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _failed(talk, str(error), reason="AgentError")
    talk.tell("finished")
    return 0


def _work(order: Order, talk: Talk, stopping: Stopping) -> None:
    session = _session(order, dict(os.environ))
    endpoint = Endpoint(order.endpoint, _key(order), order.request_timeout)
    name = order.model or _only_model(endpoint)
    session.messages = asked(session.messages, order.prompt)
    with stopping.held():
        session.save()
    talk.tell("session_started", session_id=session.id, model=name)
    settings: dict[str, Any] = {"temperature": order.temperature, "max_tokens": order.max_tokens}
    model = Model(
        endpoint=endpoint,
        name=name,
        talk=talk,
        context_tokens=order.context_tokens,
        settings={key: value for key, value in settings.items() if value is not None},
        max_retries=order.max_retries,
        retry_delay=order.retry_delay,
    )
    files = Files(Path.cwd(), read_outside=order.read_outside)
    toolbox = Toolbox(order, files, os.environ, session, talk, stopping)
    Loop(order, str(files.root), model, session, toolbox, talk, stopping).run()


def _session(order: Order, environment: dict[str, str]) -> Session:
    folder = sessions_folder(order.sessions, environment)
    new = order.new_session_id or str(uuid4())
    if order.session_id is None:
        return Session(folder, new, [])
    return load(folder, order.session_id, new if order.fork else None)


def _key(order: Order) -> str:
    key = os.environ.get(order.api_key_env, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise RunFailed(f"the key in variable {order.api_key_env} holds characters that no key has", "Authentication")
    return key


def _only_model(endpoint: Endpoint) -> str:
    offered = endpoint.models()
    if len(offered) == 1:
        return offered[0]
    there = f"offers {', '.join(offered[:20])}" if offered else "names none"
    raise RunFailed(f"which model? the server {there}; give the option model")


def _failed(talk: Talk, message: str, **why: Any) -> int:
    talk.tell("finished", failure={"message": message, **why})
    return 1


def _stopped(talk: Talk, stopped: Stopped) -> int:
    try:
        talk.tell("finished", failure={"message": f"it was stopped by signal {stopped.number}", "reason": "Cancelled"})
    except BrokenPipeError:
        os._exit(1)
    return 128 + stopped.number
