"""``aura template``: templates written, listed, shown, previewed and retired."""

import pytest

from command_line import call_aura


def write(place, text):
    (place / "text.txt").write_text(text)
    return "text.txt"


def test_a_template_is_written_listed_shown_previewed_retired_and_restored(place):
    file = write(place, 'Be brief.\n{% include "coding" %}')
    (made,) = call_aura("template", "set", "coding", file, "--json").objects
    assert (made["name"], made["scope"], made["revision"], made["status"]) == ("coding", "global", 1, "active")
    assert call_aura("template", "list", "--json").objects == [made]
    assert call_aura("template", "show", "coding", "--json").objects == [made]
    assert call_aura("template", "show", made["id"], "--json").objects == [made]
    shown = call_aura("template", "preview", "coding")
    assert shown.out == "Be brief.\n<title>\n\n<description>\n"
    assert "template coding (global, revision 1)" in shown.err
    assert "Be brief.\n" in call_aura("template", "preview", "plan").out
    write(place, "{{ ticket }}: {{ task.title }}")
    words = ("set", "coding", file, "--declare", "ticket", "--based-on", "1")
    assert "has revision 2" in call_aura("template", *words).out
    assert call_aura("template", "preview", "coding", "--var", "ticket=A-1").out == "A-1: <title>\n"
    assert "ticket has no value" in call_aura("template", "preview", "coding").err
    assert call_aura("template", "show", "coding", "--revision", "1").out == 'Be brief.\n{% include "coding" %}\n'
    assert "it has revisions 1 to 2" in call_aura("template", "show", "coding", "--revision", "3").err
    assert call_aura("template", "retire", "coding", "--reason", "new").out == "template coding (global) is retired\n"
    assert call_aura("template", "list").err == "0 templates\n"
    assert [one["status"] for one in call_aura("template", "list", "--all", "--json").objects] == ["retired"]
    assert call_aura("template", "preview", "coding").out == "<title>\n\n<description>\n"
    assert call_aura("template", "restore", "coding").out == "template coding (global) is active\n"


def test_templates_of_places_are_written_apart(place):
    assert call_aura("project", "add", "shop").code == 0
    (task,) = call_aura("task", "create", "Show prices", "--project", "shop", "--json").objects
    for scope, words in (("global", ()), ("project", ("--project", "shop")), ("task", ("--task", task["id"]))):
        file = write(place, f'{scope}\n{{% include "coding" %}}')
        assert call_aura("template", "set", "coding", file, *words).code == 0
    assert call_aura("template", "preview", "coding", "--task", task["id"]).out.startswith(
        "task\nproject\nglobal\nShow"
    )
    assert call_aura("template", "preview", "coding", "--project", "shop").out.startswith("project\nglobal\n<title>")
    assert call_aura("template", "preview", "coding").out.startswith("global\n<title>")
    write(place, 'draft\n{% include "coding" %}')
    drafted = call_aura("template", "preview", "coding", "--project", "shop", "--file", "text.txt")
    assert drafted.out.startswith("draft\nproject\nglobal\n")
    listed = call_aura("template", "list", "--json").objects
    assert [one["scope_key"] for one in listed] == [None, "shop", task["id"]]


def test_the_built_in_ones_are_listed_and_shown(place):
    listed = call_aura("template", "list", "--builtin", "--json").objects
    assert {"coding", "plan", "follow_up"} <= {one["id"] for one in listed}
    assert call_aura("project", "add", "shop").code == 0  # which creates the store
    assert call_aura("template", "show", "follow_up").out.startswith("template follow_up: built in\n\n  A human has")


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("set", "coding", "bad.txt"), "template", "template coding (global), line 2: Expected an expression"),
        (("set", "coding", "unknown.txt"), "template", "line 1: ticket is not declared"),
        (("set", "coding", "empty.txt"), "invalid_input", "text"),
        (("set", "a name", "good.txt"), "rule", "is not a name"),
        (("set", "coding", "gone.txt"), "invalid_input", "No such file"),
        (("set", "coding", "good.txt", "--project", "gone"), "invalid_input", "there is no project 'gone'"),
        (("set", "coding", "good.txt", "--based-on", "2"), "rule", "based on revision 2"),
        (("set", "coding", "key.txt"), "invalid_input", "secret"),
        (("show", "nothing"), "not_found", "nothing"),
        (("retire", "plan"), "not_found", "plan"),
        (("preview", "nothing"), "not_found", "nothing"),
    ],
)
def test_what_is_wrong_is_refused_and_the_former_text_stays(place, words, code, says):
    texts = {
        "good.txt": "Good: {{ task.title }}",
        "bad.txt": "\n{% if %}",
        "unknown.txt": "{{ ticket }}",
        "empty.txt": " \n",
        "key.txt": "Use ghp_" + "a1B2" * 9,
    }
    for name, text in texts.items():
        (place / name).write_text(text)
    (before,) = call_aura("template", "set", "coding", "good.txt", "--json").objects
    answer = call_aura("template", *words, "--json")
    assert answer.code == 1
    assert code in answer.error["code"]
    assert says in answer.error["message"]
    assert call_aura("template", "show", "coding", "--json").objects == [before]
    assert call_aura("template", "preview", "coding").out == "Good: <title>\n"
