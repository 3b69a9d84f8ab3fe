"""What agents say in their protocol, told to a human who watches."""

from aura_cli.streaming.entry_text import words_of
from aura_cli.streaming.lines import PIECE, TextLines
from aura_contracts.output import OutputSource

OUT, ERR = OutputSource.STDOUT, OutputSource.STDERR


def hiding():
    lines = TextLines()
    lines.hides_protocol = True
    return lines


def test_lines_of_a_protocol_are_left_out_and_all_others_shown():
    lines = hiding()
    shown = lines.take(OUT, b'{"type":"x"}\nplain\n{"a"') + lines.take(ERR, b'{"an": "error"}\n')
    shown += lines.take(OUT, b":1}\nmore\n") + lines.end()
    assert shown == b'[stdout] plain\n[stderr] {"an": "error"}\n[stdout] more\n'


def test_a_long_line_of_a_protocol_is_left_out_to_its_end():
    lines = hiding()
    shown = lines.take(OUT, b"{" + b"x" * PIECE) + lines.take(OUT, b"y" * PIECE * 2) + lines.take(OUT, b"z\nplain\n")
    assert shown == b"[stdout] plain\n"


def test_a_long_plain_line_is_shown_in_pieces():
    lines = hiding()
    text = b"x" * PIECE * 2
    assert lines.take(OUT, text) + lines.take(OUT, b"{\n") == b"[stdout] " + text + b"{\n"


def test_entries_are_told_in_few_words():
    told = [
        {"type": "message", "text": "I shall add a test"},
        {"type": "tool_call", "tool": "Bash", "arguments": {"command": "make\n test"}},
        {"type": "tool_call", "tool": "Think", "arguments": {}},
        {"type": "tool_result", "message": "no such file"},
        {"type": "tool_result"},
        {"type": "error", "message": "overloaded", "retrying": True},
        {"type": "plan", "steps": [{"text": "read", "status": "completed"}, {"text": "write", "status": "pending"}]},
        {"type": "thinking", "text": "hm"},
        None,
    ]
    assert [words for entry in told for words in words_of(entry)] == [
        "I shall add a test",
        "uses Bash: make test",
        "uses Think",
        "failed: no such file",
        "error: overloaded",
        "plan: [x] read",
        "plan: [ ] write",
    ]
