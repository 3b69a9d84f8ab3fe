"""Driving: connects the parts that drive tasks with one another, and with the worker of this process."""

from functools import partial
from pathlib import Path

from aura_contracts.actors import actor_name
from aura_contracts.ports.locks import Locks
from aura_engine import bootstrap
from aura_engine.engine_options import EngineOptions
from aura_engine.facade.core import Core
from aura_engine.host import Host
from aura_engine.profiles import Profiles, load_profiles
from aura_engine.runtime.context import Runtime, reviewers_of
from aura_engine.runtime.driving import Driving, LocalWorker
from aura_engine.runtime.follower import Follower
from aura_engine.runtime.gateway import Gateway
from aura_engine.runtime.prompts import Prompts
from aura_engine.runtime.slots import Slots


def profiles_of(home: Path, project: Path | str | None) -> Profiles:
    """Return the profiles of the user and of a project. Blocking. Raises `InvalidInput` for an invalid file."""
    return load_profiles(home / "profiles.toml", None if project is None else Path(project) / ".aura/profiles.toml")


def driving_of(core: Core, given: EngineOptions, host: Host, home: Path, locks: Locks, profiles: Profiles) -> Driving:
    """Return what drives the tasks of an engine that was opened with the options `given`."""
    gateway = Gateway(
        bus=core.bus,
        engine_id=host.ids(),
        reviewers=lambda task: reviewers_of(task) or (actor_name(core.user),),
    )
    runtime = Runtime(
        bus=core.bus,
        reads=core.reads,
        gateway=gateway,
        prompts=Prompts(core.reads),
        slots=Slots(given.executions, given.executions_of or {}),
        profiles=profiles,
        random=host.random,
        grace=given.grace,
    )
    follower = Follower(runtime, locks, core.require_open, drive_all=given.drive_all)
    worker = LocalWorker(gateway, partial(bootstrap.local_worker, given, host, home), core.group)
    return Driving(runtime, follower, worker)
