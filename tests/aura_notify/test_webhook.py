"""Webhooks: what a receiver verifies, and receivers that misbehave."""

import json
import socket
from base64 import b64encode
from datetime import UTC, datetime

import anyio
import pytest
from standardwebhooks import Webhook

from aura_contracts.errors import DeliveryFailed, DeliveryRefused
from aura_contracts.notification import OutgoingMessage
from aura_notify import SlackChannel, WebhookChannel
from aura_notify.http import HttpAnswer, HttpSender, is_public
from notify_servers import Certificates, HttpServer, happens, http_server, raw_server

pytestmark = pytest.mark.anyio

OLD, NEW = ("whsec_" + b64encode(bytes([letter]) * 24).decode() for letter in b"ab")


def now() -> datetime:
    return datetime.now(UTC)


def hook(server: HttpServer, *secrets: str, private: bool = True, ca: str | None = None) -> WebhookChannel:
    return WebhookChannel(HttpSender("hook", server.url, private=private, ca=ca), now, secrets)


async def test_the_library_of_standard_webhooks_verifies_each_secret(message: OutgoingMessage) -> None:
    with http_server() as server:
        await hook(server, OLD, NEW).send(message)
        (found,) = server.received
    for secret in (OLD, NEW):
        told = Webhook(secret).verify(found.body, found.headers)
        assert told["type"] == "aura.asked"
        assert OutgoingMessage.from_dict(told["data"]) == message
    assert found.headers["webhook-id"] == message.key
    with pytest.raises(Exception, match="No matching signature"):
        Webhook("whsec_" + b64encode(b"c" * 24).decode()).verify(found.body, found.headers)


async def test_each_attempt_sends_the_same_bytes_under_the_same_id(message: OutgoingMessage) -> None:
    with http_server() as server:
        server.answers = [(503, {"Retry-After": "7"}, b"later"), (204, {}, b"")]
        with pytest.raises(DeliveryFailed) as failed:
            await hook(server, OLD).send(message)
        assert failed.value.retry_after == 7
        assert not isinstance(failed.value, DeliveryRefused)
        await hook(server, OLD).send(message)
        first, second = server.received
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])


@pytest.mark.parametrize("status", [301, 302, 303, 400, 401, 404, 410])
async def test_what_no_other_attempt_changes_is_refused(status: int, message: OutgoingMessage) -> None:
    with http_server() as server:
        server.answers = [(status, {"Location": "/elsewhere"}, b"go\x1b[2Kaway")]
        with pytest.raises(DeliveryRefused, match=str(status)) as refused:
            await hook(server).send(message)
        assert len(server.received) == 1
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599])
async def test_what_may_pass_is_tried_again(status: int, message: OutgoingMessage) -> None:
    with http_server() as server:
        server.answers = [(status, {"Retry-After": "120"}, b"")]
        with pytest.raises(DeliveryFailed) as failed:
            await hook(server).send(message)
    assert (type(failed.value), failed.value.retry_after) == (DeliveryFailed, 120)


def test_retry_after_is_read_as_seconds_or_as_a_date_by_the_clock_of_the_server() -> None:
    def after(**headers: str) -> float | None:
        return HttpAnswer(429, {name.replace("_", "-"): value for name, value in headers.items()}, b"").retry_after

    date = "Sun, 01 Mar 2026 12:00:00 GMT"
    assert after(retry_after="99999999999999999999") == 24 * 3600
    assert after(retry_after="Sun, 01 Mar 2026 12:00:30 GMT", date=date) == 30
    assert after(retry_after="Sun, 01 Mar 2026 11:00:30 GMT", date=date) == 0
    assert after(retry_after="Sun, 01 Mar 2026 12:00:30 GMT") is None
    assert [after(retry_after=odd, date=date) for odd in ("", "-1", "soon", "٣", "1.5")] == [None] * 5


async def test_redirects_keep_the_post_and_end(message: OutgoingMessage) -> None:
    with http_server() as server:
        server.answers = [(307, {"Location": "/there"}, b""), (308, {"Location": "/here"}, b""), (200, {}, b"")]
        await hook(server).send(message)
        assert [one.path for one in server.received] == ["/hook", "/there", "/here"]
        assert len({one.body for one in server.received}) == 1
        server.answers = [(307, {"Location": "/round"}, b"")]
        with pytest.raises(DeliveryRefused, match="redirected more than 3 times"):
            await hook(server).send(message)


async def test_an_address_within_the_network_is_refused_before_anything_is_sent(message: OutgoingMessage) -> None:
    with http_server() as server:
        with pytest.raises(DeliveryRefused, match="within the network"):
            await hook(server, private=False).send(message)
        assert server.received == []


async def test_a_redirect_to_an_address_within_the_network_is_refused(
    message: OutgoingMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first address is made to count as public: a public one that answers is not to be had in a test."""
    judged = is_public
    monkeypatch.setattr("aura_notify.http.is_public", lambda address: address == "127.0.0.1" or judged(address))
    with http_server() as server:
        port = server.url.rpartition(":")[2].partition("/")[0]
        server.answers = [(307, {"Location": f"http://127.0.0.2:{port}/inside"}, b"")]
        sender = HttpSender("hook", f"http://127.0.0.1:{port}/hook")
        with pytest.raises(DeliveryRefused, match="redirected to, is within the network"):
            await WebhookChannel(sender, now).send(message)
        assert [one.path for one in server.received] == ["/hook"]


async def test_a_redirect_away_from_https_is_refused(message: OutgoingMessage, certificates: Certificates) -> None:
    with http_server() as plain, http_server(certificates.server) as server:
        server.answers = [(307, {"Location": plain.url}, b"")]
        with pytest.raises(DeliveryRefused, match="from https"):
            await hook(server, ca=certificates.ca).send(message)
        assert plain.received == []


async def test_the_certificate_is_verified(message: OutgoingMessage, certificates: Certificates) -> None:
    with http_server(certificates.server) as server:
        with pytest.raises(DeliveryFailed, match="certificate"):
            await hook(server).send(message)
        await hook(server, ca=certificates.ca).send(message)
        assert len(server.received) == 1


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_an_address_is_judged_however_it_is_written(address: str, public: bool) -> None:
    assert is_public(address) is public


def _endless(beginning: bytes, filling: bytes) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(beginning)
        while True:
            connection.sendall(filling)

    return behave  # type: ignore[return-value]


async def test_an_answer_without_an_end_counts_by_its_status(message: OutgoingMessage) -> None:
    begins = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with raw_server(_endless(begins, b"5\r\nhello\r\n")) as server:
        await WebhookChannel(HttpSender("hook", f"http://127.0.0.1:{server.port}/", private=True), now).send(message)
        await happens(server.left)


async def test_a_refusal_without_an_end_is_read_a_little(message: OutgoingMessage) -> None:
    begins = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n"
    with raw_server(_endless(begins, b"5\r\nhello\r\n")) as server:
        channel = WebhookChannel(HttpSender("hook", f"http://127.0.0.1:{server.port}/", private=True), now)
        with pytest.raises(DeliveryRefused) as refused:
            await channel.send(message)
        assert len(str(refused.value)) < 500
        await happens(server.left)


async def test_headers_without_an_end_are_given_up(message: OutgoingMessage) -> None:
    with raw_server(_endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n")) as server:
        channel = WebhookChannel(HttpSender("hook", f"http://127.0.0.1:{server.port}/", private=True), now)
        with pytest.raises(DeliveryFailed):
            await channel.send(message)


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n"])
async def test_a_receiver_that_never_answers_is_left_when_the_caller_gives_up(
    message: OutgoingMessage, says: bytes
) -> None:
    with raw_server(lambda connection: connection.sendall(says)) as server:
        channel = WebhookChannel(HttpSender("hook", f"http://127.0.0.1:{server.port}/", private=True), now)
        async with anyio.create_task_group() as group:
            group.start_soon(channel.send, message)
            await happens(server.accepted)
            group.cancel_scope.cancel()
        await happens(server.left)


async def test_a_receiver_that_is_not_there_or_talks_nonsense_failed(message: OutgoingMessage) -> None:
    with raw_server(lambda connection: connection.sendall(b"220 mail.example.org ESMTP\r\n\r\n")) as server:
        url = f"http://127.0.0.1:{server.port}/"
        with pytest.raises(DeliveryFailed):
            await WebhookChannel(HttpSender("hook", url, private=True), now).send(message)
    with pytest.raises(DeliveryFailed):
        await WebhookChannel(HttpSender("hook", url, private=True), now).send(message)


async def test_errors_do_not_tell_the_address(message: OutgoingMessage) -> None:
    for url in ("http://127.0.0.1:9/T0/SECRET", "ftp://example.org/SECRET", "http://user:SECRET@127.0.0.1:9/"):
        sender = HttpSender("team", url, private=True)
        with pytest.raises(DeliveryFailed) as failed:
            await SlackChannel(sender).send(message)
        assert "SECRET" not in f"{failed.value} {failed.value!r} {sender!r}"


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64", "whsec_" + b64encode(b"short").decode()])
async def test_a_secret_that_is_none_is_refused_without_being_told(message: OutgoingMessage, secret: str) -> None:
    with http_server() as server:
        with pytest.raises(DeliveryRefused, match="24 to 64 bytes") as refused:
            await hook(server, secret).send(message)
        assert server.received == []
    assert not secret or secret not in str(refused.value)


async def test_slack_gets_blocks_in_which_no_text_can_mention_anyone(message: OutgoingMessage) -> None:
    with http_server() as server:
        server.answers = [(200, {}, b"ok")]
        await SlackChannel(HttpSender("team", server.url, private=True)).send(message)
        payload = json.loads(server.received[0].body)
    assert payload["text"] == "Approve the login &lt;script&gt;?"
    assert [block["type"] for block in payload["blocks"]] == ["header", "section", "context"]
    assert payload["blocks"][0]["text"] == {"type": "plain_text", "text": message.subject}
    assert payload["blocks"][1]["text"]["text"] == "The plan:\n&amp; more\n"


async def test_slack_says_why_it_refuses(message: OutgoingMessage) -> None:
    with http_server() as server:
        server.answers = [(404, {}, b"no_service")]
        with pytest.raises(DeliveryRefused, match="404: no_service"):
            await SlackChannel(HttpSender("team", server.url, private=True)).send(message)
