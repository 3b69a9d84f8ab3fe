"""What `aura_engine` offers by name, and that asking for the package alone costs nothing."""

import subprocess
import sys

import aura_engine


def test_the_names_are_these():
    names = ["BlockingEngine", "Engine", "Host", "RunRequest", "open_engine", "open_engine_sync"]
    assert aura_engine.__all__ == names
    for name in names:
        assert getattr(aura_engine, name).__name__ == name
    assert not hasattr(aura_engine, "nothing")


def test_the_decisions_do_not_load_git_and_processes():
    program = "import sys, aura_engine.decisions; print(*(m for m in sys.modules if m.startswith('aura_')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"aura_git", "aura_workspace", "aura_executors"}
