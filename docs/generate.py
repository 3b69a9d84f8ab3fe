"""Generate the reference pages (command line, agents, entries, events, state diagrams, errors, policies,
notifications, workflow files and their JSON Schema), the parts of the engine's facade that repeat others (the options
of its calls and its blocking twin), and the schema version of the read models.

python docs/generate.py            write them
python docs/generate.py --check    change nothing; exit with 1 when one has drifted from the code
"""  # noqa: INP001  # a script, not a package

import argparse
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from generator import facade
from generator.agents import agent_pages
from generator.aggregates import event_catalogue, state_diagrams
from generator.command_line import command_line
from generator.entries import entries
from generator.errors import errors
from generator.notifications import notification_page
from generator.policies import policy_page
from generator.workflow_files import SCHEMA_NAME, workflow_page, workflow_schema

FOLDER = Path(__file__).parent / "reference"


def main(arguments: list[str] | None = None, folder: Path = FOLDER) -> int:
    """Write or check the pages in `folder`; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when a page has drifted")
    check = parser.parse_args(arguments).check
    wanted = {folder / name: text for name, text in pages().items()}
    drifted = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    left = sorted(set((folder / "agents").glob("*.md")) - set(wanted))
    modules = facade.drifted()
    if not check:
        if modules:
            facade.write()
        for path in drifted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], "utf-8")
        for path in left:
            path.unlink()
    for path in drifted:
        sys.stdout.write(f"{path.relative_to(folder)} {'has drifted' if check else 'written'}\n")
    for path in left:
        sys.stdout.write(f"{path.relative_to(folder)} {'belongs to no executor' if check else 'removed'}\n")
    for path in modules:
        sys.stdout.write(f"{path.name} {'has drifted' if check else 'written'}\n")
    stale = bool(check and (drifted or left or modules))
    if stale:
        sys.stdout.write("run: python docs/generate.py\n")
    return 1 if stale else 0


@cache
def pages() -> Mapping[str, str]:
    """Return every generated page by its path."""
    return {
        "cli.md": command_line(),
        "state-diagrams.md": state_diagrams(),
        "events.md": event_catalogue(),
        "entries.md": entries(),
        "errors.md": errors(),
        "policies.md": policy_page(),
        "notifications.md": notification_page(),
        "workflow-files.md": workflow_page(),
        SCHEMA_NAME: workflow_schema(),
        **{f"agents/{name}": text for name, text in agent_pages().items()},
    }


if __name__ == "__main__":
    sys.exit(main())
