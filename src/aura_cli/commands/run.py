"""``aura run``: one task from prompt to review, streamed while it runs."""

from argparse import ArgumentParser

from aura_cli._call import Invocation, engine_of
from aura_cli.arguments.declarations import add_options
from aura_cli.arguments.options import RUN, add_follow_options
from aura_cli.arguments.parser import finish

_EPILOG = """\
Lines of the agent's output start with [stdout] or [stderr], messages that it
sends in its own protocol with [agent], and AURA's own messages with [aura].

The agent works in a worktree on its own branch, and nothing is merged before
you approve it (see `aura approval`), unless you choose --approval auto. In a
subfolder of a repository it starts in that subfolder. A folder that is in no
repository gets a private one, and approved changes are applied to the folder.

Run the same command again to resume a run that was interrupted by a crash.
Ctrl-C lets the agent finish gracefully, and then names the commands that resume
its work or clear it up; press it again to stop at once.

exit code: 0 if it succeeded or waits for your decision; the agent's own if the
agent failed (128 + N if signal N ended it); 1 for any other failure; 130 if
interrupted.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    add_options(parser, RUN)
    add_follow_options(parser, waits=True)
    parser.add_argument("--fresh", action="store_true", help="do not resume an interrupted run")
    finish(parser, run)


def _prompt(call: Invocation) -> str:
    """Return the task: an argument, a file, or standard input. Raises `InvalidInput` for what cannot be read."""
    given = call.arguments
    if "-" in (given.prompt, given.prompt_file):
        return call.terminal.read_all()
    from aura_cli._input_text import read_file

    text: str = given.prompt if given.prompt_file is None else read_file(given.prompt_file, "--prompt-file")
    return text


async def run(call: Invocation) -> int:
    """Run the task; return the exit code."""
    from aura_cli.arguments.request import run_request
    from aura_cli.streaming.follow_options import FollowOptions
    from aura_cli.streaming.follower import follow

    given = call.arguments
    request = run_request(given, _prompt(call))
    async with engine_of(call, make=True, folder=given.cwd) as engine:
        since = await engine.events.head()
        found = None if given.fresh or given.key else await engine.resume_interrupted(request, after=given.after)
        if found is not None:
            preface = f"resuming task {found.id}, which was interrupted"
            return await follow(engine, found, call.terminal, FollowOptions.of(call, since=since, preface=preface))
        started = await engine.start(request, key=given.key, after=given.after)
        known = since if given.key else None  # a task that was there already is followed from now on
        return await follow(engine, started, call.terminal, FollowOptions.of(call, since=known))
