"""Which queue a task's events count on, and that one task id keeps one queue."""

from __future__ import annotations

import pytest
from cluster import TASK, WORKER, Cluster, bindings, report, running

from celeriac.model.facts import Binding, Request, WorkerConf, WorkerReport
from celeriac.model.routes import RouteMap, births

DELAY_BITS = ".".join("0" * 28)


def queues_of(cluster: Cluster, kind: str) -> dict[str, object]:
    """Return the count of *kind* by queue, without the queues where nothing happened."""
    samples = cluster.show(f"celery_task_{kind}_total")
    return {queue: count for (_, queue), count in samples.items() if count}


def test_sent_names_the_queue() -> None:
    cluster = Cluster()
    cluster.sent(queue="mail")
    cluster.task("started")
    assert queues_of(cluster, "started") == {"mail": 1}


def test_one_id_keeps_the_queue_it_was_first_counted_on() -> None:
    cluster = Cluster()
    cluster.heartbeat()
    cluster.answer(report(WORKER, "mail"))
    cluster.received()
    cluster.sent(queue="elsewhere")
    cluster.task("succeeded")
    assert queues_of(cluster, "succeeded") == queues_of(cluster, "sent") == {"mail": 1}


def test_the_queue_stays_when_the_worker_consumes_another_one_later() -> None:
    cluster = Cluster()
    cluster.heartbeat()
    cluster.answer(report(WORKER, "mail"))
    cluster.received()
    cluster.answer(report(WORKER, "other"))
    cluster.task("succeeded")
    assert queues_of(cluster, "succeeded") == {"mail": 1}


def test_the_queue_comes_from_sent_that_arrives_within_the_hold() -> None:
    cluster = Cluster()
    cluster.answer(report(WORKER, "mail", "celery"))
    cluster.received()
    cluster.task("started")
    cluster.wait(0.9)
    cluster.sent(queue="mail")
    assert queues_of(cluster, "received") == queues_of(cluster, "started") == {"mail": 1}


def test_the_queue_comes_from_a_sampled_request() -> None:
    cluster = Cluster()
    cluster.answer(report(WORKER, "mail", "celery", active=(running("id", queue="mail"),)))
    cluster.received()
    assert queues_of(cluster, "received") == {"mail": 1}


@pytest.mark.parametrize("held", ["active", "reserved", "scheduled"])
def test_a_request_sampled_within_the_hold_names_the_queue(held: str) -> None:
    cluster = Cluster()
    cluster.answer(report(WORKER, "mail", "celery"))
    cluster.received()
    cluster.answer(report(WORKER, "mail", "celery", **{held: (running("id", queue="mail"),)}))
    assert queues_of(cluster, "received") == {"mail": 1}


def test_the_queue_is_the_only_one_its_worker_consumes() -> None:
    cluster = Cluster()
    cluster.answer(report(WORKER, "mail"), report("celery@two", "mail", "celery"))
    cluster.received()
    cluster.wait(1)
    assert queues_of(cluster, "received") == {"mail": 1}


def test_the_queue_is_unknown_when_the_worker_consumes_several() -> None:
    cluster = Cluster()
    cluster.answer(report(WORKER, "mail", "celery"))
    cluster.received()
    assert queues_of(cluster, "received") == {}
    cluster.wait(1)
    assert queues_of(cluster, "received") == {"unknown": 1}


def test_a_new_worker_is_given_time_to_say_what_it_consumes() -> None:
    cluster = Cluster()
    cluster.received()
    cluster.wait(4.9)
    assert queues_of(cluster, "received") == {}
    cluster.answer(report(WORKER, "mail"))
    cluster.wait(0.1)
    assert queues_of(cluster, "received") == {"mail": 1}


def test_a_worker_that_never_says_what_it_consumes_leaves_the_queue_unknown() -> None:
    cluster = Cluster()
    cluster.received()
    cluster.wait(5)
    assert queues_of(cluster, "received") == {"unknown": 1}


def test_a_task_that_clients_do_not_announce_is_held_only_the_first_time() -> None:
    cluster = Cluster()
    cluster.answer(report(WORKER, "mail", "celery"))
    cluster.received("first")
    cluster.wait(1)
    cluster.received("second")
    assert queues_of(cluster, "received") == {"unknown": 2}


def test_a_task_that_clients_do_announce_goes_on_being_held() -> None:
    cluster = Cluster()
    cluster.answer(report(WORKER, "mail", "celery"))
    cluster.sent("first", queue="mail")
    cluster.received("second")
    cluster.sent("second", queue="mail")
    assert queues_of(cluster, "received") == {"mail": 1}


def test_the_routing_key_on_the_default_exchange_is_the_queue() -> None:
    cluster = Cluster()
    cluster.task("sent", name=TASK, exchange="", routing_key="mail")
    assert queues_of(cluster, "sent") == {"mail": 1}


def test_native_delayed_delivery_hides_the_queue_behind_its_levels() -> None:
    cluster = Cluster()
    cluster.answer(report(WORKER, "mail", "celery"))
    cluster.task("sent", name=TASK, exchange="celery_delayed_27", routing_key=f"{DELAY_BITS}.mail")
    assert queues_of(cluster, "sent") == {"mail": 1}


def test_held_events_are_counted_in_the_order_of_their_arrival() -> None:
    cluster = Cluster()
    cluster.answer(report(WORKER, "mail", "celery"))
    cluster.received(at=1)
    cluster.task("started", at=3)
    cluster.sent(queue="mail", at=0)
    samples = cluster.show("celery_task_prefetch_wait_seconds")
    assert samples[TASK, "mail"].sum == 2.0  # type: ignore[union-attr]


# -- the map of routes ------------------------------------------------------------------------

TOPIC = (Binding("events", "user.signed_up", "signups"), Binding("events", "user.left", "goodbyes"))


@pytest.mark.parametrize(
    ("exchange", "routing_key", "queue"),
    [
        ("", "mail", "mail"),
        (None, "mail", "mail"),
        ("events", "user.signed_up", "signups"),
        ("events", "user.left", "goodbyes"),
        ("events", "user.unknown", None),
        ("elsewhere", "user.left", None),
        ("events", None, None),
        ("events", "", None),
        ("", "", None),
        (None, None, None),
        ("celery_delayed_27", f"{DELAY_BITS}.user.left", "goodbyes"),
        ("celery_delayed_0", f"{DELAY_BITS}.user.left", "goodbyes"),
        ("celery_delayed_27", f"{DELAY_BITS}.unbound", None),
        ("celery_delayed_27", "1.0", None),
    ],
)
def test_a_message_lands_where_the_bindings_say(
    exchange: str | None, routing_key: str | None, queue: str | None
) -> None:
    routes = RouteMap([WorkerReport(WORKER, bindings=TOPIC)])
    assert routes.queue_of(exchange, routing_key) == queue


def test_a_worker_that_did_not_say_is_not_known() -> None:
    routes = RouteMap([WorkerReport(WORKER), WorkerReport("celery@two", bindings=())])
    assert not routes.is_known(WORKER)
    assert routes.is_known("celery@two")
    assert routes.only_queue_of("celery@two") is None


def test_a_queue_with_two_bindings_is_still_one_queue() -> None:
    both = (Binding("a", "x", "mail"), Binding("b", "y", "mail"))
    assert RouteMap([WorkerReport(WORKER, bindings=both)]).only_queue_of(WORKER) == "mail"


# -- births ahead of the first event ------------------------------------------------------------


def born(*queues: str, conf: WorkerConf | None = None) -> set[tuple[str, str]]:
    tasks = frozenset({"app.add", "app.mail.send"})
    return set(
        births([WorkerReport(WORKER, bindings=bindings(*queues), registered=tasks, conf=conf)])
    )


def test_the_tasks_of_a_worker_with_one_queue_are_born_there() -> None:
    assert born("mail") == {("app.add", "mail"), ("app.mail.send", "mail")}


def test_the_tasks_of_a_worker_with_several_queues_are_born_by_its_routes() -> None:
    conf = WorkerConf("celery", (("app.mail.*", "mail"), ("app.*", "elsewhere")))
    assert born("mail", "celery", conf=conf) == {("app.mail.send", "mail")}


def test_a_task_without_route_is_born_on_the_default_queue() -> None:
    assert born("mail", "celery", conf=WorkerConf("celery")) == {
        ("app.add", "celery"),
        ("app.mail.send", "celery"),
    }


def test_the_first_route_that_matches_wins() -> None:
    conf = WorkerConf("celery", (("app.*", "celery"), ("app.mail.*", "mail")))
    assert ("app.mail.send", "celery") in born("mail", "celery", conf=conf)


def test_nothing_is_born_where_the_worker_does_not_consume() -> None:
    assert born("mail", "other", conf=WorkerConf("celery")) == set()


def test_nothing_is_born_of_several_queues_without_routes() -> None:
    assert born("mail", "celery") == set()


def test_nothing_is_born_of_a_worker_that_did_not_say() -> None:
    assert list(births([WorkerReport(WORKER, bindings=bindings("mail"))])) == []
    assert list(births([WorkerReport(WORKER, registered=frozenset({"app.add"}))])) == []


def test_a_request_whose_queue_is_uncertain_names_only_the_task() -> None:
    cluster = Cluster()
    unsure = Request("id", TASK, "some-exchange", "some.key")
    cluster.answer(report(WORKER, "mail", "celery", reserved=(unsure,)))
    cluster.task("started")
    cluster.wait(1)
    assert queues_of(cluster, "started") == {"unknown": 1}
