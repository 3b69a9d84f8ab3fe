"""Identity: what tells workers and processes apart, also after a restart."""

import msgspec


class WorkerIdentity(msgspec.Struct, frozen=True, gc=False):
    """The identity of a worker, beyond its id.

    `instance` is a random string that the worker keeps with its agents' spools. A restarted worker that finds the
    spools keeps its instance; a worker that starts from nothing gets a new one. It is not a secret.
    """

    host: str
    instance: str


class ProcessIdentity(msgspec.Struct, frozen=True, gc=False):
    """The identity of an operating system process; a `pid` alone may be reused.

    `started` is the start time as the system reports it (Linux: field 22 of ``/proc/PID/stat``), compared as text.
    `token` is the string in the environment of the process that identifies its descendants. It is not a secret.
    """

    pid: int
    started: str
    token: str
