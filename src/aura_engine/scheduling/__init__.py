"""Scheduling: which task of the queue is given to which agent of the pool next, and why. Pure.

values ► queue, selection ► schedule
"""

from aura_engine.scheduling.schedule import Allocation as Allocation
from aura_engine.scheduling.schedule import Schedule as Schedule
from aura_engine.scheduling.selection import choose_agent as choose_agent
from aura_engine.scheduling.values import AGEING as AGEING
from aura_engine.scheduling.values import Needs as Needs
from aura_engine.scheduling.values import PoolAgent as PoolAgent
from aura_engine.scheduling.values import WaitingTask as WaitingTask
from aura_engine.scheduling.values import group_of as group_of
from aura_engine.scheduling.values import level_of as level_of
