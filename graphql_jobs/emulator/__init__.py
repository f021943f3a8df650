"""Both job services on one loopback address, with a clock, a fault plan and a ledger of all requests and jobs.

It is an independent judge: it imports no other code of this project.
"""

from graphql_jobs.emulator.accounts import Accounts
from graphql_jobs.emulator.aiware.model import PlantedTask
from graphql_jobs.emulator.behaviour import Behaviour, Pace
from graphql_jobs.emulator.clock import Clock, ManualClock, SystemClock
from graphql_jobs.emulator.faults import Fault, FaultKind, FaultPlan, JobFault, JobFaultKind
from graphql_jobs.emulator.ledger import Cancel, Ledger, RequestRecord, Submission
from graphql_jobs.emulator.server import Emulator

__all__ = [
    "Accounts",
    "Behaviour",
    "Cancel",
    "Clock",
    "Emulator",
    "Fault",
    "FaultKind",
    "FaultPlan",
    "JobFault",
    "JobFaultKind",
    "Ledger",
    "ManualClock",
    "Pace",
    "PlantedTask",
    "RequestRecord",
    "Submission",
    "SystemClock",
]
