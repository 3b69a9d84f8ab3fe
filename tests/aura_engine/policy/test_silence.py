"""Silence: who is refused, because a policy about tool calls could not be kept."""

import pytest

from aura_contracts.approval import PolicyRef
from aura_contracts.errors import InvalidInput
from aura_engine.policy.policy_file import read_policy
from aura_engine.policy.rulebook import Policy, Rulebook
from aura_engine.policy.silence import require_asking

TEXT = "rules:\n  - never: push\n    when: {commands: 'git push *', executor: [custom]}\n"
GUARDED = Rulebook((read_policy(TEXT.encode(), "p.yaml").require("p.yaml"),))
BROKEN = Rulebook((Policy(PolicyRef("p.yaml"), broken="it has faults"),))


@pytest.mark.parametrize(
    ("book", "executor", "asks", "silencing", "refused"),
    [
        (GUARDED, "custom", False, None, "executor custom asks .* 'push' of p.yaml"),
        (GUARDED, "custom", True, "yolo", "option yolo .* 'push' of p.yaml"),
        (GUARDED, "custom", True, None, None),
        (GUARDED, "scripted", False, None, None),
        (BROKEN, "scripted", False, None, "the rules of p.yaml, which cannot be read"),
        (BROKEN, "scripted", True, None, None),
        (Rulebook(), "custom", False, None, None),
    ],
)
def test_who_asks_for_nothing_is_refused_where_a_policy_speaks_of_its_calls(book, executor, asks, silencing, refused):
    if refused is None:
        require_asking(book, executor, asks=asks, silencing=silencing)
        return
    with pytest.raises(InvalidInput, match=refused):
        require_asking(book, executor, asks=asks, silencing=silencing)
