"""Which queue a task belongs to, as far as the workers' own answers tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from celeriac.model.facts import Binding, WorkerConf, WorkerReport

# RabbitMQ's native delayed delivery puts 28 binary levels in front of the routing key
# (kombu.transport.native_delayed_delivery).
DELAY_LEVELS = 28


class RouteMap:
    """An immutable view of all workers' bindings."""

    def __init__(self, reports: Iterable[WorkerReport] = ()) -> None:
        self._queues_by_worker: dict[str, frozenset[str]] = {}
        self._by_route: dict[tuple[str, str], str] = {}
        self._by_key: dict[str, str] = {}
        for report in reports:
            self._learn(report.worker, report.bindings)

    def _learn(self, worker: str, bindings: tuple[Binding, ...] | None) -> None:
        if bindings is None:
            return
        self._queues_by_worker[worker] = frozenset(binding.queue for binding in bindings)
        for binding in bindings:
            self._by_route[binding.exchange, binding.routing_key] = binding.queue
            self._by_key[binding.routing_key] = binding.queue

    def is_known(self, worker: str) -> bool:
        """Return whether *worker* has said what it consumes."""
        return worker in self._queues_by_worker

    def only_queue_of(self, worker: str) -> str | None:
        """Return the queue *worker* consumes, if it is a single one."""
        return _only(self._queues_by_worker.get(worker, frozenset()))

    def queue_of(self, exchange: str | None, routing_key: str | None) -> str | None:
        """Return where a message published like this lands, None if that is not certain."""
        if not routing_key:
            return None
        if not exchange:
            # The default exchange routes by the queue's name (AMQP 0-9-1, 3.1.3.1).
            return routing_key
        if exchange.startswith("celery_delayed_"):
            return self._by_key.get(_without_delay(routing_key))
        return self._by_route.get((exchange, routing_key))


def _without_delay(routing_key: str) -> str:
    return routing_key.split(".", DELAY_LEVELS)[-1]


class _Routing(NamedTuple):
    default_queue: str
    routes: tuple[tuple[str, str], ...]


def births(reports: Iterable[WorkerReport]) -> Iterator[tuple[str, str]]:
    """Yield the (task, queue) pairs whose counters can be born before the first event.

    The queue is the one a route names, else the default one, else the only one of the worker; a
    task that is routed past a worker is left to those that consume its queue. Most workers are
    alike: each kind of them is looked at once.
    """
    kinds = {(report.registered, report.queues, _routing(report.conf)) for report in reports}
    for registered, queues, routing in kinds:
        if registered and queues:
            yield from _births(registered, queues, routing)


def _routing(conf: WorkerConf | None) -> _Routing:
    return _Routing(conf.default_queue, conf.routes) if conf else _Routing("", ())


def _births(
    registered: frozenset[str], queues: frozenset[str], routing: _Routing
) -> Iterator[tuple[str, str]]:
    likely = routing.default_queue if routing.default_queue in queues else _only(queues)
    for task in registered:
        queue = _routed(task, routing.routes) or likely
        if queue in queues:
            yield task, queue


def _only(queues: frozenset[str]) -> str | None:
    return next(iter(queues)) if len(queues) == 1 else None


def _routed(task: str, routes: tuple[tuple[str, str], ...]) -> str | None:
    return next((queue for pattern, queue in routes if fnmatchcase(task, pattern)), None)
