"""The settings file: what it says, and every fault with its place."""

from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from aura_contracts.errors import InvalidFile
from aura_engine.notification.kinds import NoticeKind, Pace
from aura_engine.notification.settings import NotificationSettings, PersonSettings, Route, load_settings, read_settings

GOOD = """\
channels:
  mail:
    smtp: {host: mail.example.org, from: aura@example.org, login: aura, password: env:MAIL_PASSWORD}
    timeout: 10s
  team:
    slack: {url: env:SLACK_URL}
    per_minute: 2
  hook: {webhook: {url: https://example.org/hook, secret: [file:old, env:NEW], private: true}}
  log: {file: {path: told.jsonl}}
  here: {terminal: {}}
  desk: {desktop: {}}
  phone: {apprise: {urls: env:PHONE}}
people:
  ann:
    channels:
      mail: ann@example.org
      team:
      log: {kinds: [failed, stuck]}
    kinds: {reminder: digest, failed: always, expired: off}
    zone: Europe/Berlin
    quiet: {from: "22:00", to: "07:00"}
    digest: "08:30"
    operator: true
  bob: {channels: {here: }, watches: true}
"""


def faults(text: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidFile) as refused:
        read_settings(text.encode(), "n.yaml")
    return [(f"{fault.line}:{fault.column} {fault.code}", fault.message) for fault in refused.value.faults]


def test_a_file_says_who_is_told_what_where_and_when() -> None:
    found = read_settings(GOOD.encode(), "n.yaml")
    assert {name: channel.kind for name, channel in found.channels.items()} == {
        "mail": "smtp",
        "team": "slack",
        "hook": "webhook",
        "log": "file",
        "here": "terminal",
        "desk": "desktop",
        "phone": "apprise",
    }
    assert (found.channels["mail"].timeout, found.channels["team"].per_minute) == (10.0, 2)
    ann = found.people["ann"]
    assert ann.routes == [
        Route("mail", "ann@example.org"),
        Route("team"),
        Route("log", kinds=frozenset({NoticeKind.FAILED, NoticeKind.STUCK})),
    ]
    paces = [
        ann.pace(kind)
        for kind in (NoticeKind.REMINDER, NoticeKind.FAILED, NoticeKind.EXPIRED, NoticeKind.ASKED, NoticeKind.OUTAGE)
    ]
    assert paces == [Pace.DIGEST, Pace.ALWAYS, Pace.OFF, Pace.NOW, Pace.ALWAYS]
    assert (ann.zone, ann.quiet, ann.digest_at) == ("Europe/Berlin", (time(22), time(7)), time(8, 30))


PLAIN = "from: a@b.c, login: x, security: none, password: env:PASSWORD"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "'::1'"])
def test_a_password_may_reach_this_machine_unencrypted(host: str) -> None:
    text = f"channels: {{a: {{smtp: {{host: {host}, {PLAIN}}}}}}}"
    assert list(read_settings(text.encode(), "n.yaml").channels) == ["a"]
    without = "channels: {a: {smtp: {host: mail.example.org, from: a@b.c, security: none}}}"
    assert list(read_settings(without.encode(), "n.yaml").channels) == ["a"]


@pytest.mark.parametrize(
    ("host", "more", "links"),
    [
        ("mail.example.org", "", True),
        ("mail.example.org", ", security: tls", True),
        ("mail.example.org", ", security: tls, links: false", False),
        ("mail.example.org", ", security: none", False),
        ("192.0.2.7", ", security: none, links: false", False),
        ("localhost", ", security: none", True),
        ("127.0.0.1", ", security: none, links: true", True),
    ],
)
def test_a_mail_that_others_can_read_on_the_way_has_no_links(host: str, more: str, links: bool) -> None:
    security, _, said = more.partition(", links")
    text = f"channels: {{a: {{smtp: {{host: {host}, from: a@b.c{security}}}{said and ', links'}{said}}}}}"
    assert read_settings(text.encode(), "n.yaml").channels["a"].links is links


def test_a_channel_named_twice_is_said_with_line_and_column() -> None:
    text = "channels:\n  team: {terminal: {}}\n  log: {file: {path: a}}\n  team: {desktop: {}}\n"
    assert faults(text) == [("4:3 duplicate_key", "the key 'team' is there already, in line 2")]


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("channels: {a: {slack: {url: https://hooks.example.org/T0/SECRET}}}", "1:29 secret", "env:NAME"),
        ("channels: {a: {smtp: {host: h, from: a@b.c, login: x, password: hunter2}}}", "1:65 secret", "env:NAME"),
        ("channels: {a: {webhook: {url: 'https://u:pw@example.org/'}}}", "1:31 secret", "password"),
        ("channels: {a: {webhook: {url: 'ftp://example.org/'}}}", "1:31 address", "https://"),
        ("channels: {a: {webhook: {url: 'https://[::1'}}}", "1:31 address", "https://"),
        ("channels: {a: {smtp: {host: h, from: nobody}}}", "1:38 address", "e-mail address"),
        ("channels: {a: {smtp: {host: h, from: a@b.c, login: x}}}", "1:45 contradiction", "belong together"),
        (f"channels: {{a: {{smtp: {{host: mail.example.org, {PLAIN}}}}}}}", "1:80 secret", "use starttls or tls"),
        (f"channels: {{a: {{smtp: {{host: 192.0.2.7, {PLAIN}}}}}}}", "1:73 secret", "use starttls or tls"),
        ("channels: {a: {smtp: {host: h}}}", "1:22 missing_key", "'from'"),
        ("channels: {a: {}}", "1:12 channel_kind", "this has none"),
        ("channels: {a: {file: {path: x}, desktop: {}}}", "1:12 channel_kind", "file and desktop"),
        ("channels: {a: {fiel: {path: x}}}", "1:16 unknown_key", "did you mean 'file'?"),
        ("channels: {a: {file: {paht: x}}}", "1:23 unknown_key", "did you mean 'path'?"),
        ("channels: {a b: {terminal: {}}}", "1:17 wrong_type", "the text is blank"),
        ("channels: {a: {terminal: {}, timeout: 3}}", "1:39 duration", "a number and a unit"),
        ("channels: {a: {terminal: {}, links: true}}", "1:37 secret", "only smtp, webhook, slack, apprise"),
        (
            "channels: {a: {smtp: {host: mail.example.org, from: a@b.c, security: none}, links: true}}",
            "1:84 secret",
            "use starttls or tls",
        ),
        ("chanels: {}", "1:1 unknown_key", "did you mean 'channels'?"),
        ("people: {ann: {channels: {team: }}}", "1:27 unknown_channel", "there is no channel 'team'"),
        ("people: {ann: {chanels: {}}}", "1:16 unknown_key", "did you mean 'channels'?"),
        ("people: {'agent:1': {channels: {}}}", "1:10 person", ""),
        ("people: {ann: {channels: {}, zone: Europe/Atlantis}}", "1:36 zone", "there is no time zone"),
        ("people: {ann: {channels: {}, quiet: {from: '9', to: '10:00'}}}", "1:44 time", "as in 09:30"),
        ("people: {ann: {channels: {}, quiet: {from: '09:00', to: '09:00'}}}", "1:30 contradiction", "different times"),
        ("people: {ann: {channels: {}, kinds: {askd: now}}}", "", "did you mean 'asked'?"),
        ("people: {ann: {channels: {}, kinds: {asked: soon}}}", "1:45 unknown_word", "now, always, digest, off"),
        ("channels: {m: {desktop: {}}}\npeople: {ann: {channels: {m: a@b.c}}}", "2:30 address", "leads to one place"),
        ("channels: {m: {smtp: {host: h, from: a@b.c}}}\npeople: {a: {channels: {m: }}}", "2:25 address", "write the"),
        ("- 1", "1:1 wrong_type", ""),
    ],
)
def test_each_fault_is_said_where_it_is_without_secrets(text: str, place: str, says: str) -> None:
    found = faults(text)
    assert any(one.startswith(place) and says in message for one, message in found), found
    assert not any(secret in message for _, message in found for secret in ("SECRET", "hunter2", "u:pw"))


def test_without_a_file_no_one_is_told_and_one_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == NotificationSettings()
    assert read_settings(b"", "n.yaml") == NotificationSettings()
    (tmp_path / "notifications.yaml").mkdir()
    with pytest.raises(InvalidFile, match="directory"):
        load_settings(tmp_path)


def berlin(**fields: object) -> PersonSettings:
    return PersonSettings(name="ann", routes=[], zone="Europe/Berlin", **fields)  # type: ignore[arg-type]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-01-10 20:59", None),
        ("2026-01-10 21:00", "2026-01-11 06:00"),
        ("2026-01-11 05:59", "2026-01-11 06:00"),
        ("2026-01-11 06:00", None),
        ("2026-03-28 22:00", "2026-03-29 05:00"),  # the night that is an hour shorter
        ("2026-10-24 21:00", "2026-10-25 06:00"),  # and the one that is longer
    ],
)
def test_quiet_hours_are_those_of_the_person(now: str, until: str | None) -> None:
    ann = berlin(quiet=(time(22), time(7)))
    assert ann.held_until(Pace.NOW, at(now)) == (None if until is None else at(until))
    assert ann.held_until(Pace.ALWAYS, at(now)) is None


def test_quiet_hours_within_a_day_and_across_a_gap() -> None:
    assert berlin(quiet=(time(12), time(13))).held_until(Pace.NOW, at("2026-01-10 11:30")) == at("2026-01-10 12:00")
    ends_in_the_gap = berlin(quiet=(time(1), time(2, 30)))
    assert ends_in_the_gap.held_until(Pace.NOW, at("2026-03-29 00:30")) == at("2026-03-29 01:30")


def test_a_digest_is_due_once_a_day_in_every_zone_and_season() -> None:
    ann = berlin(digest_at=time(8))
    assert ann.digest_after(at("2026-03-28 07:00")) == at("2026-03-29 06:00")
    assert ann.digest_after(at("2026-10-24 06:30")) == at("2026-10-25 07:00")
    assert ann.digest_after(at("2026-01-10 06:59")) == at("2026-01-10 07:00")
