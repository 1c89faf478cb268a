"""The application of the demo: a small shop. ``celery -A celeriac.demo.tasks worker`` runs it.

The tasks only take their time; what goes wrong, goes wrong by chance.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

from celery import Celery
from celery.schedules import crontab

_chance = random.Random()  # noqa: S311  no secret is made of it


class OutOfStockError(Exception):
    """An order came too late."""


class CardDeclinedError(Exception):
    """The customer's bank says no."""


class GatewayTimeoutError(Exception):
    """The payment gateway did not answer; it is asked again."""


class MailboxFullError(Exception):
    """The customer never reads."""


class FontMissingError(Exception):
    """A report cannot be typeset."""


def _work(shortest_seconds: float, longest_seconds: float) -> None:
    time.sleep(_chance.uniform(shortest_seconds, longest_seconds))


def _fail_sometimes(shares: Mapping[type[Exception], float]) -> None:
    """Raise each exception in its share of the calls."""
    for exception, share in shares.items():
        if _chance.random() < share:
            raise exception("as in life")


def confirm_order() -> None:
    _work(0.01, 0.05)
    _fail_sometimes({OutOfStockError: 0.01})


def charge() -> None:
    _work(0.05, 0.3)
    _fail_sometimes({CardDeclinedError: 0.02, ValueError: 0.01, GatewayTimeoutError: 0.06})


def send_mail() -> None:
    _work(0.01, 0.04)
    _fail_sometimes({MailboxFullError: 0.005})


def sync_stock() -> None:
    _work(0.2, 0.6)


def render_report() -> None:
    _work(0.3, 2.0)
    _fail_sometimes({FontMissingError: 0.01})


def transcode() -> None:
    _work(1.0, 4.0)


def preview() -> None:
    _work(0.1, 0.4)


app = Celery("shop")
app.conf.update(
    task_default_queue="celery",
    task_routes={
        "shop.mail.*": {"queue": "mail"},
        "shop.reports.*": {"queue": "reports"},
        "shop.media.*": {"queue": "media"},
        "shop.archive.*": {"queue": "archive"},
    },
    task_ignore_result=True,
    # For revoked ids alone: without any backend, every worker complains about each of them.
    result_backend="cache+memory://",
    task_send_sent_event=True,
    worker_send_task_events=True,
    # A backlog stays in the broker, where the length of a queue shows it.
    worker_prefetch_multiplier=1,
    # On Redis a queue is one list per step, and 0 is served first.
    task_default_priority=3,
    broker_transport_options={"priority_steps": [0, 3, 6, 9], "queue_order_strategy": "priority"},
    broker_connection_retry_on_startup=True,
    beat_schedule={
        "stock": {"task": "shop.stock.sync", "schedule": 20.0},
        "summary": {"task": "shop.reports.summarize", "schedule": crontab(minute="*/2")},
    },
)

app.task(name="shop.orders.confirm")(confirm_order)
app.task(
    name="shop.payments.charge",
    autoretry_for=(GatewayTimeoutError,),
    max_retries=2,
    retry_backoff=2,
    retry_backoff_max=10,
)(charge)
app.task(name="shop.mail.send")(send_mail)
app.task(name="shop.mail.remind")(send_mail)
app.task(name="shop.stock.sync")(sync_stock)
app.task(name="shop.reports.render")(render_report)
app.task(name="shop.reports.summarize")(render_report)
# Acknowledged when done, as work that takes long should be.
app.task(name="shop.media.transcode", acks_late=True)(transcode)
app.task(name="shop.media.preview")(preview)
