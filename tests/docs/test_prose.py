"""The prose reads like a native engineer's: words to avoid are in `docs/prose.toml`, the check is `docs/prose.py`."""

import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prose(monkeypatch):
    """The script, imported."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import prose

    return prose


def found(prose, texts):
    return [(hit.line, hit.words) for hit in prose._uses("docs", "page", list(texts), prose.read_words())]


@pytest.mark.deep  # CI runs the program itself
def test_no_part_uses_more_words_than_its_budget(prose, capsys):
    assert prose.main([]) == 0, capsys.readouterr().out


def test_every_word_has_a_better_one_and_a_reason():
    for word in tomllib.loads((ROOT / "docs/prose.toml").read_text("utf-8"))["word"]:
        assert word.keys() == {"pattern", "better", "why"}
        assert all(word.values())


def test_a_page_is_read_without_its_code(prose):
    page = "First anew.\n\n```text\nin code: anew\n```\n\nIn `anew` a span, then it is\nto be here.\n"
    assert found(prose, prose._markdown(page)) == [(1, "anew"), (7, "is to be")]


def test_of_a_module_docstrings_comments_and_strings_are_read(prose):
    module = '''"""What is

no number."""
anew = 1  # made anew
raise ValueError(f"{anew} is "
    f"no number")
'''
    assert sorted(found(prose, prose._python(module))) == [(1, "is no"), (4, "anew"), (5, "is no")]


def test_a_use_is_excused_by_a_comment_next_to_it(prose):
    page = '<!-- prose: allow "anew" -->\nWritten anew, and for ever.\n\nAgain anew.\n'
    assert found(prose, prose._markdown(page)) == [(2, "for ever"), (4, "anew")]
    module = 'first = "anew"  # prose: allow "anew"\n\n\nsecond = "anew"\n'
    assert found(prose, prose._python(module)) == [(4, "anew")]


def test_the_budget_can_be_lowered_and_is_never_raised(prose, monkeypatch, tmp_path):
    budget = tmp_path / "budget.toml"
    monkeypatch.setattr(prose, "BUDGET", budget)
    monkeypatch.setattr(prose, "find", lambda: iter(2 * [prose.Hit("aura_store", "page", 1, "anew", "again")]))
    budget.write_text("# A comment.\naura_store = 5\ndocs = 0\naura_cli = 1\n", "utf-8")
    assert prose.main(["--lower"]) == 0
    assert budget.read_text("utf-8") == "# A comment.\naura_store = 2\ndocs = 0\naura_cli = 0\n"
    budget.write_text("aura_store = 1\n", "utf-8")
    assert prose.main(["--lower"]) == 0
    assert prose.read_budget() == {"aura_store": 1}
    assert prose.main([]) == 1


def test_the_glossary_defines_each_term_in_one_sentence():
    from aura_contracts.catalogue import AGGREGATES

    terms = {}
    for section in (ROOT / "docs/glossary.md").read_text("utf-8").split("\n### ")[1:]:
        term, _, definition = section.partition("\n\n")
        terms[term] = definition.partition("\n\n## ")[0].strip()
    for term, definition in terms.items():
        assert definition.endswith("."), term
        assert ". " not in definition, term
        assert "\n" not in definition, term
    assert {aggregate.name.replace("_", " ") for aggregate in AGGREGATES} <= terms.keys()
