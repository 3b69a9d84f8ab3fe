"""File, terminal, desktop, Apprise."""

import io
import json
import os
from pathlib import Path

import anyio
import pytest

from aura_contracts.errors import DeliveryFailed, DeliveryRefused
from aura_contracts.notification import OutgoingMessage
from aura_notify import AppriseChannel, DesktopChannel, FileChannel, TerminalChannel
from aura_notify.desktop import command_of
from notify_servers import happens, http_server, raw_server

pytestmark = pytest.mark.anyio


async def test_a_file_gets_a_line_for_each_message_and_is_private(message: OutgoingMessage, tmp_path: Path) -> None:
    path = tmp_path / "new" / "told.jsonl"
    channel = FileChannel("log", path)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(channel.send, message)
    lines = path.read_text().splitlines()
    assert [OutgoingMessage.from_dict(json.loads(line)) for line in lines] == [message] * 20
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_line_that_was_cut_off_does_not_swallow_the_next(message: OutgoingMessage, tmp_path: Path) -> None:
    path = tmp_path / "told.jsonl"
    path.write_text('{"key": "half')
    await FileChannel("log", path).send(message)
    assert OutgoingMessage.from_dict(json.loads(path.read_text().splitlines()[1])) == message


async def test_what_is_not_a_file_is_refused_without_waiting(message: OutgoingMessage, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(DeliveryFailed):
            await FileChannel("log", path).send(message)


async def test_a_full_disk_failed(message: OutgoingMessage) -> None:
    with pytest.raises(DeliveryFailed):
        await FileChannel("log", Path("/dev/full")).send(message)


async def test_a_terminal_gets_one_line(message: OutgoingMessage) -> None:
    stream = io.StringIO()
    await TerminalChannel("here", stream=lambda: stream).send(message)
    assert stream.getvalue() == "[aura] Approve the login <script>?\n"
    stream.close()
    with pytest.raises(DeliveryFailed):
        await TerminalChannel("here", stream=lambda: stream).send(message)


def _program(folder: Path, script: str) -> dict[str, str]:
    program = folder / "notify-send"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "OUT": str(folder / "out")}


async def test_the_desktop_is_told_by_its_program(
    message: OutgoingMessage, tmp_path: Path, monkeypatch: object
) -> None:
    environment = _program(tmp_path, 'printf "%s\\n" "$@" > "$OUT"')
    await DesktopChannel("desk", environment, system="linux").send(message)
    said = (tmp_path / "out").read_text()
    assert said == "--app-name=AURA\n--\nApprove the login <script>?\nThe plan:\n&amp; more\n\n"


async def test_a_desktop_that_is_not_there(message: OutgoingMessage, tmp_path: Path) -> None:
    with pytest.raises(DeliveryRefused, match="notify-send is not installed"):
        await DesktopChannel("desk", {"PATH": str(tmp_path)}, system="linux").send(message)
    environment = _program(tmp_path, "echo no bus >&2; exit 3")
    with pytest.raises(DeliveryFailed, match="ended with 3: no bus"):
        await DesktopChannel("desk", environment, system="linux").send(message)


def test_on_a_mac_texts_are_arguments_not_program_text(message: OutgoingMessage) -> None:
    command = command_of(message, "darwin")
    assert command[0] == "osascript"
    assert command[-2:] == [message.subject, message.text]


its_warnings = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""Of a module that the library imports."""


@its_warnings
async def test_apprise_reaches_a_service(message: OutgoingMessage) -> None:
    with http_server() as server:
        server.answers = [(200, {}, b"ok"), (500, {}, b"no")]
        url = server.url.replace("http://", "json://")
        await AppriseChannel("phone", [url]).send(message)
        told = json.loads(server.received[0].body)
        assert (told["title"], told["message"].strip()) == (message.subject, message.text.strip())
        with pytest.raises(DeliveryFailed) as failed:
            await AppriseChannel("phone", [url]).send(message)
    assert "localhost" not in str(failed.value)


@its_warnings
async def test_apprise_refuses_a_url_without_telling_it(message: OutgoingMessage) -> None:
    with pytest.raises(DeliveryRefused, match="number 1") as refused:
        await AppriseChannel("phone", ["nosuch://SECRET"]).send(message)
    assert "SECRET" not in str(refused.value)


@its_warnings
async def test_a_service_that_hangs_is_left(message: OutgoingMessage) -> None:
    with raw_server(lambda _: None) as server:
        channel = AppriseChannel("phone", [f"json://127.0.0.1:{server.port}/"])
        async with anyio.create_task_group() as group:
            group.start_soon(channel.send, message)
            await happens(server.accepted)
            group.cancel_scope.cancel()
