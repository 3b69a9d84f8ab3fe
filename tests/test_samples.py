"""Samples: ``AURA_SAMPLE=SEED/N`` runs one test in N, others for each seed, and the same ones each time."""

import pytest

import selection

MANY = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with many small tests, half of them deep."""
    made = tmp_path_factory.mktemp("folder")
    (made / "pytest.ini").write_text("[pytest]\nmarkers =\n    deep: left out\n    deep_but_first: left out\n")
    (made / "test_many.py").write_text(
        "import pytest\n\n"
        f"@pytest.mark.parametrize('number', range({MANY}))\ndef test_quick(number): pass\n\n"
        f"@pytest.mark.deep\n@pytest.mark.parametrize('number', range({MANY}))\ndef test_deep(number): pass\n"
    )
    (made / "test_cases.py").write_text(
        "import pytest\n\n"
        "@pytest.mark.deep_but_first\n@pytest.mark.parametrize('case', 'abc')\ndef test_cases(case): pass\n\n"
        "@pytest.mark.deep_but_first\n@pytest.mark.parametrize('case', 'ab')\ndef test_others(case): pass\n"
    )
    return made


class Chosen:
    """Notes which tests would run."""

    def pytest_collection_finish(self, session):
        self.ids = {item.nodeid for item in session.items}


@pytest.fixture
def chosen(folder, monkeypatch):
    """Return what returns the ids of the tests that pytest chooses with the settings of this folder."""
    monkeypatch.delenv("AURA_DEEP", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def choose(sample="", *options, file="test_many.py"):
        monkeypatch.setenv("AURA_SAMPLE", sample)
        noted, quiet = Chosen(), ("terminal", "cacheprovider", "faulthandler")
        arguments = ["--collect-only", "-s", *(f"-pno:{name}" for name in quiet), *options]
        assert pytest.main([*arguments, "-c", str(folder / "pytest.ini"), str(folder / file)], [selection, noted]) == 0
        return noted.ids

    return choose


def test_a_sample_is_its_share_of_what_would_run_and_the_same_each_time(chosen):
    everything = chosen()
    sample = chosen("one/3")
    assert len(everything) == MANY
    assert sample < everything
    assert MANY / 6 < len(sample) < MANY / 2
    assert chosen("one/3") == sample


def test_another_seed_has_another_sample_and_many_seeds_leave_nothing_out(chosen):
    samples = [chosen(f"{seed}/2") for seed in range(12)]
    assert len({frozenset(sample) for sample in samples}) == len(samples)
    left = chosen() - set().union(*samples)
    assert not left


def test_a_sample_is_of_what_the_options_choose(chosen):
    deep = chosen("", "-m", "deep")
    assert {one.partition("[")[0] for one in deep} == {"test_many.py::test_deep"}
    assert chosen("one/3", "-m", "deep") < deep
    assert chosen("one/1", "-m", "deep") == deep


def test_a_seed_may_have_a_slash(chosen):
    assert chosen("a/b/3") != chosen("a/3")


def test_of_some_functions_the_first_case_runs_and_the_others_are_deep(chosen):
    assert chosen(file="test_cases.py") == {"test_cases.py::test_cases[a]", "test_cases.py::test_others[a]"}
    deep = chosen("", "-m", "deep", file="test_cases.py")
    assert deep == {"test_cases.py::test_cases[b]", "test_cases.py::test_cases[c]", "test_cases.py::test_others[b]"}


def test_a_case_that_is_named_runs(chosen):
    assert chosen(file="test_cases.py::test_cases[c]") == {"test_cases.py::test_cases[c]"}
