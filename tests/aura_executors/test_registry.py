"""Which executors there are, and what happens when a plugin is broken."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import aura_executors
from aura_contracts.errors import InvalidInput, UnknownExecutor
from aura_contracts.ports.executors import AgentRun, Availability, Executor, Launch
from aura_executors import CustomExecutor, ExecutorRegistry, ScriptedExecutor
from aura_executors.registry import GROUP

PLUGINS = """
from aura_contracts.ports.executors import Availability, Executor, Launch

class Cat(Executor):
    name = "cat"
    summary = "a cat"
    def launch(self, run):
        return Launch(argv=("cat",))

class Ailing(Cat):
    name = "ailing"
    def availability(self, environment):
        raise OSError("no such disk")

class Unready(Cat):
    name = "unready"
    def availability(self, environment):
        return Availability(available=False, reason="not logged in", remedy="log in")

class Abstract(Executor):
    name = "abstract"

class Shouting(Cat):
    name = "Shouting"

def make():
    made = Cat()
    made.name = "made"
    return made

class NoExecutor:
    name = "no-executor"

INSTANCE = make()
INSTANCE.name = "instance"
"""


class Dog(Executor):
    name = "dog"

    def launch(self, run: AgentRun) -> Launch:
        return Launch(argv=("dog", run.prompt))


@pytest.fixture(autouse=True)
def _plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pets.py").write_text(PLUGINS)
    (tmp_path / "pets_that_stop.py").write_text("raise SystemExit('we are closed')")
    (tmp_path / "pets_that_need.py").write_text("import a_package_that_is_not_installed")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pets", raising=False)


def plugin(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_our_own_are_installed():
    registry = ExecutorRegistry()
    assert {"custom", "scripted"} <= set(registry.names())
    assert isinstance(registry.get("custom"), CustomExecutor)
    assert isinstance(registry.get("scripted"), ScriptedExecutor)
    assert registry.get("custom") is registry.get("custom")


@pytest.mark.parametrize(("alias", "name"), [("cursor", "cursor-agent"), ("qwen", "qwen-code")])
def test_an_alias_is_another_name_of_an_executor(alias: str, name: str):
    registry = ExecutorRegistry()
    assert registry.get(alias) is registry.get(name)
    assert [one.name for one in registry.describe([alias], environment={})] == [name]
    assert alias not in registry.names()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("cluade", "claude"), ("Claude", "claude"), ("CURSOR", "cursor-agent"), ("Qwen", "qwen-code")),
        *((" claude", "claude"), ("claude-code", "claude"), ("codx", "codex"), ("open-code", "opencode")),
    ],
)
def test_a_name_that_is_nearly_one_is_answered_with_it(name: str, meant: str):
    with pytest.raises(UnknownExecutor, match=f"did you mean '{meant}'"):
        ExecutorRegistry().get(name)


def test_executors_given_in_code_go_before_installed_ones():
    dog = Dog()
    other = Dog()
    other.name = "custom"
    registry = ExecutorRegistry([dog, other])
    assert registry.get("dog") is dog
    assert registry.get("custom") is other
    assert list(registry.names()) == sorted(registry.names())


def test_a_plugin_may_be_a_class_a_function_or_an_object():
    plugins = [plugin("cat", "pets:Cat"), plugin("made", "pets:make"), plugin("instance", "pets:INSTANCE")]
    registry = ExecutorRegistry(plugins=plugins)
    assert [registry.get(name).name for name in registry.names()] == ["cat", "instance", "made"]


def test_plugins_are_imported_when_they_are_asked_for():
    registry = ExecutorRegistry(plugins=[plugin("cat", "pets:Cat")])
    assert registry.names() == ("cat",)
    assert "pets" not in sys.modules
    registry.get("cat")
    assert "pets" in sys.modules


def test_an_unknown_name_is_an_error_that_knows_the_others():
    registry = ExecutorRegistry([Dog()], plugins=[plugin("cat", "pets:Cat")])
    with pytest.raises(UnknownExecutor) as caught:
        registry.get("Cats")
    assert (caught.value.name, caught.value.known) == ("Cats", ("cat", "dog"))
    assert str(caught.value) == "there is no executor 'Cats'; known: cat, dog; did you mean 'cat'?"
    with pytest.raises(UnknownExecutor, match=r"known: cat, dog; `executors\.list\(\)` lists them"):
        registry.get("elephant")
    with pytest.raises(UnknownExecutor, match="known: none"):
        ExecutorRegistry(plugins=[]).get("cat")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("gone", "pets_that_are_not_there:Cat", "No module named 'pets_that_are_not_there'"),
        ("need", "pets_that_need:Cat", "No module named 'a_package_that_is_not_installed'"),
        ("stop", "pets_that_stop:Cat", "SystemExit: we are closed"),
        ("lost", "pets:Lost", "has no attribute 'Lost'"),
        ("abstract", "pets:Abstract", "abstract"),
        ("no-executor", "pets:NoExecutor", "is not an Executor"),
        ("Shouting", "pets:Shouting", "'Shouting' is not a name"),
        ("other", "pets:Cat", "it names itself 'cat', its entry point 'other'"),
    ],
)
def test_a_broken_plugin_is_unavailable_with_the_reason_and_disturbs_nobody(name: str, value: str, reason: str):
    registry = ExecutorRegistry([Dog()], plugins=[plugin(name, value), plugin("cat", "pets:Cat")])
    described = {info.name: info for info in registry.describe(environment={})}
    assert set(described) == {name, "cat", "dog"}
    assert described["cat"].availability.available
    broken = described[name].availability
    assert not broken.available
    assert reason in broken.reason
    assert broken.remedy
    with pytest.raises(UnknownExecutor) as caught:
        registry.get(name)
    assert reason in str(caught.value)
    assert caught.value.known == ("cat", "dog")
    assert registry.get("cat").name == "cat"


def test_availability_is_what_the_executor_says_even_when_finding_out_fails():
    registry = ExecutorRegistry(plugins=[plugin("ailing", "pets:Ailing"), plugin("unready", "pets:Unready")])
    ailing, unready = registry.describe(environment={})
    assert ailing.availability == Availability(available=False, reason="the check failed: OSError: no such disk")
    assert unready.availability == Availability(available=False, reason="not logged in", remedy="log in")
    assert registry.get("ailing").summary == ailing.summary == "a cat"
    assert registry.describe(["unready"], environment={}) == (unready,)
    with pytest.raises(UnknownExecutor):
        registry.describe(["unready", "nobody"], environment={})


def test_two_packages_that_offer_one_name_are_told_apart_by_nobody():
    registry = ExecutorRegistry(plugins=[plugin("cat", "pets:Cat"), plugin("cat", "pets:make")])
    (cat,) = registry.describe(environment={})
    assert cat.availability.reason == "several packages offer it: pets:Cat, pets:make"


def test_no_package_replaces_ours():
    (own,) = [point for point in _installed() if point.name == "custom"]
    registry = ExecutorRegistry(plugins=[plugin("custom", "pets:Cat"), own])
    assert isinstance(registry.get("custom"), CustomExecutor)


def _installed() -> list[EntryPoint]:
    from importlib.metadata import entry_points

    return list(entry_points(group=GROUP))


def test_what_is_given_in_code_is_checked():
    nameless = Dog()
    nameless.name = "a dog"
    with pytest.raises(InvalidInput, match="'a dog' is not a name"):
        ExecutorRegistry([nameless])
    with pytest.raises(InvalidInput, match="two executors are named 'dog'"):
        ExecutorRegistry([Dog(), Dog()])
    with pytest.raises(InvalidInput, match="is not an Executor"):
        ExecutorRegistry([Dog])  # type: ignore[list-item]


def test_the_package_offers_its_names_and_imports_none_of_them_unasked():
    code = (
        "import sys, aura_executors; from aura_executors import ExecutorRegistry; ExecutorRegistry().get('custom');"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert not {"asyncio", "subprocess", "aura_executors.scripted", "aura_executors.runner.supervised_runner"} & set(
        done.stdout.split()
    )
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = aura_executors.nothing
