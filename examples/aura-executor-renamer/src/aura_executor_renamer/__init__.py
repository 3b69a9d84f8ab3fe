"""Executor `renamer`: AURA runs renamer, an agent that renames words.

    aura run --executor renamer --prompt "Rename fetch to load"

- **success**: ``done`` with ok true; **failure**: ``done`` with ok false. The exit code is always 0;
- **refusal**: code ``refused``; **session lost**: code ``no_session`` after an attempt to resume;
- **cut off**: no ``done`` at all, whatever the exit code;
- **interrupted**: AURA ended it; later output does not count;
- **missing permission**: ``done`` lists the files that it was not allowed to edit.
"""

from collections.abc import Mapping

from aura_executors import AgentRun, Availability, Capability, Conversation, Executor, Launch, read_options

from aura_executor_renamer.command import PROGRAM, RenamerOptions, argv_of, options_of, stdin_of
from aura_executor_renamer.conversation import RenamerConversation

__all__ = ["RenamerConversation", "RenamerExecutor", "RenamerOptions"]


class RenamerExecutor(Executor):
    """Runs renamer."""

    name = "renamer"
    summary = "renames words: say `rename A to B`; asks before it edits"
    capability = Capability(resume=True, permissions=True, plan=False, protocol=True)

    def launch(self, run: AgentRun) -> Launch:
        options = options_of(run)
        return Launch(argv=argv_of(run, options), env=dict(options.env), stdin=stdin_of(run, options), interactive=True)

    def converse(self, run: AgentRun) -> Conversation:
        return RenamerConversation(run)

    def silencing_option(self, options: Mapping[str, object]) -> str | None:
        return None if read_options(self.name, options, RenamerOptions).ask else "ask"

    def availability(self, environment: Mapping[str, str]) -> Availability:
        return PROGRAM.availability(environment)
