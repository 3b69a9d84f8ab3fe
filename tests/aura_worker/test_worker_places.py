"""Places: rules about files, against a real folder with links. The model is `os.path.realpath` alone."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aura_contracts.approval import ToolCall
from aura_contracts.entries import Message, PermissionRequested
from aura_contracts.permission import PermissionRules, Ruling, judge, known_rule
from aura_worker._path_resolution import place_finder

FILES = (
    *("home/.ssh/id", "home/notes/a", "checkout/.env", "checkout/src/a.py", "outside/x", "outside/.env"),
    *("shop/.env", "shop/README.md", "shop/src/a.py", "shop/src/b/c.py", "shop/src/.env", "shop/secrets/key"),
    *("shop/secrets/deep/key", "shop/app/[slug]/page", "shop/app/s/page", "shop/.git/hooks/x", "shop/vault/x"),
)
LINKS = {
    "shop/src/out": "../../outside",
    "shop/src/here": ".",
    "shop/src/sec": "../secrets",
    "shop/src/g": "../.git",
    "shop/link": ".env",
    "shop/up": "..",
    "shop/circle": "circle",
    "shop/nowhere": "../missing/x",
    "shop/private": "vault",
    "alias": "shop",
}

PARTS = sorted(
    {part for path in (*FILES, *LINKS) for part in path.split("/")}
    | {"..", ".", "", "new", "Secrets", "missing", "*", "**", "*.py", "?", "[slug]", "{a,b}"}
)

paths = st.tuples(
    st.sampled_from(["", "", "", "./", "ROOT/", "ROOT/shop/", "ROOT/alias/", "//ROOT/shop/", "~/", "/"]),
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("/".join),
).map("".join)
run = settings(
    max_examples=20_000 if settings.default.max_examples > 1_000 else settings.default.max_examples,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = Path(os.path.realpath(tmp_path_factory.mktemp("tree")))
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    return root


def decided(root, path, *, allow=(), deny=(), folder="shop", tool="Read"):
    rules = PermissionRules(allow=tuple(allow), deny=tuple(deny))
    arguments = {"command": path} if tool == "Bash" else {"file_path": path}
    entry = PermissionRequested(request_id="1", tool=tool, fingerprint="f", arguments=arguments)
    found = place_finder(str(root / folder), {"HOME": str(root / "home")}, rules)(entry)
    return judge(rules, ToolCall(tool, "f", arguments), found.places).verdict


def written(root, path):
    """Return an absolute path as an agent in the working folder writes it."""
    path = path.replace("~", f"{root}/home", 1) if path == "~" or path.startswith("~/") else path
    return f"/{path.lstrip('/')}" if path.startswith("/") else f"{root}/shop/{path}"


def real(root, path):
    """Return where a path leads."""
    return os.path.realpath(written(root, path))


def is_circle(place):
    return Path(place).is_symlink()


def holds(folder, path):
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def is_plain(text):
    return not set(text) & set("*?{[")


# --- Against realpath


@run
@given(rule=paths.filter(is_plain), path=paths.filter(is_plain))
@example(rule="secrets", path="src/sec/key")
@example(rule="private/", path="vault/x")
@example(rule="./.env", path="link")
@example(rule="~/.ssh", path="up/home/.ssh/id")
@example(rule="src/sec", path="ROOT/alias/secrets/key")
@example(rule="~/.ssh", path="~//.ssh/id")
@example(rule="ROOT/", path="~//")
@example(rule="ROOT/shop", path="//ROOT/shop/.env")
def test_what_leads_to_a_refused_place_is_refused(root, rule, path):
    rule, path = rule.replace("ROOT", str(root)), path.replace("ROOT", str(root))
    verdict = decided(root, path, allow=["Read"], deny=[f"Read({rule})"])
    stated = known_rule(f"Read({rule})") is not None
    leads = not is_circle(real(root, path)) and not is_circle(real(root, rule))
    if stated and leads and ".." not in rule.split("/") and holds(real(root, rule), real(root, path)):
        assert verdict is Ruling.REFUSED


@run
@given(rule=paths, path=paths.filter(is_plain))
@example(rule="src/*", path="src/out/x")
@example(rule="src/*", path="src/g/hooks/x")
@example(rule="*", path="up/checkout/.env")
@example(rule="src/*", path="src/here/here/a.py")
@example(rule="src/*", path="src/here/../secrets/key")
@example(rule="*", path="ROOT/checkout/src/a.py")
@example(rule="//.env", path="/.env")
def test_what_a_relative_rule_allows_leads_into_the_working_folder(root, rule, path):
    rule, path = rule.replace("ROOT", str(root)), path.replace("ROOT", str(root))
    if decided(root, path, allow=[f"Edit({rule})"], tool="Edit") is not Ruling.ALLOWED:
        return
    prefix = rule[: min(rule.find(mark) % (len(rule) + 1) for mark in "*?{")].rpartition("/")[0]
    base = rule if is_plain(rule.replace("[", "")) else prefix or ("/" if rule.startswith("/") else ".")
    assert holds(real(root, base), real(root, path)) or rule.startswith("/")
    assert holds(os.path.normpath(written(root, base)), os.path.normpath(written(root, path)))
    if not rule.startswith(("/", "~")):
        assert holds(str(root / "shop"), real(root, path))
    if ".git" not in rule:
        assert ".git" not in real(root, path).split("/")


@run
@given(path=paths.filter(is_plain))
def test_a_file_in_the_working_folder_is_allowed(root, path):
    """Rules that ask about everything would pass the tests above."""
    path = path.replace("ROOT", str(root))
    there, seen = real(root, path), os.path.normpath(written(root, path))
    inside = holds(str(root / "shop"), there) and holds(str(root / "shop"), seen) and not is_circle(there)
    if path and inside and not path.startswith("~") and ".git" not in there + seen:
        assert decided(root, path, allow=["Edit(*)"], tool="Edit") is Ruling.ALLOWED


@run
@given(path=paths.filter(is_plain))
def test_a_name_is_refused_in_every_folder_and_behind_every_link(root, path):
    path = path.replace("ROOT", str(root))
    there = real(root, path)
    verdict = decided(root, path, allow=["Read"], deny=["Read(**/.env)"])
    if holds(str(root / "shop"), there) and there.endswith("/.env"):
        assert verdict is Ruling.REFUSED
    elif ".env" not in f"{there}/{path}/{os.path.normpath(written(root, path))}".split("/"):
        assert verdict is Ruling.ALLOWED


# --- What is left


@pytest.mark.parametrize(
    ("rule", "path", "verdict"),
    [
        ("Read(.env)", "ROOT/checkout/.env", Ruling.ASKED),  # not the working folder, but the same name
        ("Read(.env)", "/proc/self/cwd/.env", Ruling.REFUSED),
        ("Read(~/.ssh/*)", "/proc/self/root/ROOT/home/.ssh/id", Ruling.REFUSED),
        ("Read(~/.ssh/*)", "~/.ssh/id", Ruling.REFUSED),
        ("Read(~/.ssh)", "ROOT/home/.ssh/id", Ruling.REFUSED),
        ("Read(app/[slug]/*)", "app/[slug]/page", Ruling.REFUSED),
        ("Read(app/[slug]/*)", "app/s/page", Ruling.REFUSED),
        (r"Read(app/\[slug\]/*)", "app/[slug]/page", Ruling.REFUSED),
        ("Read(*.{pem,env})", ".env", Ruling.REFUSED),
        ("Read(secrets)", "Secrets/key", Ruling.REFUSED),
        ("Read(/secrets/**)", "secrets/key", Ruling.REFUSED),
        ("Read(//ROOT/outside/**)", "src/out/x", Ruling.REFUSED),
        ("Read(circle)", "circle", Ruling.REFUSED),
        ("Read(src)", "README.md", Ruling.ALLOWED),
    ],
)
def test_what_rules_refuse(root, rule, path, verdict):
    rule, path = (
        rule.replace("//ROOT", f"/{root}"),
        path.replace("ROOT", str(root).lstrip("/") if "proc" in path else str(root)),
    )
    assert decided(root, path, allow=["Read"], deny=[rule]) is verdict


@pytest.mark.parametrize(
    "word", [".env", "./.env", "src/../.env", "link", "--file=.env", "@.env", "HEAD:.env", "<.env"]
)
def test_a_command_does_not_read_a_file_that_is_refused(root, word):
    verdict = decided(root, f"cat {word}", allow=["Bash"], deny=["Read(./.env)"], tool="Bash")
    assert verdict is Ruling.REFUSED


@pytest.mark.parametrize("command", ["cat $X", "cat .e*", "cat *", "sh -c 'cat $X'", "cat {.env,x}"])
def test_a_command_that_may_read_a_file_that_is_refused_is_asked(root, command):
    assert decided(root, command, allow=["Bash"], deny=["Read(./.env)"], tool="Bash") is Ruling.ASKED


@pytest.mark.parametrize(
    ("command", "verdict"),
    [
        ("cd secrets && cat key", Ruling.REFUSED),
        ("cd src; cd ../secrets; cat key", Ruling.REFUSED),
        ("cd $X && cat key", Ruling.ASKED),
        ("git -C secrets show :key", Ruling.REFUSED),
        ("tar -C secrets -c key", Ruling.REFUSED),
        ("grep -r x .", Ruling.ASKED),
        ("grep x README.md", Ruling.ALLOWED),
        ("rg x", Ruling.ASKED),
        ("cd src && cat a.py", Ruling.ALLOWED),
    ],
)
def test_a_command_that_goes_to_another_folder_first(root, command, verdict):
    assert decided(root, command, allow=["Bash"], deny=["Read(secrets/*)"], tool="Bash") is verdict


def test_a_command_may_name_other_files(root):
    assert decided(root, "cat README.md", allow=["Bash"], deny=["Read(./.env)"], tool="Bash") is Ruling.ALLOWED
    assert decided(root, "pytest src/a.py", allow=["Bash"], deny=["Edit(src/*)"], tool="Bash") is Ruling.ALLOWED
    for command in ("echo > src/a.py", "tee src/a.py", "sed -i s/a/b/ src/a.py", "rm src/a.py"):
        assert decided(root, command, allow=["Bash"], deny=["Edit(src/*)"], tool="Bash") is Ruling.REFUSED


def test_a_link_to_the_working_folder_is_the_working_folder(root):
    assert decided(root, "src/a.py", allow=["Edit(src/*)"], folder="alias", tool="Edit") is Ruling.ALLOWED
    assert decided(root, f"{root}/alias/src/a.py", allow=["Edit(src/*)"], folder="alias", tool="Edit") is Ruling.ALLOWED


def test_other_entries_are_left_as_they_are():
    find = place_finder("/", {}, PermissionRules())
    assert find(Message(text="x")) == Message(text="x")
