"""Engine."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aura_engine.agent_tools.api import OwnTask as OwnTask
    from aura_engine.bootstrap import open_engine as open_engine
    from aura_engine.bootstrap import open_own_task as open_own_task
    from aura_engine.facade.doctor import Finding as Finding
    from aura_engine.facade.engine import Engine as Engine
    from aura_engine.facade.run import Run as Run
    from aura_engine.host import Host as Host
    from aura_engine.host import home_of as home_of
    from aura_engine.inputs import RunRequest as RunRequest
    from aura_worker_protocol.messages import ExecutorInfo as ExecutorInfo

_HOMES = {
    "Engine": "aura_engine.facade.engine",
    "ExecutorInfo": "aura_worker_protocol.messages",
    "Finding": "aura_engine.facade.doctor",
    "Host": "aura_engine.host",
    "OwnTask": "aura_engine.agent_tools.api",
    "Run": "aura_engine.facade.run",
    "RunRequest": "aura_engine.inputs",
    "home_of": "aura_engine.host",
    "open_engine": "aura_engine.bootstrap",
    "open_own_task": "aura_engine.bootstrap",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(name)
