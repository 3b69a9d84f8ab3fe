"""Agent: an AI worker with a speciality, and the tasks it is busy with (specification, "Agent").

    idle ──task taken──► working ──proposal waiting──► waiting_for_approval
     ▲                   │     ▲                         │         │
     │◄────released──────┘     └─────────resumed─────────┘         │
     │◄────────────────────────released────────────────────────────┘
     │
     └──disabled──► disabled ──enabled──► idle

An agent works on as many tasks at once as its capacity says, normally one. While a human reviews its proposal the agent
is paused in that task and keeps it (specification, `submitForApproval`, step 5). It is released from a task when its
part in it ends, for whatever reason.

With several tasks it is ``working`` while it works on any of them, ``waiting_for_approval`` if each waits for a human.
"""

from aura_contracts.agent.commands import DisableAgent as DisableAgent
from aura_contracts.agent.commands import EditAgent as EditAgent
from aura_contracts.agent.commands import EnableAgent as EnableAgent
from aura_contracts.agent.commands import PauseAgent as PauseAgent
from aura_contracts.agent.commands import RecordAgentRefusal as RecordAgentRefusal
from aura_contracts.agent.commands import RegisterAgent as RegisterAgent
from aura_contracts.agent.commands import ReleaseAgent as ReleaseAgent
from aura_contracts.agent.commands import ResumeAgent as ResumeAgent
from aura_contracts.agent.commands import TakeTask as TakeTask
from aura_contracts.agent.event_types import AgentCommandRefused as AgentCommandRefused
from aura_contracts.agent.event_types import AgentDisabled as AgentDisabled
from aura_contracts.agent.event_types import AgentEdited as AgentEdited
from aura_contracts.agent.event_types import AgentEnabled as AgentEnabled
from aura_contracts.agent.event_types import AgentPaused as AgentPaused
from aura_contracts.agent.event_types import AgentRegistered as AgentRegistered
from aura_contracts.agent.event_types import AgentReleased as AgentReleased
from aura_contracts.agent.event_types import AgentResumed as AgentResumed
from aura_contracts.agent.event_types import TaskTaken as TaskTaken
from aura_contracts.agent.state import AGENT as AGENT
from aura_contracts.agent.state import Agent as Agent
from aura_contracts.agent.values import AgentChanges as AgentChanges
from aura_contracts.agent.values import AgentLimits as AgentLimits
from aura_contracts.agent.values import AgentSpec as AgentSpec
from aura_contracts.agent.values import AgentStatus as AgentStatus
from aura_contracts.agent.values import TaskInHand as TaskInHand
from aura_contracts.agent.values import TaskOutcome as TaskOutcome
