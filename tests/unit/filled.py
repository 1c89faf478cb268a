"""One fixed cluster in which every family of the table has something to show."""

from __future__ import annotations

from cluster import CONF, EPOCH, Cluster, bindings, report, running, stats

from celeriac.exposition.families import FAMILIES, Family
from celeriac.exposition.page import MetricsPage
from celeriac.model.facts import BeatEntry, BrokerInfo, QueueDepth, QueueSample, WorkerReport

BIRD = "celery@b\u00e9b\u00e9"


def page_of(cluster: Cluster, families: tuple[Family, ...] = FAMILIES) -> MetricsPage:
    return MetricsPage(cluster.state, lambda: cluster.now, families)


def text_of(page: MetricsPage, *names: str, is_openmetrics: bool = False) -> str:
    return b"".join(page.render(names, is_openmetrics=is_openmetrics)).decode()


def filled() -> Cluster:
    """Return the cluster as it is when everything in it has been shown at 0."""
    cluster = Cluster(expected_workers=3, counts_processed_by_task=True)
    state = cluster.state
    state.set_broker(is_up=True, info=BrokerInfo("redis", "7.0.15"))
    state.listening(cluster.now)
    _workers(cluster)
    _tasks(cluster)
    held = QueueDepth(5, 2, 1, oldest_unacked_seconds=12.5, redelivery_risk=1)
    depths = {"celery": held, "mail": QueueDepth(0, 0, 0), "orphan": QueueDepth(7)}
    state.replace_queues(QueueSample(depths, delayed=4), cluster.now)
    state.replace_beat([BeatEntry("nightly", "app.add", 86_400.0)], cluster.now)
    _sources(cluster)
    cluster.snapshot()
    return cluster


def _workers(cluster: Cluster) -> None:
    cluster.online("celery@one", pid=90, processed=7)
    cluster.heartbeat(
        "celery@one", pid=100, active=1, processed=12, loadavg=[0.75, 0.5, 0.25], sw_ver="5.7.0"
    )
    cluster.heartbeat(BIRD, processed=3, sw_ver="5.5.0")
    cluster.goodbye(BIRD)
    cluster.heartbeat("celery@lost", freq=0.1)
    cluster.wait(0.5)
    cluster.heartbeat("celery@one", pid=100, active=1, processed=12, loadavg=[0.75], sw_ver="5.7.0")
    one = report(
        "celery@one",
        "celery",
        "mail",
        stats=stats(processed=12, processed_by_task={"app.add": 12}),
        active=(running("long", "app.report", at=EPOCH - 600),),
        reserved=(running("next", "app.add"),),
        scheduled=(),
        registered=frozenset({"app.add"}),
        conf=CONF,
        revoked_ids=3,
    )
    two = WorkerReport("celery@mute", bindings=bindings("celery"))
    cluster.answer(one, two, unanswered=1)


def _tasks(cluster: Cluster) -> None:
    cluster.sent("1", "app.add", at=0)
    cluster.task("received", "1", name="app.add", hostname="celery@one", at=0.25)
    cluster.task("started", "1", hostname="celery@one", at=0.75)
    cluster.task("succeeded", "1", hostname="celery@one", at=1.0, runtime=0.25)
    cluster.sent("2", "app.mail.send", "mail", at=1)
    cluster.task("received", "2", name="app.mail.send", hostname="celery@one", at=1.25)
    cluster.task("started", "2", hostname="celery@one", at=10)
    cluster.task("retried", "2", hostname="celery@one", at=11)
    cluster.task("failed", "2", hostname="celery@one", at=20, exception="SMTPError('no')")
    # Two heartbeats with growth and starts between them: task events are on.
    cluster.heartbeat("celery@one", pid=100, active=1, processed=14, loadavg=[0.75], sw_ver="5.7.0")
    odd = 'app."odd"\\name\nwith a line'
    cluster.sent("3", odd, at=2)
    cluster.task("revoked", "3", hostname="celery@one", terminated=True, at=3)
    cluster.sent("4", odd, at=2)
    cluster.task("rejected", "4", hostname="celery@one", at=3)
    cluster.task("succeeded", "never-seen", hostname="celery@one", at=3)
    cluster.wait(1.5)


def _sources(cluster: Cluster) -> None:
    state = cluster.state
    state.succeed("events", cluster.now, 0.125)
    state.succeed("workers", cluster.now, 0.0625)
    state.fail("queues", "broker", 3.0)
    state.succeed("beat", cluster.now, 0.03125)
    state.reconnected("events")
    state.reject_events(["body", "event", "event"])
    state.reject_replies(["ticket"])
