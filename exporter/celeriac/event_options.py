"""The options of ``celeriac exporter`` for events that wait while it is away."""

from __future__ import annotations

from typing import Any

from celeriac import settings
from celeriac.options import Value, one_of, section, whole

EVENT_QUEUES = ("durable", "transient")

events = section("Events (RabbitMQ only)")

_OPTIONS = (
    events(
        "--instance",
        type=Value("name", "a name", lambda text: settings.instance("", text)),
        default="default",
        show_default=True,
        metavar="NAME",
        help="Names the queue, celeriac.events.NAME: one for each exporter of a virtual host.",
    ),
    events(
        "--event-queue",
        type=one_of(*EVENT_QUEUES),
        default="durable",
        show_default=True,
        help="durable: events wait while the exporter is away, for at most an hour. transient: "
        "they are lost; needs no more permissions than Celery's own monitors.",
    ),
    events(
        "--event-queue-length",
        type=whole(1, 100_000_000),
        default=200_000,
        show_default=True,
        metavar="N",
        help="Messages that wait at most; the oldest are dropped first.",
    ),
)


def event_queue_options(command: Any) -> Any:
    """Add all of them to *command*."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
