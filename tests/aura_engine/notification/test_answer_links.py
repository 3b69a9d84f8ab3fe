"""Links in messages: a recipient answers from where they read; nothing that is kept could do so."""

import json
import re
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from aura_contracts.approval import ApprovalStatus
from aura_contracts.errors import AlreadyAnswered, LinkRefused
from aura_engine import Host, LinkStatus
from notify_bench import Bench, ask, fail
from notify_servers import http_server, mail_server

pytestmark = pytest.mark.anyio

BASE = "https://aura.example.org/team"
URL = re.compile(re.escape(BASE) + r"/links/[\w.-]+")


class LinkedBench(Bench):
    """With pages at BASE."""

    def engine(self, **options: Any) -> Any:
        environment = {"AURA_BASE_URL": BASE, "PATH": "/usr/bin:/bin"}
        return super().engine(**{"host": Host(clock=lambda: self.now, environment=environment), **options})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return LinkedBench(tmp_path)


def links_in(envelope: Any) -> list[str]:
    """Return the links in a mail, which are the same in its text and its page."""
    mail = message_from_bytes(envelope.content, policy=policy.default)
    plain, page = (URL.findall(part.get_content()) for part in mail.iter_parts())  # type: ignore[attr-defined]
    assert set(plain) == set(page)
    return plain


def require_kept_nowhere(bench: Bench, url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Look at every byte of the store and of the log: a link's token, without its key, is of no use to anyone."""
    signature = url.rpartition(".")[2]
    assert len(signature) > 40
    files = [path for path in bench.folder.rglob("*") if path.is_file() and not path.is_relative_to(bench.home)]
    assert any(path.name == "aura.db" for path in files)
    for path in files:
        assert signature.encode() not in path.read_bytes(), path
    said = [one.getMessage() for one in caplog.records if one.name != "mail.log"]  # that of the mail server
    assert signature not in "".join(said)


async def test_a_mail_has_a_link_that_answers_for_its_recipient_once_and_only_if_asked(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with mail_server() as mailbox:
        bench.settings(
            f"channels: {{mail: {{smtp: {{host: localhost, port: {mailbox.port}, security: none, from: a@b.org}}}}}}\n"
            "people:\n  ann: {channels: {mail: ann@example.org}}\n"
            "  eve: {channels: {mail: eve@example.org}, watches: true}\n"
        )
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            ident = await ask(engine, "ann")
            await fail(engine, "nothing to answer")
            await engine.notifications.deliver()
            found = {one.rcpt_tos[0]: links_in(one) for one in mailbox.envelopes if links_in(one)}
            assert list(found) == ["ann@example.org"]  # who watches does not answer
            (url,) = found["ann@example.org"]
            (issued,) = await engine.links.list(ident)
            assert (issued.reviewer, issued.seat, issued.address) == ("ann", "ann", "channel mail")
            page = await engine.links.page(url)
            assert await engine.links.page(url) == page  # as programs do that scan mail
            assert (await engine.approvals.get(ident)).status is ApprovalStatus.PENDING
            with pytest.raises(LinkRefused):
                await engine.links.answer(url, url.rpartition("/")[2], "approved")
            answered = await engine.links.answer(url, page.form, "approved")
            assert (answered.status, answered.reviewed_by) == (ApprovalStatus.APPROVED, "human:ann")
            with pytest.raises(AlreadyAnswered):
                await engine.links.answer(url, page.form, "rejected", "no")
            assert [one.status for one in await engine.links.list(ident)] == [LinkStatus.USED]
            assert len(await engine.links.list()) == 0
    require_kept_nowhere(bench, url, caplog)


async def test_each_attempt_has_the_same_link_and_what_the_receiver_repeats_of_it_is_kept_nowhere(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with http_server() as server:
        hook = f"webhook: {{url: '{server.url}', private: true}}"
        bench.settings(f"channels: {{hook: {{{hook}, links: true}}}}\npeople: {{ann: {{channels: {{hook: }}}}}}")
        server.answers = [(503, {}, b"later")]
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            ident = await ask(engine, "ann")
            await engine.notifications.deliver()
            (url,) = URL.findall(json.loads(server.received[0].body)["data"]["text"])
        server.answers = [(500, {}, f"cannot take {url}".encode())]
        for hours in (1, 24):
            bench.now += timedelta(hours=hours)
            async with bench.engine() as engine:
                await engine.notifications.deliver()
        async with bench.engine() as engine:
            (dead,) = await engine.notifications.list()
            assert (dead.status, "cannot take" in dead.reason) == ("dead", True)
            assert len((await engine.approvals.get(ident)).links) == 1
        assert [URL.findall(json.loads(one.body)["data"]["text"]) for one in server.received] == [[url]] * 3
    assert URL.search(dead.reason) is None
    require_kept_nowhere(bench, url, caplog)


async def test_a_digest_has_the_links_of_all_that_still_wait(bench: Bench) -> None:
    with mail_server() as mailbox:
        bench.settings(
            f"channels: {{mail: {{smtp: {{host: localhost, port: {mailbox.port}, security: none, from: a@b.org}}}}}}\n"
            "people: {alice: {channels: {mail: alice@example.org}, kinds: {asked: digest}}}"
        )
        async with bench.engine() as engine:
            await engine.notifications.deliver()
            asked = [await ask(engine, "alice") for _ in range(3)]
            await engine.notifications.deliver()
            await engine.approvals.approve(asked[1])
            bench.now += timedelta(days=1)
            await engine.notifications.deliver()
            (envelope,) = mailbox.envelopes
            pages = [await engine.links.page(url) for url in links_in(envelope)]
    assert [page.approval_id for page in pages] == [asked[0], asked[2]]


@pytest.mark.parametrize(
    ("links", "environment"),
    [("", {"AURA_BASE_URL": BASE}), (", links: true", {}), (", links: true", {"AURA_BASE_URL": "http://example.org"})],
    ids=["a channel that others read", "no base URL", "one that is refused"],
)
async def test_without_a_place_or_where_others_read_a_message_has_no_link(
    bench: Bench, links: str, environment: dict[str, str]
) -> None:
    with http_server() as server:
        hook = f"webhook: {{url: '{server.url}', private: true}}{links}"
        bench.settings(f"channels: {{hook: {{{hook}}}}}\npeople: {{ann: {{channels: {{hook: }}}}}}")
        host = Host(clock=lambda: bench.now, environment={"PATH": "/usr/bin:/bin", **environment})
        async with bench.engine(host=host) as engine:
            await engine.notifications.deliver()
            ident = await ask(engine, "ann")
            await engine.notifications.deliver()
            assert (await engine.approvals.get(ident)).links == ()
        (received,) = server.received
    assert "http" not in json.loads(received.body)["data"]["text"]
