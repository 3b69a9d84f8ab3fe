"""Write the pages that are made from the code: agents, entries, errors, events, state diagrams.

python docs/generate.py            write them
python docs/generate.py --check    exit with 1 when a page is not what the code says
"""  # noqa: INP001  # a script, not a package

import argparse
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from generator.agents import agent_pages
from generator.aggregates import event_catalogue, state_diagrams
from generator.entries import entries
from generator.errors import errors

FOLDER = Path(__file__).parent


def main(arguments: list[str] | None = None, folder: Path = FOLDER) -> int:
    """Write or check the pages in `folder`; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, exit with 1 when a page has drifted")
    check = parser.parse_args(arguments).check
    wanted = {folder / name: text for name, text in pages().items()}
    drifted = [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]
    left = sorted(set((folder / "agents").glob("*.md")) - set(wanted))
    if not check:
        for path in drifted:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[path], "utf-8")
        for path in left:
            path.unlink()
    for path in drifted:
        sys.stdout.write(f"{path.relative_to(folder)} {'has drifted' if check else 'written'}\n")
    for path in left:
        sys.stdout.write(f"{path.relative_to(folder)} {'is about no executor' if check else 'removed'}\n")
    if check and (drifted or left):
        sys.stdout.write("run: python docs/generate.py\n")
    return 1 if check and (drifted or left) else 0


@cache
def pages() -> Mapping[str, str]:
    """Return every page that is made from the code, by its path."""
    return {
        "state-diagrams.md": state_diagrams(),
        "event-catalogue.md": event_catalogue(),
        "entries.md": entries(),
        "errors.md": errors(),
        **{f"agents/{name}": text for name, text in agent_pages().items()},
    }


if __name__ == "__main__":
    sys.exit(main())
