"""The pytest plugin: there for who writes an adapter, unnoticed by everybody else."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

CONFORMANCE = Path(__file__).parents[1] / "conformance"

UNRELATED = """
import sys

def test_nothing_of_aura_is_loaded_but_the_plugin():
    aura = {name for name in sys.modules if name.partition(".")[0] in {"aura_store", "aura_contracts"}}
    lists_of_names = {"aura_store", "aura_contracts", "aura_contracts.lazy_exports"}
    assert aura == {"aura_store.testing", "aura_store.testing.plugin", *lists_of_names}
    assert not {"eventsourcing", "msgspec"} & set(sys.modules)
"""

ADAPTER = """
import pytest
from dict_log import DictLog, Shelf
from aura_store.testing.log_conformance import EventLogConformance

class TestDict(EventLogConformance):
    @pytest.fixture
    def open_log(self):
        shelf = Shelf()
        return lambda: DictLog(shelf)

class TestForgetful(TestDict):
    @pytest.fixture
    def open_log(self):
        return lambda: DictLog(Shelf())

class TestUnfinished(EventLogConformance):
    pass
"""


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "--strict-markers", "-p", "no:cacheprovider"]
    return subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_it_is_installed() -> None:
    (plugin,) = entry_points(group="pytest11", name="aura_conformance")
    assert plugin.value == "aura_store.testing.plugin"


def test_a_project_that_has_nothing_to_do_with_aura_loads_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_unrelated.py").write_text(UNRELATED)
    done = run_pytest(tmp_path, "-p", "no:hypothesispytest")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.deep
def test_an_adapter_of_somebody_else_is_tested_by_one_small_class(tmp_path: Path) -> None:
    (tmp_path / "dict_log.py").write_text((CONFORMANCE / "dict_log.py").read_text())
    (tmp_path / "test_mine.py").write_text(ADAPTER)
    every = run_pytest(tmp_path, "-m", "aura_conformance", "-k", "TestDict and append")
    assert every.returncode == 0, every.stdout
    passed = int(every.stdout.rpartition("\n")[0].rpartition("\n")[2].split()[0])
    assert passed > 20

    forgetful = run_pytest(tmp_path, "-k", "TestForgetful and opened_again")
    assert forgetful.returncode == 1
    assert "assert [] == [EventRecord" in forgetful.stdout, "a failing assertion of the suite shows values"

    unfinished = run_pytest(tmp_path, "-k", "TestUnfinished and new_log")
    assert "override the fixture `open_log`" in unfinished.stdout
