"""Bootstrap: connects the engine to its adapters. No other package of the engine imports them.

engine_context   a store, and an engine on it, opened with engine_options
services         what drives tasks; an engine that only answers queries needs none
worker           git, executors and workspaces, with the worker that uses them
notifications    the channels of people, and what serves them
agent_context    what an agent may see and do, on the store alone

The names below are those that `engine_context` imports when an engine first needs them.
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_engine.bootstrap.channels import notifier_of as notifier_of
    from aura_engine.bootstrap.services import services_of as services_of
    from aura_engine.bootstrap.worker import examine_host as examine_host

export_lazily(__name__)
