"""Options: the options of all commands that set the fields of a request, by command.

They are static because importing the request classes takes longer than parsing. `tests/aura_cli/test_options.py`
compares the two.
"""

from argparse import ArgumentParser

from aura_cli.arguments.declarations import Option, OptionGroup, add_option
from aura_cli.arguments.values import instant, level, number, pair, seconds, setting, share, truth

TASK_ID = Option("", "id", "the task: its id, or the first or last digits of it", "ID")

WHERE = OptionGroup(
    "where",
    (
        Option("repositories", "--repo", "repository to work on", "PATH", repeatable=True),
        Option("in_place", "--in-place", "work on the files where they are, without a worktree"),
        Option("target_branch", "--target-branch", "merge into this branch instead of the current one", "BRANCH"),
        Option("copy_files", "--copy", "untracked files to take along, such as .env", "GLOB", repeatable=True),
    ),
)

SESSION = OptionGroup(
    "the agent's session",
    (
        Option("session_id", "--session", "resume this session", "ID"),
        Option("resume_latest", "--resume-latest", "resume the newest session of this executor here"),
        Option("fork", "--fork", "resume a copy; leave the original unchanged"),
    ),
)

OPTION = Option("options", "--option", "any other option, as JSON or text", "KEY=VALUE", setting, repeatable=True)
"""Passes any option to an executor."""

AGENT = OptionGroup(
    "the agent",
    (
        Option("options.base_command", "--base-command", "program to run", "CMD"),
        Option("options.params", "--param", "argument of the program; may begin with -", "ARG", repeatable=True),
        Option("options.append_prompt", "--append-prompt", "text appended to every prompt", "TEXT"),
        Option("options.model", "--model", "model to use", "NAME"),
        Option("options.openai_endpoint", "--openai-endpoint", "OpenAI-compatible service to use", "URL"),
        Option("options.yolo", "--yolo", "never ask for permission"),
        Option("options.force", "--force", "the same, for agents that call it so", short="-f"),
        Option("options.trust", "--trust", "trust the folder without asking"),
        Option("options.allow_all_tools", "--allow-all-tools", "allow every tool without asking"),
        Option("", "--executor-path", "where an executor's program is", "NAME=PATH", pair, repeatable=True),
        OPTION,
    ),
    "passed to the executor, which rejects options it does not know",
)

PERMISSIONS = OptionGroup(
    "permissions",
    (
        Option("allow", "--allow", 'allow without asking: "Read", "Bash(npm test)"', "RULE", repeatable=True),
        Option("deny", "--deny", "refuse without asking; wins over --allow", "RULE", repeatable=True),
    ),
)

APPROVAL = Option(
    "approval",
    "--approval",
    "what a human approves, by default the changes",
    "MODE",
    choices=("plan", "changes", "both", "auto"),
)
TERMS = (
    Option("quorum", "--quorum", "how many have to approve the work", "N", number),
    Option("levels", "--level", "whom to ask next, once it is approved", "NAME,...[:N]", level, repeatable=True),
    Option("no_self_approval", "--no-self-approval", "you do not decide about it yourself"),
)
"""Who decides about the work besides the reviewers."""

REVIEWER = Option("reviewers", "--reviewer", "additional reviewer", "NAME", repeatable=True)
ATTEMPTS = Option("retry.max_attempts", "--attempts", "attempts at each stage", "N", number, default=3)

LOCKS = (
    Option("locks", "--lock", "what no other task may use at the same time, such as deploy", "NAME", repeatable=True),
    Option("locked_paths", "--lock-path", "files that no other task changes then: src/api/*", "GLOB", repeatable=True),
    Option(
        "on_collision",
        "--on-collision",
        "what happens if another task has one of its locks, by default wait",
        "WHAT",
        choices=("wait", "ask"),
    ),
)
"""What a task needs for itself alone."""

LABEL = Option("labels", "--label", "word to find it by", "WORD", repeatable=True)
DUE = Option("due_at", "--due", "when it should be done: 2026-01-04, or 2026-01-04T10:00:00Z", "TIME", instant)
ON_DEPENDENCY_FAILURE = Option(
    "on_dependency_failure",
    "--on-dependency-failure",
    "what happens if a task that it waits for fails or is cancelled, by default fail",
    "WHAT",
    choices=("fail", "wait", "start"),
)
ON_PART_FAILURE = Option(
    "on_part_failure",
    "--on-part-failure",
    "what happens if it completes with its parts and one of them fails, by default wait",
    "WHAT",
    choices=("wait", "fail", "ignore"),
)
PROJECT = Option("project", "--project", "project that it belongs to (default: that of its repository)", "NAME")
FIXES = Option("fixes", "--fixes", "task that it repairs", "ID")

VARIANT = Option("variant", "--variant", "named set of its options; see profiles.toml", "NAME")
TOOLS = Option("tools", "--mcp", "give it AURA's tools; see `aura mcp`")

_PLAN = (
    Option("variables", "--var", "variable for prompt templates", "KEY=VALUE", pair, repeatable=True),
    Option("setup", "--setup", "script to run before the agent", "CMD"),
    Option("cleanup", "--cleanup", "script to run after it, if it changed anything", "CMD"),
    Option("", "--setup-shell", "shell of the scripts", "SHELL", choices=("bash", "sh", "zsh", "pwsh"), default="bash"),
    Option("timeout", "--timeout", "time limit of each process", "SECONDS", seconds),
    Option("idle_timeout", "--idle-timeout", "time limit without any output", "SECONDS", seconds),
)

RUN = (
    OptionGroup(
        "",
        (
            Option("executor", "--executor", "agent to use; see `aura executors`", "NAME", required=True),
            Option("prompt", "--prompt", "the task; - reads it from stdin", "TEXT", either="prompt"),
            Option("", "--prompt-file", "read the task from this file instead", "PATH", either="prompt"),
            VARIANT,
            TOOLS,
            Option("", "--key", "start it once: the same key is the same task", "KEY"),
        ),
    ),
    OptionGroup("where", (Option("", "--cwd", "folder to work in", "PATH", default="."), *WHERE.options)),
    SESSION,
    AGENT,
    PERMISSIONS,
    OptionGroup(
        "how",
        (
            Option("title", "--title", "title of the task (default: start of the prompt)", "TEXT"),
            *_PLAN,
            APPROVAL,
            REVIEWER,
            *TERMS,
            Option("", "--auto-approve", "true means --approval auto", "true|false", truth),
            ATTEMPTS,
            Option("", "--after", "task that must complete first", "ID", repeatable=True),
            ON_DEPENDENCY_FAILURE,
            PROJECT,
            *LOCKS,
            LABEL,
            FIXES,
        ),
    ),
)
"""Of `aura_engine.RunRequest`."""

AGENT_TYPES = ("architect", "developer", "database", "tester", "reviewer", "devops")
"""Kinds of agents that the specification names; any other word is also allowed."""

AGENT_TYPE = Option("type", "--type", f"kind of agent: {', '.join(AGENT_TYPES)}, or any other word", "TYPE")

DESCRIPTION = Option("description", "--description", "all details; - reads them from stdin", "TEXT")
PRIORITY = Option("priority", "--priority", "priority, by default medium", "LEVEL", choices=("low", "medium", "high"))
CREATE = (
    OptionGroup(
        "",
        (
            Option("title", "title", "the task in one line", "TITLE"),
            DESCRIPTION,
            PRIORITY,
            Option("parent", "--parent", "task that it is a part of", "ID"),
            Option("after", "--after", "task that must complete first", "ID", repeatable=True),
            ON_DEPENDENCY_FAILURE,
            ON_PART_FAILURE,
            *LOCKS,
            LABEL,
            DUE,
            FIXES,
            PROJECT,
            Option("agent_type", "--type", "kind of agent to assign", "TYPE"),
            Option("context", "--context", "data for its prompt: JSON or text", "KEY=VALUE", setting, repeatable=True),
            APPROVAL,
            REVIEWER,
            *TERMS,
            ATTEMPTS,
        ),
    ),
    WHERE,
)
"""Of `aura_engine.inputs.NewTask`."""

EDIT = (
    OptionGroup(
        "",
        (
            Option("title", "--title", "the task in one line", "TEXT"),
            DESCRIPTION,
            PRIORITY._replace(help="priority"),
            APPROVAL._replace(field="approval_mode", help="what a human approves"),
            REVIEWER._replace(help="reviewer, instead of those it has"),
            LABEL._replace(help="label, instead of those it has"),
            DUE,
            Option("no_due_date", "--no-due", "remove the due date"),
            Option("after", "--after", "task that must complete first, instead of those", "ID", repeatable=True),
            ON_DEPENDENCY_FAILURE._replace(help="what happens if a task that it waits for fails or is cancelled"),
            ON_PART_FAILURE._replace(help="what happens if one of its parts fails"),
            LOCKS[0]._replace(help="what no other task may use at the same time, instead of those it has"),
            LOCKS[1]._replace(help="files that no other task changes then, instead of those it has"),
            LOCKS[2]._replace(help="what happens if another task has one of its locks"),
        ),
    ),
)
"""Of `aura_contracts.task.TaskChanges`."""

DECOMPOSE = (
    OptionGroup(
        "",
        (
            TASK_ID,
            Option("titles", "--subtask", "title of a subtask", "TITLE", repeatable=True),
            Option("plan", "--plan", "the subtasks as JSON, with what each waits for; - reads it from stdin", "JSON"),
        ),
    ),
    OptionGroup(
        "which agent proposes them",
        (
            Option("agent", "--agent", "this agent; see `aura agent list`", "ID"),
            Option("agent_type", "--type", "an idle agent of this type", "TYPE"),
            Option("executor", "--executor", "an idle agent of this executor, added if necessary", "NAME"),
            OPTION,
        ),
    ),
)
"""Of `Tasks.decompose` and `Tasks.request_decomposition`."""

COMPLETE = (
    OptionGroup(
        "",
        (
            TASK_ID,
            Option("result", "--result", "what came of it: JSON or text", "KEY=VALUE", setting, repeatable=True),
        ),
    ),
)

SUBMIT = (
    OptionGroup(
        "",
        (
            TASK_ID,
            Option("proposal", "--proposal", "what its agent proposes; - reads it from stdin", "TEXT", required=True),
            Option("confidence", "--confidence", "how sure the agent is, from 0 to 1", "SHARE", share),
            Option("no_approval", "--no-approval", "approve it at once, if the approval mode is auto"),
        ),
    ),
)
"""Of `Tasks.submit`."""

AGENT_EXECUTOR = Option("executor", "--executor", "executor that runs it; see `aura executors`", "NAME")
CAPABILITY = Option("capabilities", "--capability", "something it can do", "WORD", repeatable=True)

_PROFILE = (
    Option("description", "--description", "what to use it for", "TEXT"),
    VARIANT,
    Option("model", "--model", "model to use", "NAME"),
    Option("prompt", "--prompt", "its own instructions; - reads them from stdin", "TEXT"),
    Option("capacity", "--capacity", "how many tasks it works on at once", "N", number),
)
_LIMITS = (
    Option("timeout", "--timeout", "time limit of each process", "SECONDS", seconds),
    Option("idle_timeout", "--idle-timeout", "time limit without any output", "SECONDS", seconds),
    Option("output_limit", "--output-limit", "bytes that each process may write", "N", number),
)

ADD_AGENT = (
    OptionGroup(
        "",
        (
            Option("name", "name", "name of the agent", "NAME"),
            AGENT_EXECUTOR._replace(required=True),
            AGENT_TYPE._replace(default="developer"),
            *_PROFILE,
            CAPABILITY,
            OPTION,
        ),
    ),
    PERMISSIONS,
    OptionGroup("limits, where a run sets none", _LIMITS),
)
"""Of `aura_engine.inputs.NewAgent`."""

EDIT_AGENT = (
    OptionGroup(
        "",
        (
            Option("name", "--name", "name of the agent", "NAME"),
            AGENT_TYPE,
            AGENT_EXECUTOR,
            *_PROFILE,
            CAPABILITY._replace(help="what it can do, instead of what it has"),
            OPTION._replace(help="option of its executor, instead of those it has"),
        ),
    ),
    OptionGroup(
        "instead of those it has",
        tuple(option._replace(field=f"permissions.{option.field}") for option in PERMISSIONS.options)
        + tuple(option._replace(field=f"limits.{option.field}") for option in _LIMITS),
    ),
)
"""Of `aura_contracts.agent.AgentChanges`."""

_PROJECT = (
    Option("description", "--description", "what it is about", "TEXT"),
    Option("repositories", "--repo", "repository of it", "PATH", repeatable=True),
    Option("documents", "--document", "what agents read first: docs/*.md, say", "PATTERN", repeatable=True),
    Option("agent_type", "--type", "kind of agent for tasks that no rule has another for", "TYPE"),
    Option("sample_agents", "--sample-agents", "try agents of the pool that little is known of, by a recorded draw"),
)

ADD_PROJECT = (OptionGroup("", (Option("name", "name", "name of the project", "NAME"), *_PROJECT)),)
"""Of `aura_engine.inputs.NewProject`."""

EDIT_PROJECT = (
    OptionGroup("", (_PROJECT[0], *_PROJECT[3:])),
    OptionGroup("instead of those it has", _PROJECT[1:3]),
)
"""Of `aura_contracts.project.ProjectChanges`."""

ASSIGN = (
    OptionGroup("", (TASK_ID,)),
    OptionGroup(
        "to whom",
        (
            Option("agent", "--agent", "this agent; see `aura agent list`", "ID"),
            Option("agent_type", "--type", "one of the pool of this type, as soon as one is free", "TYPE"),
            CAPABILITY._replace(help="one of the pool that can do this"),
            Option("executor", "--executor", "one with this executor, added if necessary", "NAME"),
            Option("", "--outside", "assign only; AURA does not run the agent"),
        ),
    ),
    WHERE,
    AGENT._replace(options=(VARIANT, TOOLS, *AGENT.options)),
    PERMISSIONS,
    OptionGroup("how", _PLAN),
)
"""Of `aura_engine.inputs.Assignment`."""

FOLLOW = (
    Option("", "--wait", "wait for the decision, then continue"),
    Option("", "--review", "print the changes at the end"),
    Option("", "--no-tui", "print lines only and ask no questions here"),
)
"""How a command follows the task that it started."""

NO_WAIT = Option("", "--no-wait", "record it only, without driving the task")
FOLLOW_EPILOG = """\
What follows happens here and is shown as `aura run` shows it, unless another
process drives the task already. With --no-wait it is left to whatever drives
the task next, such as `aura task resume`.
"""


def add_follow_options(parser: ArgumentParser, *, waits: bool = False) -> None:
    """Declare how a task is followed; with `waits` the command cannot skip it."""
    how = parser.add_mutually_exclusive_group()
    if not waits:
        add_option(how.add_argument, NO_WAIT)
    wait, *others = FOLLOW
    add_option(how.add_argument, wait)
    for option in others:
        add_option(parser.add_argument, option)
    parser.set_defaults(**({"no_wait": False} if waits else {}))
