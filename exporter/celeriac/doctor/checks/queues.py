"""Does somebody consume every queue, and is every queue there that somebody consumes?"""

from __future__ import annotations

from collections.abc import Iterator

from celeriac.doctor.evidence import Cluster
from celeriac.doctor.findings import Check, Look, Verdict, note, warning
from celeriac.doctor.words import listed

QUEUES = Look("the queues", lambda evidence: evidence.counted)


def unconsumed(cluster: Cluster) -> Iterator[Verdict]:
    alone = {
        queue.queue: queue.depth.ready
        for queue in cluster.snapshot.queues
        if queue.depth is not None and queue.consumers == 0 and not queue.workers
    }
    waiting = {name: ready for name, ready in alone.items() if ready}
    if waiting:
        yield warning(
            f"Messages wait where nobody consumes: {listed(waiting)}",
            *(f"{name}: {ready:,} waiting, no consumer" for name, ready in sorted(waiting.items())),
            remedy="Start a worker for it: celery -A APP worker -Q QUEUE; or correct the name in "
            "task_routes or in the call. To throw the messages away: celery -A APP purge -Q QUEUE",
        )
    elif alone:
        yield note(
            f"Nobody consumes {listed(alone)}; nothing waits there",
            "each has a series celery_queue_consumers 0",
            remedy="Delete what is not needed any more; otherwise start a worker with -Q QUEUE.",
        )


def absent(cluster: Cluster) -> Iterator[Verdict]:
    if not _can_tell_lengths(cluster):
        return
    there = {queue.queue for queue in cluster.snapshot.queues if queue.depth is not None}
    consumed = {queue.queue for queue in cluster.snapshot.queues if queue.workers} - there
    if consumed:
        yield warning(
            f"Workers consume queues that do not exist: {listed(consumed)}",
            "the broker knows no such queue; it was deleted under its consumers, or is exclusive",
            remedy="Restart the workers that consume it: they declare it anew.",
        )
    if unheard := cluster.asked.queues - there - consumed:
        yield note(
            f"Queues of --queues that do not exist: {listed(unheard)}",
            "neither broker nor workers know them",
            remedy="Correct --queues.",
        )


def _can_tell_lengths(cluster: Cluster) -> bool:
    """Some transports of kombu cannot: then no queue has a length."""
    return any(queue.depth is not None for queue in cluster.snapshot.queues)


CHECKS = (
    Check("queue-unconsumed", QUEUES, "somebody consumes every queue", unconsumed),
    Check("queue-absent", QUEUES, "every queue that is named exists", absent),
)
