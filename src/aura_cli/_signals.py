"""Signals: those that ask this process to end, unless it inherited them as ignored."""

import signal
import threading
from collections.abc import Sequence


def ending_signals() -> Sequence[signal.Signals]:
    """Return SIGINT, SIGTERM and SIGHUP without those that are ignored; none outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return ()
    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return [each for each in asked if signal.getsignal(each) is not signal.SIG_IGN]
