"""Notify: the channels through which notifications leave AURA.

    http      a POST that no address within the network, and no endless answer, can abuse
    webhook   a POST in the form of Standard Webhooks
    slack     an incoming webhook of Slack
    smtp      e-mail
    file      a line of JSON for each message
    terminal  a line on the terminal of the program
    desktop   the notifications of the desktop
    apprise   the services of the library Apprise, an extra
    blocking  calls that block, in threads that can be left
    masked    a channel whose errors and logs do not tell its secrets

Each is a `NotificationChannel` (`aura_contracts.ports.notifications`). None knows why, or what was sent before.
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_notify.apprise import AppriseChannel as AppriseChannel
    from aura_notify.desktop import DesktopChannel as DesktopChannel
    from aura_notify.file import FileChannel as FileChannel
    from aura_notify.slack import SlackChannel as SlackChannel
    from aura_notify.smtp import SmtpChannel as SmtpChannel
    from aura_notify.terminal import TerminalChannel as TerminalChannel
    from aura_notify.webhook import WebhookChannel as WebhookChannel

export_lazily(__name__)
