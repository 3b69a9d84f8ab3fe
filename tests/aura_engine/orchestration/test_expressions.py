"""Expressions and templates of workflows: values, typed errors with their place, and bounded work."""

import sys
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts.errors import (
    ConditionNotBoolean,
    ExpressionError,
    ExpressionLimit,
    InvalidItems,
    MissingName,
)
from aura_engine.orchestration.expressions import (
    EXPRESSION_LIMIT,
    TEMPLATE_LIMIT,
    evaluate,
    is_true,
    items_of,
    render,
    rendered,
)
from aura_engine.orchestration.reads import names_read

SCOPE: dict[str, Any] = {
    "inputs": {"mode": "fast", "count": 3, "files": ["a.py", "b.py"], "empty": None, "items": 5},
    "context": {"owner": {"name": "alice"}, "numbers": (1, 2)},
    "workflow": {"id": "1", "name": "build"},
}


def refused(expression: str, scope: dict[str, Any] = SCOPE) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        evaluate(expression, scope, field="when")
    assert caught.value.field == "when"
    assert caught.value.reason
    return caught.value


# --- Values


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("inputs.count * 2 + 1", 7),
        ("inputs.mode == 'fast' and inputs.count > 2", True),
        ("'a.py' in inputs.files", True),
        ("'c.py' not in inputs.files", True),
        ("1 < inputs.count < 5", True),
        ("inputs.files", ["a.py", "b.py"]),
        ("inputs.files | map('upper') | list", ["A.PY", "B.PY"]),
        ("inputs.files | select('eq', 'a.py')", ["a.py"]),
        ("inputs['mode'] ~ '!'", "fast!"),
        ("inputs.empty", None),
        ("inputs.items", 5),
        ("inputs.nope | default('x')", "x"),
        ("inputs.nope is defined", False),
        ("context.numbers", [1, 2]),
        ("context.owner", {"name": "alice"}),
        ("range(3)", [0, 1, 2]),
        ("{'a': 1}.items()", [["a", 1]]),
        ("{'a': 1, inputs.mode: 2}", {"a": 1, "fast": 2}),
        ("'yes' if inputs.count else 'no'", "yes"),
        ("[inputs.count, 'x', none, true, 1.5]", [3, "x", None, True, 1.5]),
        ("inputs.mode\n ==\n 'fast'", True),
    ],
)
def test_an_expression_has_a_value_of_json(expression: str, value: Any):
    assert evaluate(expression, SCOPE) == value
    assert evaluate(expression, SCOPE) == value


def test_a_value_shares_nothing_with_its_variables():
    scope = {"xs": [[1], {"a": [2]}]}
    value = evaluate("xs", scope)
    value[0].append(5)
    value[1]["a"].append(5)
    assert scope == {"xs": [[1], {"a": [2]}]}


@pytest.mark.parametrize(
    ("expression", "line", "reason"),
    [
        ("", 1, "unexpected 'end of template'"),
        ("1 +", 1, "unexpected 'end of template'"),
        ("1 2", 1, "it ends before 2"),
        ("a, b", 1, "it ends before ','"),
        ("1 }} {{ 2", 1, "it ends before"),
        ("inputs |\n nope", 2, "No filter named 'nope'"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("inputs.items2", 1, "there is no inputs.items2"),
        ("range", 1, "is not a value"),
        ("'a'.upper", 1, "is not a value"),
        ("1e999", 1, "inf"),
        ("'nan' | float", 1, "nan is not a number of JSON"),
        ("{1: 2}", 1, "a key has to be a text, not 1"),
        ("'\\x00'", 1, "holds NUL"),
        ("'\\ud800'", 1, "half of a surrogate pair"),
        ("{% set a = 1 %}", 1, ""),
        ("9999999999999999999", 1, "does not fit into 64 bits"),
    ],
)
def test_what_is_wrong_is_said_with_field_and_line(expression: str, line: int, reason: str):
    error = refused(expression)
    assert reason in error.reason
    assert error.line == line


@pytest.mark.parametrize(
    ("expression", "name", "remedy"),
    [
        ("inputs.cuont", "inputs.cuont", "did you mean count?"),
        ("input.count", "input", "did you mean inputs?"),
        ("context.owner.mail == 'x'", "context.owner.mail", "filter default"),
        ("[inputs.nope]", "inputs.nope", "filter default"),
        ("inputs.files[7]", "inputs.files[7]", "filter default"),
        ("inputs.files | map(attribute='nope') | list", "nope", "filter default"),
    ],
)
def test_a_missing_name_is_told_in_full(expression: str, name: str, remedy: str):
    error = refused(expression)
    assert isinstance(error, MissingName)
    assert error.name == name
    assert remedy in error.remedy


# --- Conditions and items


def test_a_condition_is_true_or_false():
    assert is_true("inputs.count == 3", SCOPE)
    assert not is_true("inputs.count == 4", SCOPE)


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("inputs.mode", "a text"),
        ("inputs.count", "a number"),
        ("1.5", "a number"),
        ("inputs.files", "a list"),
        ("inputs", "an object"),
        ("none", "null"),
        ("inputs.files and true and 1", "a number"),
    ],
)
def test_a_condition_that_is_not_boolean_is_an_error(expression: str, kind: str):
    with pytest.raises(ConditionNotBoolean) as caught:
        is_true(expression, SCOPE, field="cases[0].when")
    assert (caught.value.kind, caught.value.field) == (kind, "cases[0].when")
    assert caught.value.remedy


def test_items_are_a_bounded_list():
    assert items_of("inputs.files", SCOPE) == ("a.py", "b.py")
    assert items_of("[]", SCOPE) == ()
    assert items_of("{'a': 1}.keys()", SCOPE) == ("a",)
    assert len(items_of("range(1000)", SCOPE)) == 1000
    for expression, limit, reason in [
        ("inputs.mode", 9, "items are a list, and this is a text"),
        ("inputs", 9, "this is an object"),
        ("none", 9, "this is null"),
        ("inputs.files", 1, "there are 2 items; the limit is 1"),
        ("range(1001)", 5000, "the limit is 1000"),
    ]:
        with pytest.raises(InvalidItems) as caught:
            items_of(expression, SCOPE, limit=limit)
        assert reason in caught.value.reason
        assert caught.value.remedy


# --- Texts


def test_templates_give_text():
    assert render("Fix {{ inputs.mode }}:\n{% for f in inputs.files %}- {{ f }}\n{% endfor %}", SCOPE) == (
        "Fix fast:\n- a.py\n- b.py\n"
    )
    assert render("", SCOPE) == ""
    assert render("plain { text }", SCOPE) == "plain { text }"


def test_values_are_never_templates():
    assert render("{{ x }}", {"x": "{{ inputs }}"}) == "{{ inputs }}"


def test_texts_within_values_are_rendered_and_a_lone_placeholder_keeps_its_type():
    value = {
        "files": "{{ inputs.files }}",
        "n": 5,
        "deep": [["{{ inputs.count }} files", "{{inputs.count}}"]],
        "x": None,
    }
    made = rendered(value, SCOPE)
    assert made == {"files": ["a.py", "b.py"], "n": 5, "deep": [["3 files", 3]], "x": None}
    with pytest.raises(MissingName) as caught:
        rendered({"a": [{"b": "x\n{{ nope }}"}]}, SCOPE)
    assert (caught.value.field, caught.value.line) == ("inputs.a[0].b", 2)
    deep = "x"
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ExpressionLimit):
        rendered(deep, SCOPE)


def test_a_template_includes_no_other():
    for text in ('{% include "x" %}', '{% extends "/etc/passwd" %}', '{% import "x" as y %}'):
        with pytest.raises(ExpressionError, match="can include no other"):
            render(text, SCOPE)


# --- Hostile

ESCAPES = [
    "''.__class__",
    "''['__class__']",
    "'' | attr('__class__')",
    "[''] | map(attribute='__class__') | list",
    "inputs.__class__.__mro__",
    "inputs.update({})",
    "inputs.files.append('x')",
    "inputs.files.clear()",
    "inputs.pop('mode')",
    "'{0.__class__}'.format(1)",  # CVE-2016-10745
    "'{a.__class__}'.format_map({'a': 1})",  # CVE-2019-10906
    "['{0.__class__}'.format] | map('string') | list",  # CVE-2024-56326: a method that was stored
    "('{0.__class__.__mro__}' | attr('format'))(1)",  # CVE-2025-27516
    "['{0.__class__}'] | map('attr', 'format') | list",
    "['{0.__class__}'] | map(attribute='format') | first",
    "{'a=1 onload': 1} | xmlattr",  # CVE-2024-22195, CVE-2024-34064
    "'a.b' | urlize",  # CVE-2020-28493
    "cycler.__init__.__globals__",
    "namespace.__init__",
    "joiner('x').__class__",
    "range.__self__",
    "self",
    "lipsum()",
    "dict(a=1)",
    "open('/etc/passwd')",
    "config",
    "'x'.encode()",
    "(5).to_bytes(9, 'big')",
    "'%s' % 1",
    "(1).__class__",
    "true.__class__",
    "none.__class__",
]


@pytest.mark.parametrize("expression", ESCAPES)
def test_nothing_leaves_the_sandbox(expression: str):
    scope = {"inputs": {"mode": "fast", "files": [1]}}
    refused(expression, scope)
    for text in (f"{{{{ {expression} }}}}", f"{{% set f = {expression} %}}{{{{ f | string }}}}"):
        with pytest.raises(ExpressionError):
            render(text, scope)
    assert scope == {"inputs": {"mode": "fast", "files": [1]}}


def test_objects_that_are_not_data_have_no_parts():
    class Secret:
        def __init__(self) -> None:
            self.password = "x"

        def reveal(self) -> str:
            return self.password

    for expression in ("s.password", "s.reveal()", "s['password']", "[s] | map(attribute='password') | list", "s"):
        refused(expression, {"s": Secret()})


BIG = "x" * 1_000_000

BOMBS = [
    "'x' * 10 ** 9",
    "[1] * 10 ** 9",
    "10 ** 10 ** 10",
    "10 ** 99999",
    "(10 ** 3000) * (10 ** 3000)",
    "range(10 ** 9)",
    "range(100000) | list",
    "[range(99999) | list] * 9999",
    "[[[[0] * 999] * 999] * 999]",
    "([[[[[[0] * 99] * 99] * 99] * 99] * 99]) == ([[[[[[0] * 99] * 99] * 99] * 99] * 99])",
    "([[[[[0] * 99] * 99] * 99] * 99]) in [[[[[[0] * 99] * 99] * 99] * 99]]",
    "[[[[[0] * 99] * 99] * 99] * 99, [[[[0] * 99] * 99] * 99] * 99] | sort",
    "[[[[[0] * 99] * 99] * 99] * 99, [[[[0] * 99] * 99] * 99] * 99] | max",
    "((((((0,) * 99,) * 99,) * 99,) * 99,) * 99,) | unique | list",
    "{((((((0,) * 99,) * 99,) * 99,) * 99,) * 99,): 1}",
    "{'a': 1}[((((((0,) * 99,) * 99,) * 99,) * 99,) * 99,)]",
    "{'a': 1}.get(((((((0,) * 99,) * 99,) * 99,) * 99,) * 99,))",
    "((((((0,) * 99,) * 99,) * 99,) * 99,) * 99,) in {'a': 1}",
    "1.5 | round(10 ** 9, 'ceil')",
    "1.5 | round(10 ** 9, 'floor')",
    "('1' * 900000) | int(base=2)",
    "([[1]] * 90000) | sum(start=[])",
    "('a' * 900000).strip('b' * 900000 ~ 'a')",
    "('a' * 900000) | trim('b' * 900000 ~ 'a')",
    "('a' * 900000).rfind('b' ~ 'a' * 400000)",
    "'x' | indent(10 ** 9)",
    "[1] | tojson(10 ** 9)",
    "'x'.ljust(10 ** 9)",
    "'%99999999d' % 1",
    "'{:99999999}'.format(1)",
    " ~ ".join(["(big | upper)"] * 60),
    " + ".join(["(range(90000) | list | length)"] * 60),
    " + ".join(["(range(90000) | sum)"] * 60),
    "(" * 500 + "1" + ")" * 500,
    "[" * 500 + "]" * 500,
    "not " * 1500 + "true",
    "- " * 2000 + "1",
    "1" + " + 1" * 2000,
    "1" + " if true else 1" * 500,
    "inputs" + " | list" * 1000,
]


def bounded(check: Any) -> int:
    """Return how many functions, of Python and of C, a check calls: a measure that no other load changes."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        check()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("expression", BOMBS, ids=lambda text: text[:40])
def test_no_expression_takes_forever_or_all_memory(expression: str):
    told: list[str] = []

    def check() -> None:
        try:
            value = evaluate(expression, {"inputs": [1], "big": BIG})
        except ExpressionError as error:
            told.append(str(error))
        else:
            told.append(str(value))

    assert bounded(check) < 10_000_000
    assert 0 < len(told[0]) < 2_000_000


def test_the_work_of_loops_in_texts_is_bounded():
    doubled = "{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% set ns.m = [ns.m, ns.m] %}{% endfor %}"
    for text in (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(50000) %}{% if 'y' in big %}{% endif %}{% endfor %}",
        "{% for a in range(50000) %}{{ big.count('y') }}{% endfor %}",
        "{% for a in range(50000) %}{% set x = big ~ 'y' %}{% endfor %}",
        "{% for a in range(50000) %}{% set x = big[1:] %}{% endfor %}",
        "{% for a in range(50000) %}{% if many == other %}{% endif %}{% endfor %}",
        "{% for a in range(50000) %}{% if -1 in many %}{% endif %}{% endfor %}",
        "{% for a in range(50000) %}{% set x = many | sort %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
        "{% set ns = namespace(l=[1], m=[1]) %}" + doubled + "{{ ns.l == ns.m }}",
    ):
        scope = {"big": BIG, "many": [*range(10_000)], "other": [*range(10_000)]}

        def check(text: str = text, scope: dict[str, Any] = scope) -> None:
            with pytest.raises(ExpressionLimit):
                render(text, scope)

        assert bounded(check) < 10_000_000


def test_sizes_are_bounded():
    assert evaluate("'" + "x" * (EXPRESSION_LIMIT - 2) + "'", {})
    for text, reason in (("x" * (EXPRESSION_LIMIT + 1), "8192"), ("ä" * (EXPRESSION_LIMIT // 2 + 1), "8192")):
        with pytest.raises(ExpressionLimit, match=reason):
            evaluate(text, {})
    assert render("x" * TEMPLATE_LIMIT, {}) == "x" * TEMPLATE_LIMIT
    with pytest.raises(ExpressionLimit, match="65536"):
        render("x" * (TEMPLATE_LIMIT + 1), {})
    with pytest.raises(ExpressionLimit, match="1048576 bytes"):
        render("{{ big }}{{ big }}", {"big": BIG})
    with pytest.raises(ExpressionLimit, match="1048576 bytes"):
        evaluate("[big, big]", {"big": BIG})
    with pytest.raises(ExpressionLimit, match="64 deep"):
        evaluate("[" * 65 + "]" * 65, {})


def test_a_limit_reached_once_does_not_count_for_the_next_one():
    for _ in range(5):
        with pytest.raises(ExpressionLimit):
            evaluate("[range(90000) | list] * 9", {})
        assert evaluate("range(50) | list | length", {}) == 50


def test_threads_do_not_count_for_one_another():
    wrong: list[object] = []

    def work(number: int) -> None:
        for turn in range(50):
            got = evaluate(f"range({number + 5}) | list | length + {turn % 7}", {})
            if got != number + 5 + turn % 7:
                wrong.append(got)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- Any expression

NAMES = st.sampled_from(
    ["inputs", "context", "x", "inputs.files", "inputs.count", "inputs.mode", "nope", "big", "range(9)"]
)
CONSTANTS = st.sampled_from(
    ["0", "1", "-1", "99999", "1.5", "1e300", "''", "'a'", "'ä' * 999", "none", "true", "[]", "{}"]
)
_FILTERS = """
    abs capitalize count default dictsort first float groupby('a') indent(9) int items join last list lower map('upper')
    max min reject replace('a','b') reverse round(99) select sort string sum title tojson trim truncate(9) unique upper
    wordcount map(attribute='a') selectattr('a') sum(start=[]) attr('__class__')
"""
FILTERS = st.sampled_from(_FILTERS.split())
_OPERATORS = "+ - * / // % ** ~ == != < <= and or in"
METHODS = st.sampled_from(
    ["upper()", "split('a')", "get('a')", "items()", "keys()", "append(1)", "__class__", "format(1)", "count('a')", "a"]
)


def wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from([*_OPERATORS.split(), "not in"])
    return st.one_of(
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds("({} | {})".format, inner, FILTERS),
        st.builds("({}).{}".format, inner, METHODS),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({})[{}:]".format, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("({},)".format, inner),
        st.builds("{{{}: {}}}".format, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("(not {})".format, inner),
        st.builds("({} is {})".format, inner, st.sampled_from(["defined", "mapping", "in [1]", "eq(1)", "sameas(1)"])),
    )


EXPRESSIONS = st.recursive(NAMES | CONSTANTS, wider, max_leaves=12)


@settings(deadline=None)
@given(EXPRESSIONS)
def test_any_expression_has_a_value_or_a_typed_error_in_bounded_work(expression: str):
    scope = {**SCOPE, "x": [{"a": 1}, {"a": 2}], "big": "ab" * 50_000}
    lines = [1]

    def check() -> None:
        try:
            value = evaluate(expression, scope)
        except ExpressionError as error:
            lines.append(error.line)
        else:
            assert evaluate(expression, scope) == value
            assert value is None or isinstance(value, bool | int | float | str | list | dict)

    assert bounded(check) < 10_000_000


@settings(deadline=None)
@given(st.text(st.sampled_from("{}%#[]()|.,:+-*/~'\"\\ \nabinxels0123ä\x00\ud800if"), max_size=40))
def test_any_text_is_an_expression_and_a_template_or_a_typed_error(text: str):
    for use in (evaluate, render, rendered, names_read, lambda text, _: names_read(text, template=True)):
        try:
            use(text, SCOPE) if use is not names_read else use(text)
        except ExpressionError:
            continue


# --- What is read


def test_what_an_expression_reads_is_known_without_evaluation():
    reads = names_read("steps.plan.output.files[0].name == inputs.mode and item.title | length > 2")
    assert {read.path for read in reads.all} == {
        ("steps", "plan", "output", "files", 0, "name"),
        ("inputs", "mode"),
        ("item", "title"),
    }
    assert dict(reads.names) == {"steps": 1, "inputs": 1, "item": 1}
    assert dict(reads.steps) == dict(reads.outputs) == {"plan": 1}
    assert dict(reads.inputs) == {"mode": 1}
    assert reads.dynamic is None


def test_what_a_template_reads_has_its_line_and_not_its_own_names():
    text = "{% set x = 1 %}\n{% for f in steps['plan'].output %}\n{{ f }}{{ x }}{{ inputs.mode }}\n{% endfor %}"
    text += "{{ nope() }}"
    reads = names_read(text, template=True)
    assert dict(reads.names) == {"steps": 2, "inputs": 3, "nope": 4}
    assert dict(reads.outputs) == {"plan": 2}


@pytest.mark.parametrize(
    ("expression", "outputs"),
    [
        ("steps.a.output | default(1)", set()),
        ("steps.a.output.x | default(1)", set()),
        ("steps.a.output is defined and steps.a.output.x", set()),
        ("steps.a.status == 'completed' and steps.a.output.x", set()),
        ("steps.a.status == 'completed' and steps.b.output.x", {"b"}),
        ("(steps.a.output | upper) | default(1)", set()),
        ("[steps.a.output] | default(1)", {"a"}),
        ("steps.a.output.split(steps.b.output)", {"a", "b"}),
        ("steps.a.attempts > 1", set()),
        ("inputs.x | default(steps.a.output)", {"a"}),
    ],
)
def test_outputs_that_have_to_be_there_are_told_from_those_that_may_be_missing(expression: str, outputs: set[str]):
    assert set(names_read(expression).outputs) == outputs


def test_a_step_that_only_evaluation_names_is_said():
    assert names_read("1 == 1 and\nsteps[inputs.which].output").dynamic == 2
    assert names_read("steps['a'].output").dynamic is None


def test_what_is_no_expression_is_refused_with_its_line():
    for text, template, line in (("1 +", False, 1), ("a\n{{ x | nope }}", True, 2), ("a\n{% if %}", True, 2)):
        with pytest.raises(ExpressionError) as caught:
            names_read(text, template=template, field="run", step="build")
        assert (caught.value.line, caught.value.field, caught.value.step) == (line, "run", "build")
