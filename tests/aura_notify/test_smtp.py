"""E-mail: sent through a real SMTP server, and through ones that hang, refuse and never answer."""

import socket
from email import message_from_bytes, policy

import anyio
import pytest
from msgspec.structs import replace

from aura_contracts.errors import DeliveryFailed, DeliveryRefused
from aura_contracts.notification import OutgoingMessage
from aura_notify import SmtpChannel
from aura_notify.smtp import email_of
from notify_servers import Certificates, happens, headers_of, mail_server, raw_server

pytestmark = pytest.mark.anyio

SENDER = "aura@example.org"


async def test_a_message_arrives_as_text_and_html_in_its_thread(message: OutgoingMessage) -> None:
    with mail_server() as mailbox:
        await SmtpChannel(channel="mail", host="localhost", port=mailbox.port, security="none", sender=SENDER).send(
            message
        )
        (envelope,) = mailbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, ["ann@example.org"])
    headers = headers_of(envelope)
    assert headers["Message-ID"] == "<0198-a.mail.ann@example.org>"
    assert headers["In-Reply-To"] == headers["References"] == "<0198-b@example.org>"
    assert headers["Date"] == "Sun, 01 Mar 2026 12:00:00 +0000"
    assert headers["Auto-Submitted"] == "auto-generated"
    mail = message_from_bytes(envelope.content, policy=policy.default)  # type: ignore[arg-type]
    assert mail.get_content_type() == "multipart/alternative"
    plain, page = mail.iter_parts()
    assert plain.get_content().replace("\r\n", "\n") == message.text
    assert "&amp; more" in page.get_content()


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")  # it takes the password within TLS
async def test_tls_with_login(message: OutgoingMessage, certificates: Certificates) -> None:
    with mail_server(tls=certificates.server, password="letmein") as mailbox:

        def channel(password: str, ca: str | None = certificates.ca) -> SmtpChannel:
            return SmtpChannel(
                channel="mail",
                host="localhost",
                port=mailbox.port,
                security="tls",
                sender=SENDER,
                login="aura",
                password=password,
                ca=ca,
            )

        await channel("letmein").send(message)
        assert len(mailbox.envelopes) == 1
        with pytest.raises(DeliveryRefused, match="535") as refused:
            await channel("guessed").send(message)
        with pytest.raises(DeliveryFailed, match="certificate"):
            await channel("letmein", ca=None).send(message)
        assert len(mailbox.envelopes) == 1
    assert "guessed" not in f"{refused.value!r} {channel('guessed')!r}"


async def test_starttls_with_login(message: OutgoingMessage, certificates: Certificates) -> None:
    with mail_server(starttls=certificates.server, password="letmein") as mailbox:
        channel = SmtpChannel(
            channel="mail",
            host="localhost",
            port=mailbox.port,
            sender=SENDER,
            login="aura",
            password="letmein",
            ca=certificates.ca,
        )
        await channel.send(message)
        assert len(mailbox.envelopes) == 1


async def test_a_server_without_starttls_gets_neither_password_nor_message(message: OutgoingMessage) -> None:
    with mail_server() as mailbox:
        channel = SmtpChannel(channel="mail", host="localhost", port=mailbox.port, sender=SENDER, login="aura")
        with pytest.raises(DeliveryRefused, match="STARTTLS"):
            await channel.send(message)
        assert mailbox.envelopes == []


@pytest.mark.parametrize(("reply", "kind"), [("450 busy", DeliveryFailed), ("550 no such user", DeliveryRefused)])
async def test_a_reply_says_whether_another_attempt_can_help(
    message: OutgoingMessage, reply: str, kind: type[DeliveryFailed]
) -> None:
    with mail_server() as mailbox:
        channel = SmtpChannel(channel="mail", host="localhost", port=mailbox.port, security="none", sender=SENDER)
        mailbox.replies[message.address] = reply
        with pytest.raises(DeliveryFailed, match=reply) as failed:
            await channel.send(message)
        assert type(failed.value) is kind
        mailbox.replies.clear()
        mailbox.data_replies.append(reply)
        with pytest.raises(DeliveryFailed, match=reply) as failed:
            await channel.send(message)
        assert type(failed.value) is kind
        await channel.send(message)
        assert len(mailbox.envelopes) == 1


def _silent_after_data(connection: socket.socket) -> None:
    """Take a whole message, and never say so."""
    file = connection.makefile("rwb", buffering=0)
    file.write(b"220 ready\r\n")
    for line in file:
        if line.startswith(b"DATA"):
            file.write(b"354 go\r\n")
        elif line == b".\r\n":
            return
        elif line[:4].upper() in (b"EHLO", b"MAIL", b"RCPT"):
            file.write(b"250 OK\r\n")


@pytest.mark.parametrize("behave", [lambda _: None, _silent_after_data], ids=["hangs", "never answers"])
async def test_a_server_that_says_nothing_is_left_when_the_caller_gives_up(
    message: OutgoingMessage, behave: object
) -> None:
    with raw_server(behave) as server:  # type: ignore[arg-type]
        channel = SmtpChannel(channel="mail", host="127.0.0.1", port=server.port, security="none", sender=SENDER)
        async with anyio.create_task_group() as group:
            group.start_soon(channel.send, message)
            await happens(server.accepted)
            group.cancel_scope.cancel()
        await happens(server.left)  # the connection was cut, not left to a timeout


async def test_a_server_that_is_not_there_failed(message: OutgoingMessage) -> None:
    with raw_server(lambda connection: connection.close()) as server:
        channel = SmtpChannel(channel="mail", host="127.0.0.1", port=server.port, security="none", sender=SENDER)
        with pytest.raises(DeliveryFailed):
            await channel.send(message)
    with pytest.raises(DeliveryFailed):
        await channel.send(message)


async def test_text_cannot_add_a_header_and_a_bad_address_is_refused(message: OutgoingMessage) -> None:
    sly = replace(message, subject="hello\r\nBcc: all@example.org")
    assert email_of(sly, SENDER)["Bcc"] is None
    with mail_server() as mailbox:
        channel = SmtpChannel(channel="mail", host="localhost", port=mailbox.port, security="none", sender=SENDER)
        for address in ("", "ann@example.org\r\nBcc: all@example.org"):
            with pytest.raises(DeliveryRefused):
                await channel.send(replace(message, address=address))
        assert mailbox.envelopes == []


def test_a_mail_is_the_same_at_every_attempt_but_for_its_boundary(message: OutgoingMessage) -> None:
    first, second = (email_of(message, SENDER) for _ in range(2))
    assert first.items() == second.items()
