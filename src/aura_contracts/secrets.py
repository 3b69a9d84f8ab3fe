"""Secrets: recognising them, so that they are never stored. Pure.

Secrets are recognised by their **name**, by passwords in URLs, and by the formats in which services issue keys. They
belong in the environment of the worker, which the log never sees. Settings, scripts and prompts that contain a secret
are refused before anything is recorded, environments are redacted before they are shown or recorded, and the values
that are known from an environment are masked in output (`aura_contracts.secret_mask`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aura_contracts.errors import InvalidInput

REDACTED = "[redacted]"

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
"""Separators between the words of a name: apiKey, api-key, api.key and API_KEY are equivalent."""

_SECRET = re.compile(
    r"""
      TOKEN (?! S | I[SZ])                              # GITHUB_TOKEN; not max_tokens, TOKENIZERS_PARALLELISM
    | (?: ACCESS | API | AUTH | BEARER | REFRESH ) _? TOKENS
    | SECRET | PASSWORD | PASSWD | PASSPHRASE | PASSCODE | CREDENTIAL | AUTHORIZATION | COOKIE
    | (?: ACCESS | API | PRIVATE | SIGNING ) _? KEY
    | CONNECTION _? STRING
    | (?: _KEY | _PASS | SSHPASS | _PWD | MYSQLPWD | _AUTH | _DSN | ^DSN | _PAT | BEARER | _JWT | ^JWT ) $
    """,
    re.VERBOSE,
)

_HARMLESS = re.compile(
    r"""
      _ (?: FILE | PATH | DIR | DIRECTORY | SOCK | ENV | LIMIT | COUNT | TYPE | HELPER ) $   # about a secret
    | (?: CACHE | FOREIGN | GROUP | HOST | PARTITION | PRIMARY | PUBLIC | ROUTING | SORT ) _KEY $
    | ^OLD_?PWD$
    """,
    re.VERBOSE,
)

_USERINFO = re.compile(r"(?P<before>://[^/\s:@]*:)(?P<secret>(?!\$)[^/\s@]+)(?=@)")
"""The password in a URL (RFC 3986, section 3.2.1)."""

_ASSIGNMENT = re.compile(r"-{0,2}(?P<name>[A-Za-z][\w.-]*)\s*[=:]\s*(?P<secret>[^\s$].*)", re.DOTALL)
"""``--token=VALUE``, ``TOKEN=VALUE``, ``Authorization: VALUE``. A value that starts with ``$`` is a reference."""

_FLAG = re.compile(r"--?(?P<name>[A-Za-z][\w.-]*)")


_ISSUED = re.compile(
    r"""
      \b sk-(?: ant- | proj- | or- )? [A-Za-z0-9_-]{20,}                  # OpenAI, Anthropic and those that copy them
    | \b (?: sk | rk ) _ (?: live | test ) _ [A-Za-z0-9]{16,}             # Stripe
    | \b gh[oprsu]_ [A-Za-z0-9]{30,} | \b github_pat_ [A-Za-z0-9_]{30,}
    | \b gl(?: pat | rt | dt | ptt )- [A-Za-z0-9_-]{20,}                  # GitLab
    | \b xox[abeoprs]- [A-Za-z0-9-]{10,} | \b xapp- [A-Za-z0-9-]{20,}     # Slack
    | \b (?: AKIA | ASIA ) [A-Z0-9]{16} \b                               # AWS
    | \b AIza [A-Za-z0-9_-]{35}                                          # Google
    | \b hf_ [A-Za-z0-9]{30,} | \b npm_ [A-Za-z0-9]{36} | \b pypi- [A-Za-z0-9_-]{40,}
    | \b (?: dop_v1_ | shpat_ | gsk_ | xai- | nvapi- | r8_ | pplx- | fw_ | tvly- | lin_api_ ) [A-Za-z0-9_-]{20,}
    | \b SG\. [A-Za-z0-9_-]{16,} \. [A-Za-z0-9_-]{16,}                   # SendGrid
    | \b eyJ [A-Za-z0-9_-]{10,} \. eyJ [A-Za-z0-9_-]{10,} \. [A-Za-z0-9_-]{10,}   # RFC 7519
    | \b link1\. [A-Za-z0-9_-]{60,} \. [A-Za-z0-9_-]{40,}                 # links of AURA that answer a question
    | AGE-SECRET-KEY-1 [A-Z0-9]{50,}
    | -----BEGIN [ ] (?: [A-Z]+ [ ] )* PRIVATE [ ] KEY (?: [ ] BLOCK )? -----
    """,
    re.VERBOSE,
)
"""Keys by the formats that their issuers publish, so that scanners can find them."""

_GIVEN = re.compile(
    r"""
    (?: (?<![\w$./-]) (?P<variable> [A-Za-z_]\w* ) \+? =                  # TOKEN=VALUE, export TOKEN=VALUE
      | (?<![\w-]) --? (?P<flag> [A-Za-z][\w.-]* ) (?: = | \s+ )         # --token VALUE
      | (?<![\w-]) (?P<header> [A-Za-z][A-Za-z0-9-]* ) : \s*             # Authorization: VALUE
    )
    (?= ["']? (?: (?: Bearer | Basic | Token ) \s+ )? (?P<value> [^\s"'`;&|()<>]+ ) )
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""How commands are given secrets; the value is only looked at, because it may be a name in turn."""

_USER = re.compile(r"(?<![\w-]) (?: -u | --user ) [ =]? [\"']? [^\s:\"'$]+ : (?P<value> [^\s\"'$]+ )", re.VERBOSE)
"""curl -u NAME:PASSWORD"""

_PLACEHOLDER = re.compile(
    r"""
      [$<{%*\[-] .* | .* (?: \.\.\. | \u2026 | \*\*\* | xxx ) .* | \d{1,12}
    | (?: .*[_-])? (?: example | placeholder | change-?me | dummy | fake | redacted | secret | test | your | my )
      (?: [_-].*)?
    | true | false | yes | no | on | off | none | null | password | passwd | postgres | root | admin | guest | user
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What stands for a secret, or is not one: a test database's password may be written down."""

_SHORTEST = 6
"""Characters of a value that is taken for a secret because of its name."""


def secret_in(text: str, *, commands: bool = False) -> str | None:
    """Return what looks like a secret in `text`, in words; None if nothing does.

    In prose, the formats of issued keys and passwords in URLs; with `commands` also what is given to one as a secret.

    >>> secret_in("OPENAI_API_KEY=abc123def make", commands=True)
    'OPENAI_API_KEY'
    >>> secret_in("rename OPENAI_API_KEY=$KEY", commands=True)
    >>> secret_in("use sk-abcdefghijklmnopqrstuvwxyz012345")
    'sk-abc...'
    """
    if issued := _ISSUED.search(text):
        return f"{issued[0][:6]}..."
    if _USERINFO.search(text):
        return "a URL with a password"
    if not commands:
        return None
    for given in _GIVEN.finditer(text):
        name = given["variable"] or given["flag"] or given["header"]
        if holds_secret(name) and _is_literal(given["value"]):
            return name
    user = _USER.search(text)
    return "a password" if user and _is_literal(user["value"]) else None


def require_no_secret_within(value: object, field: str) -> None:
    """Raise `InvalidInput` if a text anywhere in `value`, data that will be stored, contains a secret, as prose."""
    match value:
        case str():
            require_no_secret(value, field)
        case Mapping():
            for name, part in value.items():
                require_no_secret_within(part, f"{field}.{name}")
        case list() | tuple():
            for index, part in enumerate(value):
                require_no_secret_within(part, f"{field}.{index}")
        case _:
            pass


def _is_literal(value: str) -> bool:
    return len(value) >= _SHORTEST and not _PLACEHOLDER.fullmatch(value)


def require_no_secret(text: str, field: str, *, commands: bool = False) -> None:
    """Raise `InvalidInput` if `text`, which will be stored, contains a secret: see `secret_in`."""
    if found := secret_in(text, commands=commands):
        raise _secret(field, found)


def holds_secret(name: str) -> bool:
    """Return whether a value with this name is a secret, judging by the name.

    >>> [holds_secret(name) for name in ("GITHUB_TOKEN", "apiKey", "max_tokens", "SSH_AUTH_SOCK")]
    [True, True, False, False]
    """
    words = _WORDS.sub("_", name).upper()
    return bool(_SECRET.search(words)) and not _HARMLESS.search(words)


def passwords_in(text: str) -> list[str]:
    """Return the passwords in the URLs in `text`."""
    return [found["secret"] for found in _USERINFO.finditer(text)]


def redact(values: Mapping[str, object]) -> dict[str, Any]:
    """Return `values`, an environment or nested settings, with secrets replaced by ``[redacted]``.

    >>> redact({"HOME": "/homes/ada", "GITHUB_TOKEN": "ghp_1", "params": ["--api-key", "sk-1"]})
    {'HOME': '/homes/ada', 'GITHUB_TOKEN': '[redacted]', 'params': ['--api-key', '[redacted]']}
    """
    return {
        name: REDACTED if value not in (None, "") and holds_secret(name) else _redacted(value)
        for name, value in values.items()
    }


def redact_text(text: str) -> str:
    """Return prose with issued keys, and passwords in URLs, replaced by ``[redacted]``."""
    return _ISSUED.sub(REDACTED, _USERINFO.sub(rf"\g<before>{REDACTED}", text))


def _redacted(value: object) -> object:
    match value:
        case str():
            return redact_text(value)
        case Mapping():
            return redact(value)
        case list() | tuple():
            parts = [_redacted(part) for part in value]
            for index, _, start in _given_in(value):
                parts[index] = value[index][:start] + REDACTED
            return parts if isinstance(value, list) else tuple(parts)
    return value


def require_no_secrets(values: Mapping[str, object], field: str = "options") -> None:
    """Raise `InvalidInput` if `values`, settings that will be stored, contain a secret at any depth.

    References such as ``$TOKEN``, empty strings, numbers and booleans are not secrets.
    """
    for name, value in values.items():
        place = f"{field}.{name}"
        if holds_secret(name) and not isinstance(value, Mapping) and _tells(value):
            raise _secret(place, name)
        _require_none_inside(value, place)


def _require_none_inside(value: object, place: str) -> None:
    match value:
        case str():
            require_no_secret(value, place, commands=True)
        case Mapping():
            require_no_secrets(value, place)
        case list() | tuple():
            for index, name, _ in _given_in(value):
                raise _secret(f"{place}[{index}]", name)
            for index, part in enumerate(value):
                _require_none_inside(part, f"{place}[{index}]")
        case _:
            pass


def _tells(value: object) -> bool:
    """Return whether `value`, under a secret's name, is a secret; references, booleans and numbers are not."""
    if isinstance(value, str):
        return bool(value) and not value.startswith("$")
    return isinstance(value, list | tuple | bytes) and bool(value)


def _given_in(arguments: Sequence[object]) -> Iterator[tuple[int, str, int]]:
    """Yield index, name and start of the value for every secret in the arguments of a command."""
    flag = ""
    for index, argument in enumerate(arguments):
        if not isinstance(argument, str):
            flag = ""
            continue
        given = _ASSIGNMENT.fullmatch(argument)
        if given and holds_secret(given["name"]):
            yield index, given["name"], given.start("secret")
        elif flag and argument and argument[0] not in "-$":
            yield index, flag, 0
        named = _FLAG.fullmatch(argument)
        flag = named["name"] if named and holds_secret(named["name"]) else ""


def _secret(place: str, name: str) -> InvalidInput:
    reason = f"looks like a secret ({name}) and would be stored forever"
    remedy = "set it in the environment of the worker, and refer to it by its variable: $NAME"
    return InvalidInput(field=place, reason=reason, remedy=remedy)
