"""Known secrets are masked in output, however it is cut into chunks."""

import itertools
import json
import re
from datetime import UTC, datetime
from functools import partial
from html import escape
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.entries import Message
from aura_contracts.output import Chunk, OutputSource
from aura_contracts.secret_mask import OutputMask, SecretMask

NOW = datetime(2026, 1, 4, tzinfo=UTC)
SECRET = "3f9c2b7e1d-A/+=x"
MASK = SecretMask.of({"API_TOKEN": SECRET, "HOME": "/homes/ada/long-enough"})


def chunks(*texts: bytes) -> tuple[Chunk, ...]:
    return tuple(Chunk.of(OutputSource.STDOUT, NOW, text) for text in texts)


def joined(found: tuple[Chunk, ...]) -> bytes:
    return b"".join(chunk.raw for chunk in found)


def test_what_is_masked():
    secrets = {
        "API_TOKEN": "3f9c2b7e1d",
        "STORE": "postgresql://ada:much-longer@localhost/x",
        "GOOGLE_APPLICATION_CREDENTIALS": "/homes/ada/credentials.json",
        "PIN_CODE_KEY": "1234",
        "DEPLOY_KEY": "-----BEGIN KEY-----\nQUJDREVGR0hJSks\n-----END KEY-----",
        "JSON_SECRET": 'a"quoted"one',
    }
    mask = SecretMask.of(secrets)
    assert mask.text("a 3f9c2b7e1d b") == "a [redacted] b"
    assert mask.text("much-longer") == "[redacted]"
    assert (
        mask.text("/homes/ada/credentials.json 1234 postgresql://") == "/homes/ada/credentials.json 1234 postgresql://"
    )
    assert mask.text("x QUJDREVGR0hJSks") == "x [redacted]"
    assert mask.text(json.dumps(secrets["JSON_SECRET"])) == '"[redacted]"'
    assert not SecretMask.of({"HOME": "/homes/ada"})


@pytest.mark.parametrize(
    "written",
    [
        json.dumps,
        lambda text: json.dumps(json.dumps(text)),
        lambda text: json.dumps(text).replace("/", "\\/"),
        lambda text: json.dumps(text).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
        lambda text: "".join(f"\\u{ord(char):04X}" if char in '+<>&"' else char for char in text),
        quote,
        partial(quote, safe=""),
        lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text)),
        repr,
        escape,
    ],
)
@pytest.mark.parametrize("secret", ["ab/cd+ef0123==", '<a"b&c>0123', "a\\b0123456"])
def test_a_secret_is_masked_however_a_library_writes_it(secret, written):
    shown = SecretMask.of({"API_TOKEN": secret}).text(f"it is {written(secret)}!")
    assert shown.replace("\\", "").replace('"', "").replace("'", "") == "it is [redacted]!"


def test_entries_are_masked_in_their_depth():
    assert MASK.struct(Message(text=f"it is {SECRET}")).text == "it is [redacted]"
    assert MASK.plain({"a": [f"{SECRET}x", 1, None]}) == {"a": ["[redacted]x", 1, None]}


@given(st.integers(0, len(SECRET)), st.binary(max_size=8), st.binary(max_size=8))
def test_a_secret_that_is_cut_in_two_is_masked(cut: int, before: bytes, after: bytes):
    whole = SECRET.encode()
    found = OutputMask(MASK).chunks(chunks(before + whole[:cut], whole[cut:] + after))
    assert len(found) == 2
    assert whole not in joined(found)
    if cut not in {0, len(whole)}:
        assert whole[cut:] not in found[1].raw or len(whole[cut:]) < 3
        assert cut < 6 or whole[:cut] not in found[0].raw


@given(st.lists(st.integers(1, len(SECRET) - 1), min_size=2, unique=True))
def test_a_secret_that_is_cut_into_many_pieces_is_masked(cuts: list[int]):
    whole = SECRET.encode()
    places = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(places)]
    shown = joined(OutputMask(MASK).chunks(chunks(*pieces, b" rest"))).replace(b"[redacted]", b"")
    assert shown.endswith(b" rest")
    assert whole[:5].startswith(shown.removesuffix(b" rest"))


def test_streams_do_not_mix():
    whole = SECRET.encode()
    given = (
        Chunk.of(OutputSource.STDOUT, NOW, whole[:8]),
        Chunk.of(OutputSource.STDERR, NOW, b"between"),
        Chunk.of(OutputSource.STDOUT, NOW, whole[8:] + b" rest"),
    )
    found = OutputMask(MASK).chunks(given)
    assert [chunk.raw for chunk in found] == [b"[redacted]", b"between", b"[redacted] rest"]


def test_output_without_secrets_is_as_it_was():
    given = chunks(b"3f9", b"hello \xff", b"3f9c2 b")
    assert OutputMask(MASK).chunks(given) == given


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_bytes_that_are_no_secret_pass(texts: list[bytes]):
    mask = OutputMask(SecretMask(["a-secret-of-many-characters"]))
    given = chunks(*(text.replace(b"a", b"") for text in texts))
    assert mask.chunks(given) == given
