"""The page about notifications and alerts: what notifies whom, from the table that the engine uses."""

from collections.abc import Callable
from datetime import timedelta
from inspect import signature
from typing import Any

from aura_engine.notification.alert_search import (
    ENDED_SHARE,
    FAILED_SHARE,
    LOOK_EVERY,
    MINIMUM,
    SILENCE,
    WAITING,
    WINDOW,
)
from aura_engine.notification.kinds import KINDS, Pace
from aura_engine.notification.outage_watch import ASK_EVERY
from aura_store import open_log
from generator.docstrings import inline
from generator.markdown import NOTE, page, table
from generator.values import members


def notification_page() -> str:
    """Return the page about notifications and alerts."""
    rows = []
    for kind, row in KINDS.items():
        event = "" if row.event is None else f"`{row.event.topic}`"
        rows.append((f"`{kind}`", row.means, row.to, event, f"`{row.pace}`"))
    return page(
        "# Notifications and alerts",
        NOTE,
        "Who receives what, if they do not say otherwise in `notifications.yaml`: see"
        " [the guide](../how-to/notifications.md). A person who `watches` receives what others receive, too.",
        table(("kind", "means", "to", "event", "pace"), rows),
        "## Paces",
        members(Pace, inline),
        "## Alerts",
        f"While notifications are served, AURA looks every {LOOK_EVERY:.0f} seconds for what is not as it should be. An"
        " alert is recorded once, and cleared once it no longer holds.",
        table(
            ("alert", "holds if"),
            [
                (
                    "`stuck`",
                    (
                        f"an agent works, waits for no human, and its log has had no entry for {_minutes(SILENCE)}"
                        " minutes, in which the machine did not sleep and notifications were served all the time"
                    ),
                ),
                ("`waiting`", f"a question has been open for {_minutes(WAITING) // 60} hours"),
                (
                    "`error_rate`",
                    (
                        f"of at least {MINIMUM} runs that were queued within {_minutes(WINDOW)} minutes and have"
                        f" ended, more than {FAILED_SHARE:.0%} failed; it ends once at most {ENDED_SHARE:.0%} have,"
                        " of however few"
                    ),
                ),
            ],
        ),
        "## Outages",
        f"While notifications are served, the store is asked at least every {ASK_EVERY:.0f} seconds whether it answers,"
        " also while nothing happens. If it does not answer within the engine's `outage_timeout`"
        f" ({_default(open_log, 'outage_timeout'):.0f} seconds), operators are notified at once and by all of their"
        " channels, in quiet hours and without a digest, although nothing can be recorded then; a channel that fails"
        " meanwhile is tried again until the store is back. The end of such an outage is an event, like any other. A"
        " shorter outage only delays, and no one is notified.",
        "Each service notifies operators, once for each outage: the one at work, those that wait for their turn, and"
        " those that began while the store was away. None of them can know which others are left. Their messages about"
        " one outage have the same key, so a receiver of webhooks takes them as one.",
    )


def _default(function: Callable[..., object], parameter: str) -> Any:
    return signature(function).parameters[parameter].default


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds() // 60)
