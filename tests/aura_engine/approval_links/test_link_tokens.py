"""Tokens of links: what they say, that no other one is believed, and the keys that sign them."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from aura_contracts.approval import LINK_LIFETIME, Approval, ApprovalKind, ApprovalStatus, IssuedLink, LinkPurpose
from aura_contracts.errors import InvalidInput, LinkRefused
from aura_contracts.secrets import redact, secret_in
from aura_engine.approval_links.addresses import base_url_of, token_in, url_of
from aura_engine.approval_links.keys import KEY_FOLDER, NUMBER_LIMIT, LinkKeys
from aura_engine.approval_links.tokens import form_of, link_in, open_token, require_form, token_of
from aura_engine.signed_tokens import TokenFormat

NOW = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
LINK = IssuedLink(
    id="0192f0c1-2d3e-7abc-8def-000000000002",
    reviewer="alice",
    seat="alice",
    address="alice@example.com",
    issued_at=NOW,
    expires_at=NOW + timedelta(days=1),
)
APPROVAL = Approval(
    id="0192f0c1-2d3e-7abc-8def-000000000001",
    status=ApprovalStatus.PENDING,
    kind=ApprovalKind.CHANGES,
    reviewers=("alice", "bob"),
    requested_by="system:engine",
    requested_at=NOW,
    waits_since=NOW,
    level_since=NOW,
    open_since=NOW,
    commits={"app": "a1", "lib": "b2"},
    links=(LINK,),
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return LinkKeys(tmp_path_factory.mktemp("home") / KEY_FOLDER, lambda: NOW)


@pytest.fixture(scope="module")
def token(keys):
    return token_of(keys.current(), APPROVAL, LINK)


def test_a_token_opens_what_it_was_made_for(keys, token):
    opened = open_token(keys, token)
    assert (opened.approval_id, opened.link_id) == (APPROVAL.id, LINK.id)
    assert link_in(APPROVAL, opened) == (APPROVAL, LINK)
    assert token_of(keys.current(), APPROVAL, LINK) == token


def test_a_token_can_be_sent_in_any_mail(keys):
    """It ends with a letter or digit, which programs that mark URLs in a text take for a part of them."""
    for number in range(200):
        token = token_of(keys.current(), APPROVAL, replace(LINK, seat=str(number)))
        assert token[-1].isalnum()
        assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
        assert len(token) == 117


def test_a_token_is_known_as_a_secret_wherever_text_is_kept(keys, token):
    assert secret_in(f"I answered with {url_of('https://a.example', token)}, see there") == "link1...."
    assert "link1" not in str(redact({"said": [token]}))


def test_a_token_tells_no_names(keys, token):
    for said in (b"alice", b"example.com", b"a1"):
        assert said not in open_token(keys, token).payload


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_token_that_was_changed_opens_nothing(keys, token, data):
    """Also where base64 would read the same: unused bits, padding, characters that it skips."""
    change = st.one_of(
        st.text(max_size=3),
        st.characters(),
        st.sampled_from(["", "=", "==", ".", " ", "\n", "é", "\udc80", "\0", "%41", token]),
    )
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, min(start + 3, len(token))))
    forged = token[:start] + data.draw(change) + token[end:]
    if forged != token:
        with pytest.raises(LinkRefused, match="not issued here"):
            open_token(keys, forged)


@given(text=st.text(), beginning=st.sampled_from(["", "link1.", "form1.", "link1.." + "A" * 43]))
@example(text="A" * 67 + "." + "A" * 43, beginning="link1.")
@example(text="A" * 10_000_000, beginning="link1.")
def test_anything_else_opens_nothing(keys, text, beginning):
    with pytest.raises(LinkRefused):
        open_token(keys, beginning + text)


@pytest.mark.parametrize("end", range(0, 117, 5))
def test_a_token_that_is_cut_opens_nothing(keys, token, end):
    with pytest.raises(LinkRefused):
        open_token(keys, token[:end])


def test_a_token_of_another_kind_opens_nothing(keys, token):
    key, payload = keys.current(), open_token(keys, token).payload
    other = TokenFormat("link1", b"aura task token 1\0").token(key.secret, payload)
    for forged in (other, form_of(open_token(keys, token))):
        with pytest.raises(LinkRefused):
            open_token(keys, forged)


@pytest.mark.parametrize(
    "changed",
    [
        {"seat": "bob"},
        {"reviewer": "bob"},
        {"purpose": LinkPurpose.VIEW},
        {"address": "eve@example.com"},
        {"expires_at": NOW + timedelta(days=2)},
    ],
)
def test_a_link_is_not_more_than_it_was_whatever_the_log_says_later(keys, token, changed):
    for altered in (
        replace(APPROVAL, links=(replace(LINK, **changed),)),
        replace(APPROVAL, commits={"app": "a1", "lib": "c3"}),
        replace(APPROVAL, commits={"app": "a1"}),
    ):
        with pytest.raises(LinkRefused, match="other terms"):
            link_in(altered, open_token(keys, token))


def test_a_link_to_a_question_of_another_store_opens_nothing(keys, token):
    for there in (None, replace(APPROVAL, links=())):
        with pytest.raises(LinkRefused, match="not in this store"):
            link_in(there, open_token(keys, token))


def test_a_form_belongs_to_its_link(keys, token):
    opened = open_token(keys, token)
    require_form(opened, form_of(opened))
    other = open_token(keys, token_of(keys.current(), APPROVAL, replace(LINK, id=APPROVAL.id)))
    for forged in ("", token, form_of(other), form_of(opened)[:-1], form_of(opened) + "A", "form1.A.A", "x" * 1000):
        with pytest.raises(LinkRefused, match="does not come from its page"):
            require_form(opened, forged)


def test_refusals_do_not_repeat_the_token(keys, token):
    signed, _, signature = token.rpartition(".")
    with pytest.raises(LinkRefused) as refused:
        open_token(keys, f"{signed}.{signature.swapcase()}")
    assert token[:50] not in str(refused.value)
    assert "secret" not in repr(keys.current())


# --- Keys -------------------------------------------------------------------------------------------------------------


def keys_in(folder, now=NOW):
    return LinkKeys.of(folder, lambda: now)


def test_keys_are_made_once_for_their_user_alone(tmp_path):
    old = os.umask(0)
    try:
        with ThreadPoolExecutor(8) as threads:
            made = set(threads.map(lambda _: keys_in(tmp_path / "home").current().secret, range(32)))
    finally:
        os.umask(old)
    assert len(made) == 1
    (file,) = (tmp_path / "home" / KEY_FOLDER).iterdir()
    assert (file.name, file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == ("1", 0o600, 0o700)


def test_after_a_rotation_old_links_open_and_new_ones_have_the_new_key(tmp_path):
    keys = keys_in(tmp_path)
    before = token_of(keys.current(), APPROVAL, LINK)
    assert keys.rotate().number == 2
    after = token_of(keys.current(), APPROVAL, LINK)
    assert before != after
    assert {open_token(keys, one).link_id for one in (before, after)} == {LINK.id}
    assert keys.rotate(lost=True).number == 3
    for one in (before, after):
        with pytest.raises(LinkRefused):
            open_token(keys, one)
    assert keys.numbers == [3]


def test_a_key_that_no_link_needs_is_removed(tmp_path):
    keys_in(tmp_path).current()
    keys_in(tmp_path, NOW + timedelta(days=1)).rotate()
    later = NOW + timedelta(days=1) + LINK_LIFETIME
    keys_in(tmp_path, later).rotate()
    assert keys_in(tmp_path).numbers == [1, 2, 3]  # a link of the first one may live to this very moment
    keys_in(tmp_path, later + timedelta(seconds=1)).rotate()
    assert keys_in(tmp_path).numbers == [2, 3, 4]


def test_keys_rotated_at_one_moment_lose_no_link(tmp_path):
    keys = keys_in(tmp_path)
    keys.current()

    def rotate_and_sign(_):
        keys.rotate()
        return token_of(keys.current(), APPROVAL, LINK)

    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(rotate_and_sign, range(24)))
    assert {open_token(keys, one).link_id for one in tokens} == {LINK.id}


def test_keys_that_are_lost_at_one_moment_leave_one_that_signs(tmp_path):
    """Whoever reads finds the keys that they listed gone, and lists them again."""
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda number: number % 2 and keys_in(tmp_path).rotate(lost=True), range(200)))
        made += threads.map(lambda _: keys_in(tmp_path).current(), range(8))
    assert made
    keys = keys_in(tmp_path)
    assert open_token(keys, token_of(keys.current(), APPROVAL, LINK)).link_id == LINK.id


def test_a_key_that_is_removed_after_it_was_listed_is_not_missed(tmp_path, monkeypatch):
    keys = keys_in(tmp_path)
    keys.current()
    read = LinkKeys._read

    def removed_before(self, number):
        if number == 1:
            keys_in(tmp_path)._path(1).unlink(missing_ok=True)
            keys_in(tmp_path)._add(2)
        return read(self, number)

    monkeypatch.setattr(LinkKeys, "_read", removed_before)
    assert keys.current().number == 2
    (keys.folder / "9").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        keys.current()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
@pytest.mark.parametrize("name", ["", "1"])
def test_keys_that_others_can_read_or_write_are_refused(tmp_path, name, mode):
    keys = keys_in(tmp_path)
    token = token_of(keys.current(), APPROVAL, LINK)
    path = keys.folder / name
    path.chmod(mode | (0o100 if not name else 0))
    for use in (keys.current, lambda: open_token(keys, token), keys.rotate):
        if name and use == keys.rotate:
            continue  # which replaces the key
        with pytest.raises(InvalidInput, match="others can read or write") as refused:
            use()
        assert refused.value.remedy == f"chmod go= {path}"
    subprocess.run(refused.value.remedy.split(), check=True)
    assert open_token(keys, token).link_id == LINK.id


def test_the_folder_is_synchronised_with_what_was_added_and_removed(tmp_path, monkeypatch):
    keys = keys_in(tmp_path)
    keys.current()
    synchronised = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synchronised.append(keys.numbers), fsync(file)))
    keys.rotate(lost=True)
    assert any(2 in names for names in synchronised)
    assert synchronised[-1] == [2]


def test_a_number_does_not_return_with_another_key(tmp_path):
    keys = keys_in(tmp_path)
    before = token_of(keys.current(), APPROVAL, LINK)
    (keys.folder / "1").unlink()
    assert keys.current().number == 1
    with pytest.raises(LinkRefused):
        open_token(keys, before)


@pytest.mark.parametrize("content", [b"", b"half", b'{"secret":"AAAA","created_at":"2026-01-04T12:00:00Z"}', b"\xff"])
def test_a_damaged_key_is_said_to_be_one(tmp_path, content):
    keys = keys_in(tmp_path)
    token = token_of(keys.current(), APPROVAL, LINK)
    (keys.folder / "1").write_bytes(content)
    for use in (keys.current, lambda: open_token(keys, token)):
        with pytest.raises(InvalidInput, match="is damaged") as refused:
            use()
        assert "delete it" in refused.value.remedy


def test_other_files_are_no_keys(tmp_path):
    keys = keys_in(tmp_path)
    keys.current()
    for name in ("0", "01", "٣", "1~", ".aura-12", "70000", "note"):
        (keys.folder / name).write_bytes(b"")
    assert keys.numbers == [1]
    (keys.folder / str(NUMBER_LIMIT)).write_bytes((keys.folder / "1").read_bytes())
    with pytest.raises(InvalidInput, match="no more than"):
        keys.rotate()


# --- Addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["https://a.example", "https://a.example/team/aura", "http://localhost:8080/x"])
def test_a_link_is_found_again_behind_any_prefix(base, keys, token):
    url = url_of(base_url_of(base + "/"), token)
    assert url == f"{base}/links/{token}"
    stripped = f"/links/{token}"  # what a proxy that removes the prefix passes on
    quoted = token.replace(".", "%2E").replace("-", "%2d")
    for seen in (url, f"<{url}>", f" {url}\n", f"{url}/", f"{url}?utm=1", f"{url}#top", stripped, token, quoted):
        assert token_in(seen) == token
    assert token_in(url_of(base, quoted)) == token


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("", "not a URL"),
        ("aura.example", "not a URL"),
        ("https://", "not a URL"),
        ("ftp://a.example", "not a URL"),
        ("javascript:alert(1)", "not a URL"),
        ("https://a.example/ b", "not a URL"),
        ("https://a.example\n", "not a URL"),
        ("https://a:99999", "not a URL"),
        ("https://[::1", "not a URL"),
        ("http://a.example", "everyone on the way"),
        ("http://127.0.0.1.a.example", "everyone on the way"),
        ("https://me:pw@a.example", "a name or a password"),
        ("https://a.example/?x=1", "a query"),
        ("https://a.example/#", "a fragment"),
    ],
)
def test_an_address_to_which_no_link_may_lead_is_refused(base, reason):
    with pytest.raises(InvalidInput, match=reason) as refused:
        base_url_of(base)
    assert refused.value.field == "base_url"
    assert "https://" in refused.value.remedy


@pytest.mark.parametrize("base", ["http://127.0.0.1:8080", "http://[::1]/aura", "http://localhost"])
def test_this_machine_needs_no_encryption(base):
    assert base_url_of(base) == base
