"""The smallest executor there is, as somebody outside of AURA would write it."""

import msgspec

from aura_contracts.ports.executors import AgentRun, Executor, Launch
from aura_executors import read_options


class CowsayOptions(msgspec.Struct, frozen=True):
    eyes: str = "oo"


class Cowsay(Executor):
    name = "cowsay"

    def launch(self, run: AgentRun) -> Launch:
        options = read_options(self.name, run.options, CowsayOptions)
        return Launch(argv=("cowsay", "-e", options.eyes, "--", run.prompt))
