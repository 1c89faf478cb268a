"""Do the workers use the exchanges that we were told?"""

from __future__ import annotations

from collections.abc import Iterator

from celeriac.doctor.broker_facts import Names
from celeriac.doctor.findings import Check, Look, Verdict, problem
from celeriac.doctor.unexamined import if_any
from celeriac.doctor.words import listed

CONTROL = Look(
    "the exchange of commands",
    lambda evidence: if_any(
        evidence.broker.names, lambda names: bool(names.control), "no worker takes commands there"
    ),
)
EVENTS = Look(
    "the exchange of events",
    lambda evidence: if_any(
        evidence.broker.names, lambda names: bool(names.events), "no worker sends events there"
    ),
)


def control_exchange(names: Names) -> Iterator[Verdict]:
    asked = names.asked.control_exchange
    if names.control and asked not in names.control:
        other, workers = next(iter(sorted(names.control.items())))
        yield problem(
            f"The workers take their commands from exchange {listed(names.control)}, not {asked}",
            f"{listed(workers)} listen to {other}.pidbox, and none to {asked}.pidbox",
            remedy=f"Add --control-exchange {other}, as in the workers' control_exchange.",
        )


def event_exchange(names: Names) -> Iterator[Verdict]:
    asked = names.asked.event_exchange
    if names.events and asked not in names.events:
        yield problem(
            f"The workers' events go to exchange {listed(names.events)}, not {asked}",
            f"no events on {asked}; there are on {listed(names.events)}",
            remedy=f"Add --event-exchange {min(names.events)}, as in the workers' event_exchange.",
        )


CHECKS = (
    Check("control-exchange", CONTROL, "commands go to the workers' exchange", control_exchange),
    Check("event-exchange-name", EVENTS, "events come from the workers' exchange", event_exchange),
)
