"""``aura link``: what links are good for is listed and shown; they are revoked, and their keys rotated."""

import os
import re

import pytest

from aura_engine import open_engine_sync
from command_line import call_aura

BASE = "https://aura.example.org/team"


@pytest.fixture
def asked(place, monkeypatch):
    """The id of a plan that waits for alice or bob, in a store whose pages are at BASE."""
    monkeypatch.setenv("AURA_BASE_URL", BASE)
    with open_engine_sync(os.environ["AURA_STORE"], home=os.environ["AURA_HOME"], record_only=True) as engine:
        task = engine.tasks.create("Go", approval="plan", reviewers=["bob"])
        engine.tasks.assign(task.id, executor="custom", options={"base_command": "true"})
        return engine.tasks.submit(task.id, "I add an index").id


def issued(*words):
    answer = call_aura("approval", "link", *words)
    assert answer.code == 0, answer.err
    return answer.out.strip()


def test_a_link_is_issued_listed_shown_and_revoked(asked):
    answer = call_aura("approval", "link", "--to", "alice@example.org")
    assert answer.code == 0, answer.err
    url = answer.out.strip()
    assert re.fullmatch(re.escape(BASE) + r"/links/link1\.[\w-]+\.[\w-]+", url)
    (noted,) = re.findall(r"^link (\S+) for alice expires at ", answer.err)
    (listed,) = call_aura("link", "list", "--json").objects
    assert (listed["id"], listed["status"], listed["address"]) == (noted, "open", "alice@example.org")
    assert (listed["approval_id"], listed["reviewer"]) == (asked, "alice")
    table = call_aura("link", "list")
    assert "alice@example.org" in table.out
    assert table.err == "1 link\n"

    shown = call_aura("link", "show", url)
    assert "  I add an index" in shown.out.splitlines()
    assert re.search(r"^answers +approved, rejected, needs changes$", shown.out, re.MULTILINE)
    (page,) = call_aura("link", "show", url.rpartition("/")[2], "--json").objects
    assert (page["id"], page["refused"], "form" in page) == (noted, None, False)

    (revoked,) = call_aura("link", "revoke", noted[-9:], "--reason", "wrong list", "--json").objects
    assert (revoked["id"], revoked["status"]) == (noted, "revoked")
    shown = call_aura("link", "show", url).out
    assert re.search(r"^answers +nothing$", shown, re.MULTILINE)
    assert "was revoked at" in shown
    assert "index" not in shown
    assert [one["status"] for one in call_aura("link", "list", "--approval", asked, "--json").objects] == ["revoked"]


def test_the_page_of_a_question_lists_its_links(asked):
    issued()
    issued("--view")
    first, second = call_aura("link", "list", "--json").objects
    assert call_aura("link", "revoke", second["id"]).code == 0
    shown = call_aura("approval", "show", asked)
    lines = [line for line in shown.out.splitlines() if line.startswith("link ")]
    assert re.fullmatch(rf"link +{first['id']} answers as alice, expires at .+: open", lines[0])
    assert re.fullmatch(rf"link +{second['id']} shows it to alice, expires at .+: revoked at .+", lines[1])
    (data,) = call_aura("approval", "show", asked, "--json").objects
    assert [(one["id"], one["seat"], one["status"]) for one in data["links"]] == [
        (first["id"], "alice", "open"),
        (second["id"], "", "revoked"),
    ]
    assert "link1." not in shown.out


def test_all_links_to_a_question_are_revoked_at_once(asked):
    urls = [issued("--view"), issued(asked[:13])]
    answer = call_aura("link", "revoke", "--approval", asked)
    assert (answer.code, answer.out.count("is revoked")) == (0, 2)
    for url in urls:
        assert "was revoked" in call_aura("link", "show", url).out


def test_keys_are_rotated(asked):
    url = issued()
    assert call_aura("link", "rotate-keys").out == "links are signed with key 2\n"
    assert call_aura("link", "show", url).code == 0
    assert call_aura("link", "rotate-keys", "--lost", "--json").objects[0]["id"] == "3"
    answer = call_aura("link", "show", url)
    assert answer.code == 1
    assert "the link is not accepted" in answer.err
    assert url.rpartition(".")[2] not in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("approval", "link", "--base-url", "http://aura.example.org"), "with http, everyone on the way"),
        (("approval", "link", "--until", "2100-01-01"), "not within 31 days"),
        (("approval", "link", "--until", "7"), "it is not a time"),
        (("approval", "link", "--to", "a\nb"), "an address is one line"),
        (("link", "show", "https://aura.example.org/links/x"), "the link is not accepted"),
        (("link", "revoke"), "name links, or a question"),
        (("link", "revoke", "abcdef", "--approval", "abcdef"), "name links, or a question"),
        (("link", "revoke", "abcdef"), "there is no link abcdef"),
    ],
)
def test_what_is_refused_says_why_and_what_to_do(asked, words, said):
    answer = call_aura(*words)
    assert answer.code in (1, 2)
    assert said in answer.err
    assert answer.out == ""


def test_without_an_address_no_link_is_issued(asked, monkeypatch):
    monkeypatch.delenv("AURA_BASE_URL")
    answer = call_aura("approval", "link")
    assert "set AURA_BASE_URL" in answer.err
    assert issued("--base-url", "http://localhost:8000").startswith("http://localhost:8000/links/")


def test_who_is_not_asked_gets_no_link(asked, monkeypatch):
    monkeypatch.setenv("AURA_USER", "mallory")
    answer = call_aura("approval", "link")
    assert answer.code == 1
    assert "only a reviewer" in answer.err
