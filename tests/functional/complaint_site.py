"""A site for complaints about workflows: ``aura workflow`` in processes that are killed, and what commands leave."""

import subprocess
from pathlib import Path

import attrs
from workflow_steps import step

from aura_contracts.workflow import CommandStep
from aura_engine import open_engine
from sites import AURA, Site


def held(folder, text, *after, name=None, **more):
    """Return a command that writes a line into the witness of a folder, and waits for the file ``gate`` there."""
    script = f"echo {text} >> {folder}/witness; until [ -e {folder}/gate ]; do sleep 0.02; done"
    return step(name or text, CommandStep(run=script), *after, **more)


def marks(folder, text, *after, name=None, fails=False, **more):
    """Return a command that writes a line into the witness of a folder."""
    script = f"echo {text} >> {folder}/witness" + ("; exit 3" if fails else "")
    return step(name or text, CommandStep(run=script), *after, **more)


def seen(folder):
    """Return what commands have written, in order."""
    witness = Path(folder) / "witness"
    return witness.read_text().split() if witness.exists() else []


@attrs.define
class WorkflowCommands(Site):
    """``aura workflow`` on the site, which a test may kill."""

    def begin(self, *words):
        """Start ``aura workflow`` with these words."""
        with (self.root / "out").open("ab") as out:
            process = subprocess.Popen(
                [AURA, "workflow", *words],
                cwd=self.repository,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    def engine(self, **options):
        """Open an engine in this process, which drives nothing unless the options say so."""
        given = {"record_only": True, "home": self.root / "home", "user": "alice", **options}
        return open_engine(self.store, **given)

    def seen(self):
        return seen(self.root)


def kill(process):
    """Kill a process as with ``kill -9``."""
    process.kill()
    process.wait()
