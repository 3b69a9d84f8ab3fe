"""Built-in templates: the prompts that apply where no other template is defined.

    name             variables, besides `task` (id, title, description, priority, context) and those of the run
    coding
    plan
    plan_follow_up   feedback, proposal
    implement        plan
    follow_up        feedback
    message          messages: what humans wrote while the agent worked; planning: whether it only proposes
    conflict         conflicts: a list of (repository, target, paths); feedback
    resume           prompt: the interrupted one
    decompose        schema: the JSON Schema of a plan
    result           schema: the JSON Schema of what an agent says about its run; stands at the end of a prompt
    replay           history: the conversation of a session that the agent lost; prompt

If a task's description begins with its title, as in a task made from a prompt, the prompt is the description alone,
unchanged to the character. The context of a task, if it has any, follows as JSON, up to 20,000 characters of it.
"""

from collections.abc import Mapping
from types import MappingProxyType

from aura_engine.agent_results import REQUEST

_CODING = """\
{%- set title = task.title.split() | join(" ") -%}
{%- set description = (task.description or "").split() | join(" ") -%}
{%- if not description -%}
{{ task.title }}
{%- elif description.startswith(title.rstrip(".\u2026 ")) -%}
{{ task.description }}
{%- else -%}
{{ task.title }}

{{ task.description }}
{%- endif -%}
{%- if task.context %}

Context: {{ task.context | tojson | truncate(20000, true, " [...] (cut here: the task has the rest)") }}
{%- endif -%}
"""

_PLAN = """\
{% include "coding" %}

Do not change any files yet. Say in words how you propose to do this: which files you would change and how, what you \
would test, what you are unsure of. A human will decide on your proposal.
"""

_PLAN_FOLLOW_UP = """\
{% if proposal -%}
A human has read your proposal and did not approve it yet:
{%- else -%}
A human has reviewed your work and asks for changes:
{%- endif %}

{{ feedback }}

Make a{% if proposal %} new{% endif %} proposal that takes this into account. Do not change any files yet.
{%- if proposal %}

Your proposal was:

{{ proposal }}
{%- endif %}
"""

_IMPLEMENT = """\
{% include "coding" %}
{%- if plan %}

Your plan for this was approved. Carry it out now:

{{ plan }}
{%- else %}

Your plan for this was approved. Carry it out now.
{%- endif %}
"""

_FOLLOW_UP = """\
A human has reviewed your work and asks for changes:

{{ feedback }}
"""

_MESSAGE = """\
While you were working, a human wrote to you:

{{ messages }}

Answer, and take it into account in your work.
{%- if planning %} Then make your whole proposal again. Do not change any files yet.{% endif %}
"""

_CONFLICT = """\
Your work cannot be merged: other changes touch the same lines. Resolve the conflicts in these files, so that both \
changes keep their meaning:
{% for files in conflicts %}
{% if files.repository -%}
In {{ files.repository }}{% if files.target %}, with the branch {{ files.target }}{% endif %}:
{% elif files.target -%}
With the branch {{ files.target }}:
{% endif -%}
{% for path in files.paths -%}
- {{ path }}
{% endfor -%}
{% endfor -%}
{% if feedback %}
{{ feedback }}
{% endif -%}
"""

_RESUME = """\
You were interrupted before you were done. Look at what you have changed so far, and continue. Your instructions were:

{{ prompt }}
"""

_DECOMPOSE = """\
{% include "coding" %}

Do not change any files. Look at what this takes, and split it into subtasks that other agents can work on. Each needs \
a clear objective and a result that can be reviewed. A human will decide on your plan. End your last message with one \
JSON object that follows this JSON Schema:

{{ schema | tojson }}
"""

_RESULT = f"""

When you are done, {REQUEST}:

{{{{ schema | tojson }}}}
"""

_REPLAY = """\
{%- if history -%}
You are continuing work that was begun in another session. This is the conversation so far:

{{ history }}

The files are as they were left. Look at them before you continue. These are your instructions now:

{% endif -%}
{{ prompt }}
"""

VARIABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "coding": (),
        "plan": (),
        "plan_follow_up": ("feedback", "proposal"),
        "implement": ("plan",),
        "follow_up": ("feedback",),
        "message": ("messages", "planning"),
        "conflict": ("conflicts", "feedback"),
        "resume": ("prompt",),
        "decompose": ("schema",),
        "result": ("schema",),
        "replay": ("history", "prompt"),
    }
)
"""Name -> the variables that AURA provides, besides `task`."""

BUILTIN: Mapping[str, str] = MappingProxyType(
    {
        "coding": _CODING.removesuffix("\n"),
        "plan": _PLAN,
        "plan_follow_up": _PLAN_FOLLOW_UP,
        "implement": _IMPLEMENT,
        "follow_up": _FOLLOW_UP,
        "message": _MESSAGE,
        "conflict": _CONFLICT,
        "resume": _RESUME,
        "decompose": _DECOMPOSE,
        "result": _RESULT,
        "replay": _REPLAY,
    }
)
"""Name -> text."""
