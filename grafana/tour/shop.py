"""A shop's Celery cluster, simulated: what arrives, waits, runs and fails, in steps of a scrape."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

STEP_SECONDS = 15
SEED = 7


@dataclass(frozen=True, slots=True)
class Task:
    """One task: how often it is sent, how long it runs, and how it fails."""

    name: str
    queue: str
    per_second: float
    median_seconds: float
    failing: float
    exception: str


@dataclass(slots=True)
class Worker:
    """One worker; ``is_up`` turns false when it is lost."""

    name: str
    slots: int
    queues: tuple[str, ...]
    started_at: float
    is_up: bool = True
    heard_at: float = 0.0
    busy: float = 0.0
    task: str = ""
    runtime: float = 0.0
    processed: int = 0
    finished: Counter[str] = field(default_factory=Counter)


TASKS = (
    Task("shop.orders.confirm", "default", 4.0, 0.05, 0.004, "OutOfStockError"),
    Task("shop.stock.reserve", "default", 2.5, 0.08, 0.003, "OutOfStockError"),
    Task("shop.search.index_product", "default", 1.5, 0.4, 0.002, "ConnectionError"),
    Task("shop.crm.sync_customer", "default", 0.6, 1.2, 0.01, "ReadTimeout"),
    Task("shop.mail.send_receipt", "mail", 3.0, 0.2, 0.003, "MailboxFullError"),
    Task("shop.mail.remind", "mail", 0.8, 0.2, 0.003, "MailboxFullError"),
    Task("shop.payments.charge", "payments", 2.0, 0.6, 0.008, "CardDeclinedError"),
    Task("shop.payments.refund", "payments", 0.2, 0.7, 0.01, "GatewayTimeoutError"),
    Task("shop.media.make_thumbnail", "media", 1.2, 2.5, 0.006, "UnidentifiedImageError"),
    Task("shop.media.transcode", "media", 0.15, 18.0, 0.01, "CodecError"),
    Task("shop.reports.render", "reports", 0.3, 4.0, 0.005, "FontMissingError"),
    Task("shop.reports.rollup", "reports", 0.05, 25.0, 0.004, "OperationalError"),
)
GROUPS = {
    "web": (6, 8, ("default", "mail")),
    "pay": (2, 4, ("payments",)),
    "batch": (4, 4, ("media", "reports")),
}


class Shop:
    """The cluster at ``now``. An incident changes its workers and tasks from outside."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.random = random.Random(SEED)  # noqa: S311  no secret is made of it
        self.tasks = list(TASKS)
        self.workers = list(_fleet(now))
        self.waiting: dict[str, deque[tuple[float, Task]]] = {
            queue: deque() for _, _, queues in GROUPS.values() for queue in queues
        }
        self.counts: Counter[tuple[str, str, str]] = Counter()
        """By kind of event, task and queue."""
        self.exceptions: Counter[tuple[str, str, str]] = Counter()
        self.observed: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        """Every run time and wait of this step, by histogram, task and queue."""
        self.last: dict[tuple[str, str], float] = {}
        self.lost = 0

    def step(self) -> None:
        """Go on by the time between two scrapes."""
        self.now += STEP_SECONDS
        self.observed.clear()
        for task in self.tasks:
            for _ in range(self._arrivals(task)):
                self.waiting[task.queue].append((self.now - STEP_SECONDS / 2, task))
                self.counts["sent", task.name, task.queue] += 1
        for worker in self.workers:
            worker.busy = 0.0
            if worker.is_up:
                worker.heard_at = self.now - self.random.random() * 2
        while self._work_once():
            pass

    def consumers(self, queue: str) -> list[Worker]:
        return [worker for worker in self.workers if worker.is_up and queue in worker.queues]

    def deploy(self, *groups: str) -> None:
        """Start the workers of these groups anew."""
        for worker in self.workers:
            if worker.name.partition("-")[0] in groups:
                worker.started_at = self.now

    def _arrivals(self, task: Task) -> int:
        # A day in an hour: enough of a wave to be seen.
        wave = 1 + 0.15 * math.sin(self.now / 900)
        expected = task.per_second * STEP_SECONDS * wave
        return max(0, round(self.random.gauss(expected, math.sqrt(expected))))

    def _work_once(self) -> bool:
        """Let each worker with time left take one message; return whether any did."""
        took = False
        for worker in self.workers:
            if worker.is_up and worker.busy < worker.slots * STEP_SECONDS:
                took = self._take(worker) or took
        return took

    def _take(self, worker: Worker) -> bool:
        queues = [queue for queue in worker.queues if self.waiting[queue]]
        if not queues:
            return False
        sent_at, task = self.waiting[min(queues, key=lambda q: self.waiting[q][0][0])].popleft()
        runtime = task.median_seconds * self.random.lognormvariate(0, 0.4)
        worker.busy += runtime
        worker.task, worker.runtime = task.name, runtime
        worker.processed += 1
        wait = max(0.005, self.now - sent_at - STEP_SECONDS / 2) + self.random.expovariate(20)
        self._end(worker, task, runtime, wait)
        return True

    def _end(self, worker: Worker, task: Task, runtime: float, wait: float) -> None:
        key = (task.name, task.queue)
        has_failed = self.random.random() < task.failing
        outcome = "failed" if has_failed else "succeeded"
        for event in ("received", "started", outcome):
            self.counts[event, *key] += 1
        if self.random.random() < 0.01:
            self.counts["retried", *key] += 1
        worker.finished[outcome] += 1
        self.last[outcome, task.name] = self.now - self.random.random() * STEP_SECONDS
        self.observed["queue_wait", *key].append(wait)
        self.observed["prefetch_wait", *key].append(min(wait, 0.05))
        if has_failed:
            self.exceptions[(*key, task.exception)] += 1
        else:
            self.observed["runtime", *key].append(runtime)


def _fleet(now: float) -> Iterator[Worker]:
    for group, (count, slots, queues) in GROUPS.items():
        for number in range(1, count + 1):
            yield Worker(f"{group}-{number}@shop", slots, queues, now - 86_400 + number * 60)
