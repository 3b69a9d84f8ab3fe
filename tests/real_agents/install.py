"""Install real agents for the tests marked real_agents, in pinned versions, and nowhere but in one folder.

    python tests/real_agents/install.py [--only codex,claude] DIR
    AURA_REAL_AGENTS=DIR pytest -m real_agents

Each agent gets a folder of its own in DIR, and a link in DIR/bin. What is there in the right version is left alone.
Most come from npm and need Node.js; claude comes inside a package of PyPI and needs nothing. One that cannot be
installed here is left out, with the reason. Exit code: 0, or 1 if an installation failed; an agent that is left out is
no failure. Needs the standard library only, and pip.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 600
"""Seconds for one installation."""


@dataclass(frozen=True)
class Package:
    """What an agent is installed from."""

    name: str
    version: str
    node: int = 0
    """The oldest major version of Node.js that it runs with; 0: it is a package of PyPI and needs none."""
    program: str = ""
    """Where its program is in the folder; of a package from npm it is where npm puts it."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


AGENTS = {
    "codex": Package("@openai/codex", "0.169.0", node=16),
    "claude": Package("claude-agent-sdk", "0.2.186", program="claude_agent_sdk/_bundled/claude"),
    "copilot": Package("@github/copilot", "1.0.102", node=20),
    "claude-agent-acp": Package("@agentclientprotocol/claude-agent-acp", "0.49.0", node=20),
    "gemini": Package("@google/gemini-cli", "0.61.0", node=20),
    "codex-acp": Package("@agentclientprotocol/codex-acp", "2.6.0", node=20),
    "opencode": Package("opencode-ai", "1.18.33", node=16),
    "qwen": Package("@qwen-code/qwen-code", "0.15.10", node=20),
}


class LeftOut(Exception):
    """An agent cannot be installed on this machine."""


class Failed(Exception):
    """An installation went wrong."""


def install(agent: str, where: Path) -> str:
    """Install one agent; return what there is to say. Raises `LeftOut`, `Failed`."""
    package = AGENTS[agent]
    folder = where / agent
    program = folder / (package.program or f"node_modules/.bin/{agent}")
    stamp = folder / "installed.json"
    wanted = json.dumps({"package": package.name, "version": package.version})
    link = where / "bin" / agent
    if package.node:
        require_node(package.node)
    if program.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        put_link(link, program)
        return "is there"
    begun = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run(command_of(package, folder))
    if not program.is_file():
        raise Failed(f"{package.name} {package.version} has no {program.relative_to(folder)} for this machine")
    put_link(link, program)
    stamp.write_text(wanted)
    return f"installed in {time.monotonic() - begun:.0f} s"


def command_of(package: Package, folder: Path) -> list[str]:
    if package.node:
        quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        return ["npm", "install", *quiet, f"--prefix={folder}", f"{package.name}@{package.version}"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # only the program in it is used, so it can do without what it depends on; there is none in its source distribution
    return [*pip, "--no-deps", "--only-binary=:all:", f"--target={folder}", f"{package.name}=={package.version}"]


def require_node(oldest: int) -> None:
    """Raise `LeftOut` where Node.js or npm is missing or too old."""
    for needed in ("node", "npm"):
        if shutil.which(needed) is None:
            raise LeftOut(f"there is no {needed} on PATH; install Node.js {oldest} or newer")
    said = run(["node", "--version"])
    found = re.match(r"v(\d+)\.", said)
    if found is None or int(found[1]) < oldest:
        raise LeftOut(f"Node.js is {said.strip()}, and it needs {oldest} or newer")


def put_link(link: Path, program: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(program)


def run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        raise Failed(
            f"{' '.join(command)} exited with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}"
        )
    return done.stdout


def tried(agent: str, where: Path) -> tuple[bool, str]:
    try:
        return True, install(agent, where)
    except LeftOut as reason:
        return True, f"left out: {reason}"
    except (Failed, OSError) as reason:
        return False, f"failed: {reason}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAMES", default=",".join(AGENTS), help="some of them, with commas")
    parser.add_argument("folder", metavar="DIR", type=Path)
    given = parser.parse_args()
    agents = [name.strip() for name in given.only.split(",") if name.strip()]
    if unknown := [name for name in agents if name not in AGENTS]:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(AGENTS)}")
    where = given.folder.resolve()
    fine = True
    with ThreadPoolExecutor(2) as pool:
        for agent, (good, said) in zip(agents, pool.map(lambda name: tried(name, where), agents), strict=True):
            fine = fine and good
            print(f"{agent} {AGENTS[agent].version}: {said}", flush=True)  # noqa: T201 - it is a program
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
