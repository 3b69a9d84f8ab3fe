"""A site with ``aura serve`` in a process of its own, by a clock that is set: killed, and started again."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import attrs

from aura_contracts.service import SERVICE_ID, ServiceStarted
from aura_engine import open_engine
from aura_engine.host import Host, now
from conditions import until
from engines import events_of
from sites import Site

DRIVER = Path(__file__).parents[1] / "service_driver.py"


@attrs.define
class ServiceSite(Site):
    """Its clock begins at the time of the machine, and stands still until it is set."""

    time: object = attrs.field(factory=now)
    process: subprocess.Popen | None = None

    @property
    def witness(self):
        return self.root / "witness"

    def clock(self):
        return self.time

    def passes(self, **duration):
        """Set the clock, for the service too."""
        self.time += timedelta(**duration)
        (self.root / "next").write_text(self.time.isoformat())
        (self.root / "next").replace(self.root / "clock")

    def engine(self, **options):
        """Open an engine in this process that records by the same clock, and drives nothing."""
        given = {"record_only": True, "home": self.root / "home", "user": "alice", **options}
        return open_engine(self.store, host=Host(clock=self.clock), **given)

    def doom(self, event, step="done"):
        """Have the service that is started next end as with ``kill -9`` at its next event of this type."""
        (self.root / "doom").write_text(f"{event.topic} {step}")

    def start(self):
        with (self.root / "out").open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(DRIVER), str(self.root)],
                cwd=self.repository,
                env={**self.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.started.append(self.process)

    async def serve(self, *, version=None):
        """Start a service, and return when it is at work."""
        self.passes()
        if version is not None:
            (self.root / "version").write_text(version)
        self.start()
        await until(lambda: '"serving"' in self.said)

    def kill(self):
        """Kill the service; what it has started lives on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def dies(self):
        """Wait until the service has killed itself."""
        await until(lambda: self.process.poll() is not None)
        assert self.process.returncode == -signal.SIGKILL, self.said
        (self.root / "doom").unlink()

    async def loses_power(self):
        """Kill the service and all that it has started."""
        self.kill()
        victims = self.processes()
        for number in (signal.SIGSTOP, signal.SIGKILL):  # first, so that none sees another one end
            for pid in victims:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        await self.is_quiet()

    async def looked(self):
        """Wait until the service has looked for what is due at this time."""
        await until(lambda: json.dumps({"looked": self.time.isoformat()}) in self.said)

    async def versions(self):
        """Return the versions of the services so far."""
        async with self.engine(read_only=True, record_only=False) as engine:
            events = await events_of(engine, SERVICE_ID)
        return [event.place.version for event in events if isinstance(event, ServiceStarted)]

    def seen(self):
        """Return what commands have written, in order."""
        return self.witness.read_text().split() if self.witness.exists() else []
