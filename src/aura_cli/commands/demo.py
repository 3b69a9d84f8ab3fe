"""``aura demo``: two tasks on a throw-away repository: review, feedback, merge, a crash; and proof in the log."""

from argparse import ArgumentParser
from typing import TYPE_CHECKING

from aura_cli.arguments.parser import finish

if TYPE_CHECKING:
    from aura_cli._call import Call


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "Runs in a temporary folder. With --store the log is kept there."
    finish(parser, run)


async def run(call: "Call") -> None:
    """Play, then prove. Raises `ReplayDiffers` when the log does not say what was done."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from aura_cli.demo.play import play_and_prove

    with TemporaryDirectory(prefix="aura-demo-") as folder:
        store = call.settings.store if call.settings.store_given else f"sqlite:///{folder}/aura.db"
        await play_and_prove(call, store, Path(folder))
