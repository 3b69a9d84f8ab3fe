"""Engine: opening it for one command, on the store and in the folders that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aura_cli._settings import PATIENCE, Settings
from aura_cli._store import require_made
from aura_contracts.store_url import StoreUrl
from aura_engine.bootstrap import bus_on, open_engine
from aura_engine.host import Host
from aura_store import open_log

if TYPE_CHECKING:
    from aura_engine.engine import Engine

    from aura_engine.unit_of_work import CommandBus


@asynccontextmanager
async def engine_of(
    settings: Settings, *, make: bool = False, store: str | None = None, place: str = "."
) -> AsyncIterator["Engine"]:
    """Open an engine that drives only what it is told to. With `make` a store that is not there is made.

    The profiles of the project count that `place` is in. Raises `StoreMisconfigured` for a store that is not there
    otherwise.
    """
    url = store or settings.store
    if make:
        make_room(url)
    else:
        require_made(url)
    machine = Host(environment=settings.environment)
    async with open_engine(
        url,
        home=settings.home,
        project=project_of(place),
        grace=settings.grace,
        drive_all=False,
        machine=machine,
        outage_timeout=PATIENCE,
        **settings.codec,
    ) as engine:
        yield engine


@asynccontextmanager
async def bus_of(settings: Settings, *, make: bool = False) -> AsyncIterator["CommandBus"]:
    """Open a bus, for commands that touch neither files nor processes."""
    if make:
        make_room(settings.store)
    else:
        require_made(settings.store)
    machine = Host(environment=settings.environment)
    async with open_log(settings.store, clock=machine.clock, outage_timeout=PATIENCE, **settings.codec) as log:
        yield bus_on(log, clock=machine.clock, ids=machine.ids)


def project_of(path: str) -> Path | None:
    """Return the nearest folder, from `path` up to the top of its repository, that has settings of a project."""
    place = Path(path).absolute()
    for folder in (place, *place.parents):
        if (folder / ".aura").is_dir():
            return folder
        if (folder / ".git").exists():
            return None
    return None


def make_room(store: str) -> None:
    """Make the folder that an SQLite store is to be in."""
    path = StoreUrl.parse(store).path
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
