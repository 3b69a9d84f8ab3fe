"""What the tests of channels share."""

from datetime import UTC, datetime

import pytest

from aura_contracts.notification import MessageItem, OutgoingMessage
from notify_servers import Certificates, make_certificates

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def message() -> OutgoingMessage:
    item = MessageItem(key="0198-a", kind="asked", subject="ann is asked", time=NOON, about="0198-b")
    return OutgoingMessage(
        key="0198-a.mail.ann",
        kind="asked",
        recipient="ann",
        address="ann@example.org",
        subject="Approve the login <script>?",
        text="The plan:\n& more\n",
        time=NOON,
        thread="0198-b",
        items=(item,),
    )


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"))
