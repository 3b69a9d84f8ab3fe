"""Prompts: strict, sandboxed, bounded, and the user's own words unchanged."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, TemplateSyntaxError, meta

from aura_contracts.errors import InvalidInput, MissingVariable, TemplateError
from aura_engine._builtin_templates import BUILTIN
from aura_engine.decisions.template import TEMPLATE_LIMIT
from aura_engine.jinja_templates import OUTPUT_LIMIT, Template, builtin, included, provided, render, require_correct

TASK = {"id": "1", "title": "Fix the login", "description": "It fails.", "priority": "high", "context": {}}
KNOWN = {
    "coding": {},
    "plan": {},
    "plan_follow_up": {"feedback": "Think again", "proposal": "I propose"},
    "implement": {"plan": "First this"},
    "follow_up": {"feedback": "Other colour"},
    "message": {"messages": "alice: blue", "planning": True},
    "conflict": {
        "feedback": "Keep both",
        "conflicts": [
            {"repository": "api", "target": "main", "paths": ("a b.py", "c.py")},
            {"repository": "web", "target": "dev", "paths": ["d.ts"]},
        ],
    },
    "decompose": {"schema": {"type": "object"}},
    "result": {"schema": {"type": "object"}},
    "resume": {"prompt": "As I said"},
    "replay": {"history": "You said: yes", "prompt": "Go on"},
}


def names_in(text: str) -> set[str]:
    """Return the variables of a template; none for a text that is not one."""
    try:
        return meta.find_undeclared_variables(Environment().parse(text))
    except TemplateSyntaxError:
        return set()


def make(text: str, /, **variables: Any) -> str:
    return render(Template("mine", "project", text), variables)


def refused(text: str, /, **variables: Any) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        make(text, **variables)
    return caught.value


# --- Built-in


@given(st.text(min_size=1))
def test_a_task_made_from_a_prompt_is_told_by_exactly_that_prompt(prompt: str):
    for title in (prompt, prompt.strip()[:60], prompt.strip()[:60].rstrip() + "…", " ".join(prompt.split())):
        task = {**TASK, "title": title, "description": prompt}
        if prompt.strip():
            assert render(builtin("coding"), {"task": task}) == prompt


@pytest.mark.parametrize(
    ("title", "description", "prompt"),
    [
        ("Fix the login", "It fails with 500.\n", "Fix the login\n\nIt fails with 500.\n"),
        ("Fix the login", "", "Fix the login"),
        ("Fix the login", " \n", "Fix the login"),
        ("Fix the login", None, "Fix the login"),
        ("", "Fix it", "Fix it"),
        ("Fix {{ this }}", "{% raw %}", "Fix {{ this }}\n\n{% raw %}"),
        ("<b> & 'c'", '"d"', "<b> & 'c'\n\n\"d\""),
    ],
)
def test_title_and_description_are_both_told_where_they_say_different_things(title, description, prompt):
    assert render(builtin("coding"), {"task": {**TASK, "title": title, "description": description}}) == prompt


def test_the_context_of_a_task_reaches_its_prompt():
    task = {"title": "Fix the login", "description": "", "context": {"page": "/login", "tries": 3}}
    for name in ("coding", "plan", "implement"):
        text = render(builtin(name), {"task": task, "plan": ""})
        assert text.startswith('Fix the login\n\nContext: {"page": "/login", "tries": 3}')


def test_a_prompt_has_the_beginning_of_a_long_context_and_says_so():
    text = render(
        builtin("coding"), {"task": {"title": "Fix", "description": "", "context": {"notes": "x" * 100_000, "last": 1}}}
    )
    assert len(text) < 20_100
    assert text.startswith('Fix\n\nContext: {"notes": "xxx')
    assert text.endswith("xxx [...] (cut here: the task has the rest)")


@pytest.mark.parametrize("name", BUILTIN)
def test_the_built_in_ones_render_with_what_they_say_they_need(name: str):
    assert set(KNOWN) == set(BUILTIN)
    template = builtin(name)
    assert (template.scope, template.revision) == ("built-in", 0)
    prompt = render(template, {"task": TASK, **KNOWN[name]})
    for told in KNOWN[name].values():
        if isinstance(told, str):
            assert told in prompt
    assert "None" not in prompt
    assert "{{" not in prompt
    assert "{%" not in prompt
    assert "\n\n\n" not in prompt
    assert names_in(template.text) <= {"task", *KNOWN[name]}


def test_the_prompt_for_a_conflict_lists_the_paths():
    prompt = render(builtin("conflict"), {"task": TASK, **KNOWN["conflict"]})
    assert prompt.endswith(
        "\nIn api, with the branch main:\n- a b.py\n- c.py\n\nIn web, with the branch dev:\n- d.ts\n\nKeep both\n"
    )


def test_there_are_no_other_built_in_ones():
    with pytest.raises(TemplateError, match="template codign, line 1: there is no template with this name"):
        builtin("codign")


# --- Rendering


def test_the_text_is_kept_as_it_is():
    text = "  # not a comment\r\nä <b>&amp;</b>\n\n\n"
    assert make(text) == text.replace("\r\n", "\n")
    assert make("{{ x }}\n", x="<a href='x'>\r\n") == "<a href='x'>\r\n\n"


def test_values_are_never_templates():
    assert make("{{ a }}{{ b.c }}{{ d | join }}", a="{{ b }}", b={"c": "{% x %}"}, d=["{#"]) == "{{ b }}{% x %}{#"


def test_it_does_what_prompts_need():
    text = """\
{% for step in steps if step.open %}{{ loop.index }}. {{ step.text | trim }}{{ ", " if not loop.last }}{% endfor %}
{% macro bold(text) %}*{{ text }}*{% endmacro %}{{ bold("x") }} {{ data | tojson }} {{ text | indent(2) }}
{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n ~ "!" }}
{{ text.splitlines() | length }} {{ text | replace("a", "b") | upper }} {{ none is none }} {{ missing is defined }}"""
    steps = [{"text": " one ", "open": True}, {"text": "two", "open": False}, {"text": "three", "open": True}]
    made = make(text, steps=steps, data={"k": ["ä<", None, 1.5]}, text="a\na")
    assert made.split("\n") == [
        "1. one, 2. three",
        '*x* {"k": ["ä<", null, 1.5]} a',
        "  a",
        "3!",
        "2 B",
        "B True False",
    ]


def test_keys_go_before_methods():
    assert make("{{ task.items }} {{ task.title }}", task={"items": 5, "title": "T"}) == "5 T"
    assert "a function cannot be printed" in str(refused("{{ task.items }}", task={}))


def test_a_template_may_say_more_around_the_built_in_one():
    own = Template("coding", "project", 'Be brief.\n{% include "coding" %}\n{% include "style" %}')
    parts = {"style": [Template("style", "global", "Use {{ task.id }} as the branch.")]}
    assert render(own, {"task": TASK}, parts=parts) == "Be brief.\nFix the login\n\nIt fails.\nUse 1 as the branch."


def test_each_scope_may_add_to_the_next_wider_one():
    own = [Template("coding", scope, f'{scope}\n{{% include "coding" %}}') for scope in ("task", "project", "global")]
    parts = {"coding": own, "intro": [Template("intro", "global", '{% include "coding" %}')]}
    assert render(own[0], {"task": TASK}, parts=parts).startswith("task\nproject\nglobal\nFix the login")
    assert render(own[1], {"task": TASK}, parts=parts).startswith("project\nglobal\nFix the login")
    draft = Template("coding", "draft", 'draft\n{% include "coding" %}')
    assert render(draft, {"task": TASK}, parts=parts).startswith("draft\ntask\nproject\n")
    assert render(builtin("plan"), {"task": TASK}, parts=parts).startswith("task\nproject\nglobal\nFix the login")
    assert render(Template("mine", "task", '{% include "intro" %}'), {"task": TASK}, parts=parts).startswith("task\n")


def test_no_layer_is_behind_the_last_one():
    style = Template("style", "global", '{% include "style" %}')
    with pytest.raises(TemplateError, match="there is no template 'style' to include"):
        render(style, {}, parts={"style": [style]})
    with pytest.raises(TemplateError, match="there is no template"):
        make('{% include "coding\\x000" %}', task=TASK)


@pytest.mark.parametrize("name", BUILTIN)
def test_built_in_templates_are_correct_and_use_what_is_provided(name: str):
    require_correct(builtin(name), ())
    assert set(provided(name)) <= set(KNOWN[name])
    assert included(BUILTIN[name]) == ({"coding"} if 'include "coding"' in BUILTIN[name] else set())


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("{% if %}", 1, "Expected an expression"),
        ("a\n{{ task.title | shuffle }}", 2, "No filter named 'shuffle'"),
        ("a\n\n{{ ticket }}{{ feedback }}", 3, "feedback is not declared"),
        ("{% for x in range(3) %}{{ x }}{% endfor %}{{ x }}", 1, "x is not declared"),
        ('{% set name = "coding" %}\n{% include name %}', 2, "only rendering would tell"),
        ('{% include ["coding", task.id] %}', 1, "only rendering would tell"),
        ("x" * (TEMPLATE_LIMIT + 1), 1, "the limit is"),
    ],
)
def test_a_text_that_could_render_for_no_task_is_refused(text: str, line: int, reason: str):
    with pytest.raises(TemplateError) as caught:
        require_correct(Template("coding", "global", text), ("ticket",))
    assert (caught.value.template, caught.value.line) == ("coding (global)", line)
    assert reason in caught.value.reason


def test_a_correct_text_uses_what_is_provided_or_declared():
    text = '{{ task.title }} {{ ticket | default("none") }} {% include ["coding", "style"] %} {{ range(2) | list }}'
    require_correct(Template("coding", "global", text), ("ticket",))
    require_correct(Template("style", "global", "{{ feedback }} {{ plan }}"), ())
    assert included(text) == {"coding", "style"}


def test_it_is_the_same_every_time():
    text = "{% for k in data %}{{ k }}{% endfor %}{{ data }}"
    assert len({make(text, data={str(n): n for n in range(20)}) for _ in range(5)}) == 1
    for text in ("{{ [1, 2] | random }}", "{{ lipsum() }}", "{{ now() }}"):
        refused(text)


# --- Missing variables


@pytest.mark.parametrize(
    ("text", "line", "variable"),
    [
        ("{{ nope }}", 1, "nope"),
        ("a\n\n{{ task.nope }}", 3, "task.nope"),
        ("{{ task.context.nope.deeper }}", 1, "task.context.nope"),
        ("{{ task['nope'] }}", 1, "task.nope"),
        ("{{ steps[9] }}", 1, "steps[9]"),
        ("{{ steps[0].nope }}", 1, "steps[0].nope"),
        ("{% for step in steps %}\n{{ step.text }}\n{{ step.nope }}\n{% endfor %}", 3, "step.nope"),
        ("\n{% for step in nope %}{% endfor %}", 2, "nope"),
        ("\n{% if nope %}{% endif %}", 2, "nope"),
        ("\n{% if nope == 1 %}{% endif %}", 2, "nope"),
        ("\n{% if 'x' in nope %}{% endif %}", 2, "nope"),
        ("\n{{ nope | upper }}", 2, "nope"),
        ("\n{{ nope | length }}", 2, "nope"),
        ("\n{{ nope() }}", 2, "nope"),
        ("\n{{ steps | map(attribute='nope') | join }}", 2, "nope"),
        ("\n{{ 'a' ~\n nope }}", 3, "nope"),
        ("\n{{ [nope] }}", 2, "nope"),
        ("\n{{ {'a': nope} | tojson }}", 2, "nope"),
        ("\n{{ [[nope]] | string }}", 2, "nope"),
        ("\n{{ [nope] | join }}", 2, "nope"),
        ("\n{{ 'a' | replace('a', nope) }}", 2, "nope"),
        ("\n{{ nope + 1 }}", 2, "nope"),
        ("\n{{ task.title if nope }}", 2, "nope"),
        ("\n{% set x = nope %}\n{{ x }}", 3, "nope"),
        ("{% macro m() %}\n{{ nope }}{% endmacro %}\n\n{{ m() }}", 2, "nope"),
        ("{% set block %}\n\n{{ nope }}{% endset %}", 3, "nope"),
        ("{{ loop }}", 1, "loop"),
    ],
)
def test_a_missing_variable_is_named_with_template_and_line(text: str, line: int, variable: str):
    error = refused(text, task=TASK, steps=[{"text": "one"}])
    assert isinstance(error, MissingVariable)
    assert (error.template, error.line, error.variable) == ("mine (project)", line, variable)
    assert f"template mine (project), line {line}: {variable} has no value" in str(error)
    assert variable.isidentifier() is ("--var NAME=VALUE" in error.remedy) or variable == "nope"


def test_a_missing_variable_in_an_included_template_is_named_there():
    with pytest.raises(MissingVariable) as caught:
        render(Template("mine", "task", '\n\n{% include "coding" %}'), {"task": {"title": "x"}})
    assert (caught.value.template, caught.value.variable) == ("coding (built-in)", "task.description")
    assert caught.value.line == 2
    with pytest.raises(
        MissingVariable, match=r"template coding \(built-in\), line 1: task has no value: there are a, b"
    ):
        render(builtin("coding"), {"b": 1, "a": 2})


def test_what_may_be_missing_can_be_said():
    text = "{{ nope | default('a') }}{{ task.nope | d('b') }}{% if nope is defined %}c{% endif %}"
    assert make(text, task=TASK) == "ab"


def test_an_unused_variable_may_be_missing_where_it_is_not_reached():
    assert make("{% if false %}{{ nope }}{% endif %}{{ 'a' if true else nope }}") == "a"


# --- Errors


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a\n{{ x", 2, "unexpected end of template"),
        ("a\n{% if x %}", 2, "Unexpected end of template"),
        ("\n\n{% nope %}", 3, "unknown tag 'nope'"),
        ("\n{{ x | nope }}", 2, "No filter named 'nope'"),
        ("\n{{ x is nope }}", 2, "No test named 'nope'"),
        ("\n{% for x in xs recursive %}{% endfor %}", 2, "recursive loops are not supported"),
        ('\n{% include "nope" %}', 2, "there is no template 'nope' to include"),
        ("\n{{ 1 / 0 }}", 2, "ZeroDivisionError"),
        ("\n{{ 'a' + 1 }}", 2, "TypeError"),
        ("\n{{ [] | first }}", 2, "No first item"),
        ("\n{{ 'a' | int('x') | nope }}", 2, "No filter named 'nope'"),
    ],
)
def test_what_is_wrong_is_said_with_the_line(text: str, line: int, reason: str):
    error = refused(text, x="x")
    assert not isinstance(error, MissingVariable)
    assert (error.template, error.line) == ("mine (project)", line)
    assert reason in error.reason


def test_an_included_template_that_is_none_is_named():
    parts = {"broken": [Template("broken", "global", "\n{% if %}")]}
    with pytest.raises(TemplateError, match=r"template broken \(global\), line 2"):
        render(Template("mine", "task", '{% include "broken" %}'), {}, parts=parts)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__class__'] }}",
        "{{ '' | attr('__class__') }}",
        "{{ [''] | map(attribute='__class__') | list }}",
        "{{ self.__init__.__globals__ }}",
        "{{ range.__self__ }}",
        "{{ xs.append(1) }}",
        "{{ xs.clear() }}",
        "{{ table.update({}) }}",
        "{{ table.pop('a') }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ '%s' % 1 }}",
        "{{ 'x'.encode() }}",
        "{{ (5).to_bytes(9, 'big') }}",
        "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
        "{% for x in xs %}{{ loop.__class__ }}{% endfor %}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ range }}",
        "{{ xs.count }}",
    ],
)
def test_nothing_leaves_the_sandbox(text: str):
    xs, table = [1], {"a": 1}
    assert "no value" not in refused(text, xs=xs, table=table).reason
    assert (xs, table) == ([1], {"a": 1})


DOUBLING = "{% set ns = namespace(s='x', l=[1]) %}{% for i in range(9999) %}__{% endfor %}"
NESTING = "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}"


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' * 10 ** 9 }}",
        "{{ 10 ** 9 * 'x' }}",
        "{{ [1] * 10 ** 9 }}",
        "{{ 10 ** 99999 }}",
        "{{ range(10 ** 9) | list }}",
        "{{ 'x' | indent(10 ** 9) }}",
        "{{ [1] | tojson(10 ** 9) }}",
        "{{ 'x'.ljust(10 ** 9) }}",
        "{{ 'x' | center(10 ** 9) }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{{ big }}{% endfor %}",
        "{% set x %}{% for a in range(99999) %}" + "constant " * 5000 + "{% endfor %}{% endset %}",
        "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        '{% include "loop" %}',
        '{% set n = 60 %}{% include "twice" %}',
        DOUBLING.replace("__", "{% set ns.s = ns.s ~ ns.s %}"),
        DOUBLING.replace("__", "{% set ns.s = ns.s + ns.s %}"),
        DOUBLING.replace("__", "{% set ns.s = [ns.s, ns.s] | join %}"),
        DOUBLING.replace("__", "{% set ns.s = ns.s | replace('x', 'xx') %}"),
        DOUBLING.replace("__", "{% set x %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = x %}"),
        DOUBLING.replace("__", "{% set ns.l = ns.l + ns.l %}"),
        NESTING + "{{ ns.l }}",
        NESTING + "{{ ns.l == [ns.l] }}",
        NESTING + "{{ [ns.l, [ns.l]] | sort }}",
        NESTING.replace("[ns.l, ns.l]", "(ns.l, ns.l)").replace("[1]", "1") + "{{ {}.get(ns.l) }}",
        NESTING.replace("[ns.l, ns.l]", "(ns.l, ns.l)").replace("[1]", "1") + "{{ {ns.l: 1} }}",
        "{{ 1.5 | round(10 ** 9, 'ceil') }}",
        "{{ ('1' * 900000) | int(base=2) }}",
        "{{ ('a' * 900000).strip('b' * 900000 ~ 'a') }}",
        "{% for a in range(99999) %}{% set n = big.count('y') %}{% if 'y' in big * 999 %}{% endif %}{% endfor %}",
        NESTING + "{{ ns.l | tojson }}",
    ],
)
def test_no_template_takes_for_ever_or_all_memory(text: str):
    began = time.monotonic()
    parts = {
        "loop": [Template("loop", "global", '{% include "back" %}')],
        "back": [Template("back", "global", '{% include "loop" %}')],
        "twice": [
            Template(
                "twice",
                "global",
                '{% set n = n - 1 %}{% if n > 0 %}{% include "again" %}{% include "again" %}{% endif %}',
            )
        ],
        "again": [Template("again", "global", '{% include "twice" %}')],
    }
    with pytest.raises(TemplateError) as caught:
        render(Template("mine", "project", text), {"big": "x" * 1000}, parts=parts)
    assert not isinstance(caught.value, MissingVariable)
    assert time.monotonic() - began < 60


def test_limits_of_text_and_output():
    assert make("x" * TEMPLATE_LIMIT) == "x" * TEMPLATE_LIMIT
    assert "the limit is 65536" in refused("x" * (TEMPLATE_LIMIT + 1)).reason
    assert "the limit is 65536" in refused("ä" * (TEMPLATE_LIMIT // 2 + 1)).reason
    assert len(make("{{ x }}", x="x" * OUTPUT_LIMIT)) == OUTPUT_LIMIT
    assert "more than 1048576 bytes" in refused("{{ x }}y", x="x" * OUTPUT_LIMIT).reason
    assert "more than 1048576 bytes" in refused("{{ x }}", x="ä" * (OUTPUT_LIMIT // 2 + 1)).reason
    assert make("{% for i in range(50000) %}{% endfor %}") == ""


# --- Data


class Colour(StrEnum):
    RED = "red"


def test_values_become_plain_data():
    assert make("{{ a }} {{ b }} {{ c.d }} {{ e }}", a=Colour.RED, b=(1, 2), c={Colour.RED: 1, "d": True}, e=None) == (
        "red [1, 2] True None"
    )


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (datetime(2026, 1, 4, tzinfo=UTC), "variable x"),
        ({"a": [1, {2}]}, "variable x.a[1]"),
        (object(), "variable x"),
        (b"bytes", "variable x"),
        ({1: 2}, "variable x"),
        (print, "variable x"),
    ],
)
def test_what_is_no_plain_data_is_refused(value: object, field: str):
    with pytest.raises(InvalidInput) as caught:
        make("", x=value)
    assert caught.value.field == field


def test_data_that_holds_itself_is_refused():
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidInput, match="nested too deep"):
        make("", x=value)


# --- Variables


@given(st.text("{}%# -abx\n|.()[]'~", max_size=40))
def test_any_text_is_a_template_or_an_error_of_ours(text: str):
    try:
        make(text, **dict.fromkeys(names_in(text), "value"))
    except TemplateError as error:
        told = (error.line >= 1, bool(error.reason))
    else:
        told = (True, True)
    assert told == (True, True)


@given(st.text(st.characters(exclude_characters="{}%#\r"), max_size=200), st.text(max_size=50))
def test_what_is_around_a_value_and_the_value_are_kept(text: str, value: str):
    assert make(text + "{{ x }}" + text, x=value) == text + value + text


def test_jinja_is_not_imported_before_it_is_needed():
    code = "import sys, aura_engine.jinja_templates as t; t.builtin('coding'); assert 'jinja2' not in sys.modules"
    subprocess.run([sys.executable, "-I", "-c", code], check=True)


# --- Renderings are the same each time


@pytest.mark.parametrize(
    "text",
    [
        "{{ names | map('upper') }}",
        "{{ names | select }}",
        "{{ names | reverse }}",
        "{{ names | map('upper') | string }}",
        "{{ names | map('upper') | upper }}",
        "{{ names | map('upper') | truncate(300) }}",
        "{{ names | map('upper') | trim | title }}",
        "{{ 'these: ' ~ (names | map('upper')) }}",
        "{{ [names | map('upper')] }}",
        "{{ [names | map('upper')] | join(', ') }}",
        "{{ {'a': names | map('upper')} }}",
        "{{ [names[0].upper] }}",
        "{{ names[0].upper | upper }}",
        "{{ names[0].upper ~ '' }}",
        "{{ cycler('a') }}",
        "{{ joiner() }}",
        "{% for name in names %}{{ loop }}{% endfor %}",
        "{{ (names | map('upper')) | indent }}",
        "{{ 'a' | replace('a', names | map('upper')) }}",
    ],
)
def test_what_would_be_printed_by_its_address_is_refused(text):
    with pytest.raises(TemplateError) as error:
        make(text, names=["ann", "bob"])
    assert "cannot be printed" in error.value.reason


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{{ names | map('upper') | list }}", "['ANN', 'BOB']"),
        ("{{ names | map('upper') | join(' ') }}", "ANN BOB"),
        ("{{ table.keys() }}", "dict_keys(['a', 'b'])"),
        ("{{ range(3) }} {{ none }} {{ 1.5 }} {{ true }}", "range(0, 3) None 1.5 True"),
        ("{{ 5 | upper }} {{ ' x ' | trim | upper | truncate(9) }}", "5 X"),
        ("{{ names }} {{ table }}", "['ann', 'bob'] {'a': 1, 'b': [2]}"),
    ],
)
def test_data_is_printed_as_it_is(text, rendered):
    assert make(text, names=["ann", "bob"], table={"a": 1, "b": [2]}) == rendered
