"""Tallies: nothing is told twice or left out, and memory has a bound."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.notification import MessageItem
from aura_engine.notification.kinds import NoticeKind
from aura_engine.notification.notices import Notice
from aura_engine.notification.waiting_notices import KEPT, Meter, WaitingNotices

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def notice(number: int, kind: NoticeKind = NoticeKind.ASKED) -> Notice:
    item = MessageItem(key=f"event-{number}", kind=kind, subject=f"number {number}", time=NOON, about="x")
    return Notice(kind, number, item, "text", ("ann",))


def test_a_storm_is_one_message_with_its_numbers() -> None:
    tally = WaitingNotices()
    for number in range(1, 10_001):
        tally.add(notice(number, NoticeKind.FAILED if number % 10 == 0 else NoticeKind.ASKED))
    assert (len(tally), len(tally.notices)) == (10_000, KEPT)
    message, positions = tally.take("mail", "ann", together=False)
    assert (message.kind, message.count, positions) == ("digest", 10_000, {"asked": 9_999, "failed": 10_000})
    assert message.subject == "10000 notifications: 9000 asked, 1000 failed"
    assert message.text.endswith("and 9980 more\n")
    assert len(tally) == 0


@given(st.lists(st.one_of(st.none(), st.booleans()), max_size=80))
def test_every_notice_is_told_once_in_order(moves: list[bool | None]) -> None:
    """None adds a notice; a bool takes a message, together or not."""
    tally, added, told, keys = WaitingNotices(), 0, 0, set()
    for move in [*moves, True]:
        if move is None:
            added += 1
            tally.add(notice(added))
        elif len(tally):
            message, positions = tally.take("mail", "ann", together=move)
            position = positions[NoticeKind.ASKED]
            assert position == told + message.count
            told = position
            keys.add(message.key)
            assert message.count > 1 or message.items[0].key == f"event-{position}"
        assert len(tally.notices) == min(len(tally), KEPT)
    assert told == added
    assert len(keys) == len(set(keys))


def test_a_key_is_of_one_message_to_one_person_by_one_channel() -> None:
    def key(channel: str, recipient: str, *numbers: int) -> str:
        tally = WaitingNotices()
        for number in numbers:
            tally.add(notice(number))
        return tally.take(channel, recipient, together=True)[0].key

    different = [key("mail", "ann", 1), key("mail", "bob", 1), key("team", "ann", 1), key("mail", "ann", 1, 2)]
    assert len(set(different)) == 4
    assert key("mail", "ann", 1) == key("mail", "ann", 1)


def test_a_meter_counts_a_minute() -> None:
    meter = Meter(2)
    meter.note(0.0)
    assert meter.room(1.0) == 1
    meter.note(1.0)
    assert [meter.room(second) for second in (59.9, 60.0, 61.0)] == [0, 1, 2]
