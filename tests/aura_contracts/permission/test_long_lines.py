"""Lines that an agent may write to keep AURA busy: each takes no longer than a line of that length has to."""

import time

import pytest

from aura_contracts.approval import ToolCall
from aura_contracts.permission import COMMAND_LIMIT, PermissionRules, Places, Ruling, judge, paths_in

RULES = PermissionRules(
    allow=("Bash(git *)",),
    deny=(
        "Bash(rm *-rf*)",
        "Bash(git push *--force*)",
        "Bash(*sudo*)",
        "Read(**/.env)",
        "Read(~/.ssh/*)",
        "Edit(a/*b/*)",
    ),
)


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "(",
            "$(",
            "`",
            "'",
            '"',
            "\\",
            "{",
            "((",
            "$((1",
            "${a:",
            "$'",
            "a ",
            "rm ",
            "sudo rm ",
            "sh ",
            "A=b ",
            "$X ",
        ),
        *(
            "a;",
            "a\n",
            "<<E ",
            "<<E\n",
            "cat <<E\nx\nE\n",
            ">f ",
            "cd a;",
            "cd a b ",
            "xargs ",
            "eval 'a b' ",
            "sh -c 'x y';",
        ),
        *(" ", "' ' ", "a=b:c,d@e ", "*", "a/", "../", "?", "rm -r ", "git -C x ", "é", "#", "&", "env env ", "{a,b}"),
    ],
)
@pytest.mark.parametrize("before", ["", *(pytest.param(one, marks=pytest.mark.deep) for one in ("sudo ", "git log "))])
def test_a_long_line_takes_a_bounded_time(before, piece):
    line = (before + piece * COMMAND_LIMIT)[:COMMAND_LIMIT]
    call = ToolCall("Bash", "f", {"command": line})
    began = time.process_time()
    paths_in(call.arguments)
    verdict = judge(RULES, call, Places(folder="/app", home="/users/ann"))
    assert time.process_time() - began < 10
    assert verdict.verdict in (Ruling.ASKED, Ruling.REFUSED, Ruling.ALLOWED)
