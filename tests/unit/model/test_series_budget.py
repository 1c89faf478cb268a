"""Whatever the workload: the page has no more series than its limit, and none twice."""

from __future__ import annotations

import itertools
from collections import Counter

from cluster import Cluster, report, running, stats
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from celeriac.clock import Clock
from celeriac.exposition.families import BEAT, QUEUES, TASKS, WORKERS
from celeriac.exposition.page import MetricsPage
from celeriac.model.admission import Limits
from celeriac.model.facts import BeatEntry

# What the exporter says about itself and the cluster as a whole is known, and little.
OBSERVED = tuple(family for family in TASKS + WORKERS + QUEUES + BEAT if family.labels)
NAMES = st.sampled_from([f"n{number}" for number in range(40)])
ODD_NAMES = st.sampled_from(["a", "a?", "__overflow__", "unknown", "other"])
# A workload that shrinks takes a minute and does not get much clearer.
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
STEPS = ("sent", "received", "started", "succeeded", "failed", "offline", "heartbeat", "wait")


def series(cluster: Cluster) -> Counter[str]:
    """Return how often each series of a task, worker, queue or entry is on the page."""
    clock: Clock = lambda: cluster.now  # noqa: E731
    page = b"".join(MetricsPage(cluster.state, clock, OBSERVED).render()).decode()
    lines = page.partition("# HELP celery_exporter_series")[0].splitlines()
    return Counter(line.rpartition(" ")[0] for line in lines if not line.startswith("#"))


def apply(cluster: Cluster, step: str, one: str, other: str, data: st.DataObject) -> None:
    worker = f"celery@{other}"
    if step == "heartbeat":
        cluster.heartbeat(worker, processed=1, pid=1)
    elif step == "offline":
        cluster.goodbye(worker)
    elif step == "wait":
        cluster.wait(data.draw(st.sampled_from([1, 20, 700, 4_000])))
    elif step == "queues":
        cluster.depths(dict.fromkeys(data.draw(st.sets(NAMES | ODD_NAMES, max_size=20)), 1))
    elif step == "beat":
        names = data.draw(st.sets(NAMES | ODD_NAMES, max_size=20))
        cluster.state.replace_beat([BeatEntry(name, one, 60.0) for name in names], cluster.now)
    elif step == "workers":
        cluster.answer(an_answer(worker, data))
    else:
        cluster.sent(one + other, one, other)
        cluster.task(step, one + other, hostname=worker, exception=f"E{other}()", runtime=1.0)


def an_answer(worker: str, data: st.DataObject) -> object:
    names = sorted(data.draw(st.sets(NAMES, min_size=1, max_size=8)))
    return report(
        worker,
        *names,
        stats=stats(processed_by_task=dict.fromkeys(names, 3)),
        active=tuple(running(name, name) for name in names),
        registered=frozenset(names[:2]),
        reserved=(),
        scheduled=(),
        revoked_ids=0,
    )


def play(cluster: Cluster, names: st.SearchStrategy[str], data: st.DataObject) -> None:
    steps = st.sampled_from([*STEPS, "queues", "workers", "beat"])
    for step in data.draw(st.lists(steps, min_size=20, max_size=60)):
        apply(cluster, step, data.draw(names), data.draw(names), data)


@settings(max_examples=40, phases=NO_SHRINKING)
@given(st.data(), st.sampled_from([300, 400, 700]))
def test_the_page_never_has_more_series_than_its_limit(data: st.DataObject, limit: int) -> None:
    limits = Limits(tasks=20, workers=10, queues=20, exceptions=10, series=limit)
    cluster = Cluster(limits, counts_processed_by_task=True)
    play(cluster, NAMES, data)
    assert series(cluster).total() <= limit


@settings(max_examples=40, phases=NO_SHRINKING)
@given(st.data())
def test_no_series_is_on_the_page_twice(data: st.DataObject) -> None:
    limits = Limits(tasks=4, workers=4, queues=4, exceptions=2, series=5_000)
    cluster = Cluster(limits, counts_processed_by_task=True)
    play(cluster, ODD_NAMES, data)
    assert [name for name, times in series(cluster).items() if times > 1] == []


def test_more_queues_than_there_is_room_for_do_not_lift_the_limit() -> None:
    cluster = Cluster(Limits(series=300))
    for sample in range(20):
        cluster.depths({f"queue{sample}-{number}": 1 for number in range(50)})
    cluster.depths({})
    for number in range(500):
        cluster.sent(str(number), f"task{number}")
    assert series(cluster).total() <= 300


def test_queues_that_only_workers_name_do_not_lift_the_limit() -> None:
    cluster = Cluster(Limits(series=300))
    for worker in range(30):
        cluster.answer(report(f"w{worker}", *(f"q{worker}-{number}" for number in range(20))))
    assert series(cluster).total() <= 300


def test_exceptions_under_overflow_do_not_lift_the_limit() -> None:
    cluster = Cluster(Limits(series=300))
    for uuid in "12345678":
        cluster.sent(uuid, f"task{uuid}")
    for uuid, exception in itertools.product("12345678", "ABCDE"):
        cluster.task("failed", uuid, exception=f"{exception}()")
    assert series(cluster).total() <= 300


def test_exceptions_over_the_limit_do_not_lift_it_when_their_task_gives_way() -> None:
    cluster = Cluster(Limits(series=300))
    cluster.answer()
    for turn in range(30):
        ids = [f"{turn}-{number}" for number in range(20)]
        for uuid in ids:
            cluster.sent(uuid, f"task{uuid}")
        for uuid, exception in itertools.product(ids, ("A()", "B()", "C()")):
            cluster.task("failed", uuid, exception=exception)
        cluster.wait(4_000)
    assert series(cluster).total() <= 300


def test_a_worker_called_overflow_is_one_series_with_what_is_over_the_limit() -> None:
    cluster = Cluster(Limits(workers=1))
    cluster.heartbeat("__overflow__")
    cluster.sent()
    cluster.task("succeeded", hostname="celery@two")
    assert max(series(cluster).values()) == 1


def test_thousands_of_everything_stay_under_the_default_limit() -> None:
    cluster = Cluster()
    for number in range(3_000):
        uuid, name = str(number), f"n{number}"
        worker = f"celery@{number}"
        cluster.heartbeat(worker, processed=1)
        cluster.sent(uuid, name, f"q{number % 50}")
        cluster.task("started", uuid, hostname=worker)
        cluster.task("failed", uuid, hostname=worker, exception=f"E{number}()")
    assert series(cluster).total() <= 20_000
