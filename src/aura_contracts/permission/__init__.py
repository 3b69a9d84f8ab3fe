"""Permission: rules that allow or refuse tool calls without asking a human, and fingerprints of calls. Pure.

A rule is the name of a tool, optionally followed by what it is used on, in brackets. ``*`` is any text:

    Read                   every call of the tool Read
    mcp__github            every tool of that server; mcp__github__* says the same
    Bash(git status)       this command
    Bash(npm run *)        this command with any arguments, or none; Bash(npm run:*) says the same
    Edit(src/*)            files below src in the agent's working folder
    Read(~/.ssh/*)         files below a folder of the agent's user
    WebFetch(domain:x.org) addresses of this host
    *                      everything

**Allow rules** are narrow. All that a call is used on has to be allowed: each command of a line, each file as written
and where its symbolic links lead. **Deny rules** are wide: whatever part of a call they cover, in whatever spelling.
**A human decides whatever is unclear**: a line of shell that is not understood is allowed by no pattern, and if a deny
rule might cover it, by no rule at all.

Rules look at the text of a call, not at its effects. An allowed command may do anything that it can: ``Bash(git *)``
allows ``git -c core.pager=...``. And a deny rule does not see what a program does by itself: with ``Bash(rm *)``,
``make clean`` is not refused. To be safe, allow little.

    wildcards ► shell, programs ► commands, paths ► calls ► files, rules ► verdict
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_contracts.permission.calls import CUT_MARK as CUT_MARK
    from aura_contracts.permission.calls import commands_of as commands_of
    from aura_contracts.permission.calls import family_of as family_of
    from aura_contracts.permission.calls import fingerprint_of as fingerprint_of
    from aura_contracts.permission.calls import folders_of as folders_of
    from aura_contracts.permission.calls import is_cut as is_cut
    from aura_contracts.permission.calls import is_readable as is_readable
    from aura_contracts.permission.calls import is_widened as is_widened
    from aura_contracts.permission.calls import listed_commands as listed_commands
    from aura_contracts.permission.calls import more_of as more_of
    from aura_contracts.permission.calls import others_of as others_of
    from aura_contracts.permission.calls import paths_of as paths_of
    from aura_contracts.permission.calls import subject_of as subject_of
    from aura_contracts.permission.calls import texts as texts
    from aura_contracts.permission.command_line import CommandLine as CommandLine
    from aura_contracts.permission.command_line import Redirection as Redirection
    from aura_contracts.permission.command_line import SimpleCommand as SimpleCommand
    from aura_contracts.permission.command_line import Word as Word
    from aura_contracts.permission.commands import allowed_patterns as allowed_patterns
    from aura_contracts.permission.commands import allowed_sources as allowed_sources
    from aura_contracts.permission.commands import allows_command as allows_command
    from aura_contracts.permission.commands import commands_in as commands_in
    from aura_contracts.permission.commands import line_of as line_of
    from aura_contracts.permission.commands import programs_of as programs_of
    from aura_contracts.permission.commands import refuses_command as refuses_command
    from aura_contracts.permission.commands import runs_nothing as runs_nothing
    from aura_contracts.permission.commands import texts_of as texts_of
    from aura_contracts.permission.files import PLACES_LIMIT as PLACES_LIMIT
    from aura_contracts.permission.files import NamedFile as NamedFile
    from aura_contracts.permission.files import files_in as files_in
    from aura_contracts.permission.files import paths_in as paths_in
    from aura_contracts.permission.paths import NOWHERE as NOWHERE
    from aura_contracts.permission.paths import Places as Places
    from aura_contracts.permission.paths import allows_path as allows_path
    from aura_contracts.permission.paths import alternatives as alternatives
    from aura_contracts.permission.paths import normal as normal
    from aura_contracts.permission.paths import prefix_of as prefix_of
    from aura_contracts.permission.paths import refuses_path as refuses_path
    from aura_contracts.permission.programs import RUN_NOTHING as RUN_NOTHING
    from aura_contracts.permission.programs import RUN_TEXTS as RUN_TEXTS
    from aura_contracts.permission.programs import RUNNERS as RUNNERS
    from aura_contracts.permission.programs import SHELLS as SHELLS
    from aura_contracts.permission.rules import Rule as Rule
    from aura_contracts.permission.rules import known_rule as known_rule
    from aura_contracts.permission.shell import ASSIGNMENT as ASSIGNMENT
    from aura_contracts.permission.shell import COMMAND_LIMIT as COMMAND_LIMIT
    from aura_contracts.permission.shell import KEYWORDS as KEYWORDS
    from aura_contracts.permission.shell import read_line as read_line
    from aura_contracts.permission.values import PermissionRules as PermissionRules
    from aura_contracts.permission.values import require_questions as require_questions
    from aura_contracts.permission.verdict import Judgement as Judgement
    from aura_contracts.permission.verdict import Ruling as Ruling
    from aura_contracts.permission.verdict import allowing as allowing
    from aura_contracts.permission.verdict import judge as judge
    from aura_contracts.permission.verdict import refusing as refusing
    from aura_contracts.permission.wildcards import HOLE as HOLE
    from aura_contracts.permission.wildcards import Fit as Fit
    from aura_contracts.permission.wildcards import fits as fits
    from aura_contracts.permission.wildcards import match as match

export_lazily(__name__)
