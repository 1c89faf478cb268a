"""Is this the workers' virtual host, and do the exporter's events arrive?"""

from __future__ import annotations

from collections.abc import Iterator

from celeriac.doctor.broker_facts import EventQueueFacts, Pidbox, RabbitFacts
from celeriac.doctor.findings import Check, Look, Verdict, note, problem, warning
from celeriac.doctor.unexamined import Unexamined
from celeriac.doctor.words import listed, several

RABBITMQ = Look("RabbitMQ's virtual host", lambda evidence: evidence.broker.rabbitmq)
EVENT_QUEUE = Look("the exporter's event queue", lambda evidence: evidence.broker.event_queue)
# A queue this full is about to drop events.
NEARLY_FULL = 0.8


def wrong_vhost(facts: RabbitFacts) -> Iterator[Verdict]:
    elsewhere = _elsewhere(facts)
    is_empty = not (facts.has_event_exchange or facts.has_control_exchange)
    if not is_empty and not elsewhere:
        return
    evidence = [f"there are {listed(_places(elsewhere))}"] if elsewhere else []
    if is_empty:
        exchanges = (facts.asked.event_exchange, f"{facts.asked.control_exchange}.pidbox")
        evidence.append(f"it has neither exchange: {listed(exchanges)}")
    # Where its exchanges are, the workers may just be down, and the others somebody else's.
    judge = problem if is_empty else warning
    yield judge(
        f"Celery is not in virtual host {facts.vhost}"
        + (f" but in {listed({pidbox.vhost for pidbox in elsewhere})}" if elsewhere else ""),
        *evidence,
        remedy="End --broker-url in the virtual host of the workers' broker_url"
        + (f": /{elsewhere[0].vhost}" if elsewhere else "; / is written %2F")
        + ".",
    )


def _elsewhere(facts: RabbitFacts) -> list[Pidbox]:
    """Return the workers of other virtual hosts, if there are none in this one."""
    if isinstance(facts.pidboxes, Unexamined):
        return []
    is_here = any(pidbox.vhost == facts.vhost for pidbox in facts.pidboxes)
    return [] if is_here else list(facts.pidboxes)


def _places(pidboxes: list[Pidbox]) -> list[str]:
    return [f"{pidbox.worker} in virtual host {pidbox.vhost}" for pidbox in pidboxes]


def event_exchange(facts: RabbitFacts) -> Iterator[Verdict]:
    if facts.event_exchange_conflict is not None:
        name = facts.asked.event_exchange
        yield problem(
            f"Exchange {name} is not the one that Celery's events need",
            facts.event_exchange_conflict,
            remedy=f"Delete it (rabbitmqadmin delete exchange name={name}) and restart the "
            "workers, which declare it anew; or give them another event_exchange, and us the same "
            "--event-exchange.",
        )


def management(facts: RabbitFacts) -> Iterator[Verdict]:
    if not facts.is_api_configured:
        yield note(
            "Without RabbitMQ's management API some numbers are missing",
            "no celery_queue_unacked; queues that nobody consumes cannot be discovered",
            remedy="Give --broker-management-url http://HOST:15672; user and password are the "
            "broker's.",
        )
    elif isinstance(facts.pidboxes, Unexamined):
        yield warning(
            "RabbitMQ's management API does not answer as it should",
            facts.pidboxes.reason,
            remedy="Check --broker-management-url and that the broker's user has the tag "
            "'monitoring': rabbitmqctl set_user_tags USER monitoring",
        )


def event_queue(facts: EventQueueFacts) -> Iterator[Verdict]:
    depth, limit = facts.depth, facts.asked.event_queue_length
    if depth is None:
        yield warning(
            f"No exporter has come for its events: there is no queue {facts.name}",
            f"queue {facts.name} does not exist, or has expired after an hour without a consumer",
            remedy="Start the exporter, or give the --instance that it runs with.",
        )
        return
    waiting = f"{several(depth.ready, 'message')} of at most {limit:,} wait"
    if depth.consumers == 0:
        yield problem(
            f"Nobody reads the exporter's event queue {facts.name}: the exporter is down",
            "it has no consumer",
            waiting,
            remedy="Start the exporter; it then counts what waits, unless the oldest have been "
            "dropped.",
        )
    elif depth.ready >= NEARLY_FULL * limit:
        yield warning(
            f"The exporter does not keep up with its event queue {facts.name}",
            waiting,
            remedy="Give the exporter more CPU, or a greater --event-queue-length for a burst; "
            "when the queue is full, the oldest events are dropped.",
        )


CHECKS = (
    Check("rabbitmq-vhost", RABBITMQ, "this is the virtual host that Celery uses", wrong_vhost),
    Check("event-exchange", RABBITMQ, "the event exchange is Celery's", event_exchange),
    Check("management-api", RABBITMQ, "RabbitMQ's management API answers", management),
    Check("event-queue", EVENT_QUEUE, "the exporter reads its event queue", event_queue),
)
