"""Tables on a terminal: they fit, ids stay usable, and nothing is cut that there is room for."""

from io import StringIO
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from aura_cli.rendering.terminal import Terminal, fitted
from aura_contracts.quoting import width_of as width_of_text

IDS = st.uuids(version=4).map(str)


def width_of(rows, titles):
    columns = zip(titles, *rows, strict=True)
    return sum(max(map(len, column)) for column in columns) + 2 * (len(titles) - 1)


@given(
    st.lists(
        st.tuples(IDS, st.sampled_from(["pending", "awaiting_approval"]), st.text(max_size=100)),
        min_size=1,
        max_size=20,
    )
)
def test_a_table_fits_in_80_columns(rows):
    titles = ("id", "status", "title")
    shown = fitted(rows, titles, 80)
    assert width_of(shown, titles) <= 80
    for row, original in zip(shown, rows, strict=True):
        for text, whole in zip(row, original, strict=True):
            assert whole.startswith(text.removesuffix("…"))
    assert len({row[0] for row in shown}) == len({row[0] for row in rows})


def test_a_table_with_many_columns_fits_as_well():
    titles = ("id", "status", "kind", "repository", "title", "asked (UTC)", "waits for", "about")
    row = (str(UUID(int=7)), "pending", "changes", "shop", "x" * 60, "2026-11-29 19:32", "alice", "1 file changed")
    shown = fitted([titles, row], titles, 80)
    assert width_of(shown[1:], shown[0]) <= 80


def test_what_fits_is_shown_as_it_is():
    rows = [["0192f0c1-2d3e-7abc-8def-0123456789ab", "pending", "short"]]
    assert fitted(rows, ("id", "status", "title"), 80) == rows


def test_columns_stay_in_line_beside_wide_characters():
    out = StringIO()
    rows = [("漢字漢字", "a"), ("e\u0301", "b"), ("\u202eevil\n", "c")]
    Terminal(out, StringIO()).table(rows, ("title", "x"), lambda row: row)
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    assert len({width_of_text(line[:-1]) for line in lines}) == 1
    assert fitted([["漢字" * 40]], ("title",), 20) == [["漢字漢字漢字漢字漢…"]]


def test_ids_are_shortened_before_texts():
    ids = ["0192f0c1-2d3e-7abc-8def-0123456789ab", "0192f0c1-2d3e-7abd-8def-0123456789ab"]
    shown = fitted([[one, "x" * 60] for one in ids], ("id", "title"), 80)
    assert shown == [["0192f0c1-2d3e-7abc", "x" * 60], ["0192f0c1-2d3e-7abd", "x" * 60]]
