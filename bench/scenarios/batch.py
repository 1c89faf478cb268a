"""How long a revoke of 10,000 ids takes: in one batch, and one by one as Celery's own API does it.

Sent is what the client alone does: nobody says whether it arrived. Acknowledged is until every
worker has confirmed every id; the batch is one request to the sidecar, with its audit. One by one
it is measured with a part of the ids, and the time is that of all of them.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from statistics import median

from celery import Celery

from bench.counts import check
from bench.figures import CELERIAC, Figure, Target
from bench.stage import Stage
from celeriac.celery_app import BrokerOptions, connect, make_app
from celeriac.outbox import open_outbox
from celeriac.sidecar.revoking import How, commands
from parts.acting import Acting
from parts.valkey import Redis
from parts.workers import Worker

NAME = "batch"
ONE_BY_ONE = "one by one"
SENT, ACKNOWLEDGED = "10,000 ids sent", "10,000 ids acknowledged"
TARGETS = (
    Target(NAME, SENT, 100, versus=ONE_BY_ONE, is_minimum=True),
    Target(NAME, ACKNOWLEDGED, 5_000),
)
IDS = 10_000
WORKERS = 2
REPEATS = 5
ANSWER_SECONDS = 5.0


def measure(stage: Stage) -> Iterator[Figure]:
    """Yield milliseconds."""
    stage.say(NAME)
    with Redis() as broker:
        app = make_app(BrokerOptions(broker.url))
        # The first call of all loads modules; a thing of milliseconds is done more than once.
        _send_batch(app, ["nothing"])
        batches = [_milliseconds(_send_batch, app) for _ in range(REPEATS)]
        yield Figure(NAME, CELERIAC, SENT, median(batches), "ms")
        one_by_one = _milliseconds(_send_one_by_one, app)
        yield Figure(NAME, ONE_BY_ONE, SENT, one_by_one, "ms")
    with Redis() as broker, ExitStack() as stack:
        workers = [Worker(broker.url, f"worker{n}") for n in range(WORKERS)]
        for worker in workers:
            stack.enter_context(worker)
        for worker in workers:
            worker.ready()
        nodes = [worker.node for worker in workers]
        with Acting(broker.url) as acting:
            yield Figure(NAME, CELERIAC, ACKNOWLEDGED, _batch_milliseconds(acting), "ms")
        part = IDS if stage.is_full else IDS // 50
        app = make_app(BrokerOptions(broker.url))
        took = _milliseconds(lambda app, ids: _ask_one_by_one(app, ids[:part], nodes), app)
        yield Figure(NAME, ONE_BY_ONE, ACKNOWLEDGED, took * IDS / part, "ms")


def _new_ids() -> list[str]:
    return [str(uuid.uuid4()) for _ in range(IDS)]


def _milliseconds(work: Callable[[Celery, Sequence[str]], None], app: Celery) -> float:
    ids = _new_ids()
    began = time.perf_counter()
    work(app, ids)
    return (time.perf_counter() - began) * 1000


def _send_batch(app: Celery, ids: Sequence[str]) -> None:
    with connect(app) as connection:
        exchange = app.control.mailbox(connection).exchange
        messages = [
            {"method": command.method, "arguments": command.arguments, "destination": ["w@h"]}
            for command in commands(ids, How())
        ]
        open_outbox(connection, exchange).send(messages, {"clock": 1, "expires": 0})


def _send_one_by_one(app: Celery, ids: Sequence[str]) -> None:
    with connect(app) as connection:
        for task_id in ids:
            app.control.revoke(task_id, connection=connection)


def _ask_one_by_one(app: Celery, ids: Sequence[str], nodes: Sequence[str]) -> None:
    with connect(app) as connection:
        for task_id in ids:
            answers = app.control.revoke(
                task_id,
                connection=connection,
                destination=list(nodes),
                reply=True,
                timeout=ANSWER_SECONDS,
            )
            check(ONE_BY_ONE, Counter(answers=len(answers)), Counter(answers=len(nodes)))


def _batch_milliseconds(acting: Acting) -> float:
    # The first look at a fleet that nobody knows takes a second.
    acting.revoke(["nothing"])
    ids = _new_ids()
    began = time.perf_counter()
    answer = acting.revoke(ids)
    took = (time.perf_counter() - began) * 1000
    check(CELERIAC, Counter(revoked=answer["successful"]), Counter(revoked=IDS))
    return took
