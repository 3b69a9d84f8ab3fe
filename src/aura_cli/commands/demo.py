"""``aura demo``: two tasks on a throw-away repository, with review, feedback, merge, a crash, and the proof."""

from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory

from aura_cli._call import Invocation
from aura_cli.arguments.parser import finish


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "Runs in a temporary folder. With --store, the log is kept in that store."
    finish(parser, run)


async def run(call: Invocation) -> None:
    """Play the demo and prove it. Raises `ReplayDiffers` if the log does not reproduce the states."""
    from aura_cli.demonstration.play import play_and_prove

    with TemporaryDirectory(prefix="aura-demo-") as folder:
        store = call.settings.store if call.settings.store_given else f"sqlite:///{folder}/aura.db"
        await play_and_prove(call, store, Path(folder))
