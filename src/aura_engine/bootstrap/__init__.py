"""Bootstrap: connects the engine to its adapters. No other package of the engine imports them.

engine_context   a store, and an engine on it
services         what drives tasks; an engine that only answers queries needs none
worker           git, executors and workspaces, with the worker that uses them
agent_context    what an agent may see and do, on the store alone
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_engine.bootstrap.agent_context import open_own_task as open_own_task
    from aura_engine.bootstrap.engine_context import open_engine as open_engine
    from aura_engine.bootstrap.services import services_of as services_of
    from aura_engine.bootstrap.worker import examine_host as examine_host
    from aura_engine.bootstrap.worker import local_worker as local_worker

export_lazily(__name__)
