"""Commands to workers, purges and questions for one task, on real brokers with real workers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parts.acting import Acting
from parts.processes import wait_for
from parts.valkey import Valkey
from parts.workers import Worker
from workload.configured_app import make_app

pytestmark = pytest.mark.slow

APP = "workload.configured_app"
LONG_SECONDS = 600


class Yard:
    """A broker with the sidecar and one prefork worker of two processes beside it."""

    def __init__(self, url: str, acting: Acting, worker: Worker) -> None:
        self.url = url
        self.acting = acting
        self.worker = worker
        self.app: Any = make_app(url)

    def send(self, task: str, queue: str = "celery", **options: Any) -> str:
        return str(self.app.send_task(f"configured.{task}", queue=queue, **options).id)

    def tell(self, command: str, worker: str = "", **arguments: Any) -> dict[str, Any]:
        body = {"command": command, "arguments": arguments, "reason": "a test"}
        answer = self.acting.ask("POST", f"/workers/{worker or self.worker.node}/control", body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def inspect(self, method: str) -> Any:
        inspect = self.app.control.inspect([self.worker.node], timeout=5.0)
        return getattr(inspect, method)()[self.worker.node]

    def purge(self, queue: str) -> Any:
        return self.acting.ask("DELETE", f"/queues/{queue}/messages?reason=a+test")


@pytest.fixture(scope="module", params=["valkey", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "valkey":
        with Valkey() as server:
            yield server.url
    else:
        yield request.getfixturevalue("shared_rabbitmq").add_vhost(f"acting-{uuid.uuid4()}")


@pytest.fixture(scope="module")
def yard(broker_url: str) -> Iterator[Yard]:
    with Worker(broker_url, "one", app=APP, events=False) as worker, Acting(broker_url) as acting:
        worker.ready()
        yield Yard(broker_url, acting, worker)


def test_the_pool_grows_and_shrinks(yard: Yard) -> None:
    assert yard.tell("pool_grow", n=2)["workers"] == {yard.worker.node: "acknowledged"}
    wait_for(lambda: processes(yard) == 4, 30, "four processes")
    yard.tell("pool_shrink", n=2)
    wait_for(lambda: processes(yard) == 2, 30, "two processes")


def processes(yard: Yard) -> int:
    return len(yard.inspect("stats")["pool"]["processes"])


def queues(yard: Yard) -> set[str]:
    return {queue["name"] for queue in yard.inspect("active_queues")}


def test_a_queue_is_consumed_and_let_go(yard: Yard) -> None:
    assert yard.tell("add_consumer", queue="more", worker="*")["successful"] == 1
    wait_for(lambda: "more" in queues(yard), 30, "the queue to be consumed")
    yard.tell("cancel_consumer", queue="more")
    wait_for(lambda: "more" not in queues(yard), 30, "the queue to be let go")


def test_limits_are_set(yard: Yard) -> None:
    task = "configured.succeed"
    said = yard.tell("rate_limit", task_name=task, rate_limit="10/m")
    assert said["details"] == {yard.worker.node: "new rate limit set successfully"}
    assert any("rate_limit=10/m" in each for each in yard.inspect("registered"))
    yard.tell("rate_limit", task_name=task, rate_limit="0")
    said = yard.tell("time_limit", task_name=task, soft=10, hard=20)
    assert said["details"] == {yard.worker.node: "time limits set successfully"}


def test_what_a_worker_cannot_do_it_refuses(yard: Yard) -> None:
    said = yard.tell("rate_limit", task_name="nothing", rate_limit="1/s")
    assert (said["workers"], said["details"]) == (
        {yard.worker.node: "refused"},
        {yard.worker.node: "unknown task"},
    )
    said = yard.tell("pool_restart")
    assert said["details"] == {yard.worker.node: "refused; the worker's log says why"}


def test_events_are_switched(yard: Yard) -> None:
    assert yard.tell("enable_events")["details"] == {yard.worker.node: "task events enabled"}
    assert yard.tell("disable_events")["details"] == {yard.worker.node: "task events disabled"}


def test_a_purge_takes_all_and_counts_it(yard: Yard) -> None:
    for priority in (0, 0, 3, 5, 9):
        yard.send("succeed", "nobodys", priority=priority)
    answer = yard.purge("nobodys")
    assert (answer.status_code, answer.json()["purged"]) == (200, 5)
    assert yard.purge("nobodys").json()["purged"] == 0
    record = yard.acting.records()[-1]
    assert (record["action"], record["target"]) == ("queues.purge", "nobodys")
    assert (record["result"], record["reason"]) == ("done", "a test")


def test_a_purge_of_no_queue_purges_nothing(yard: Yard) -> None:
    answer = yard.purge("never-declared")
    if yard.url.startswith("amqp"):
        assert answer.status_code == 404
    else:
        # Redis has no empty queues.
        assert answer.json()["purged"] == 0


@pytest.mark.parametrize("queue", ["x" * 256, "%00", "a/b", "%F0%9F%98%80", "*", " "])
def test_a_purge_of_an_odd_name_is_no_accident(yard: Yard, queue: str) -> None:
    assert yard.purge(queue).status_code in {200, 404}


def test_a_task_is_found_where_it_is(yard: Yard) -> None:
    running = [yard.send("sleep", args=[LONG_SECONDS]) for _ in range(2)]
    wait_for(lambda: len(yard.inspect("active")) == 2, 30, "two tasks to run")
    reserved = yard.send("succeed")
    scheduled = yard.send("succeed", countdown=LONG_SECONDS)
    expected = {running[0]: "active", reserved: "reserved", scheduled: "scheduled"}
    wait_for(
        lambda: {each: where(yard, each)["state"] for each in expected} == expected,
        20,
        "the states",
    )
    assert {where(yard, each)["worker"] for each in expected} == {yard.worker.node}
    yard.acting.revoke([str(uuid.uuid4()), reserved])
    elsewhere = str(uuid.uuid4())
    yard.app.control.revoke(elsewhere, reply=True, destination=[yard.worker.node], timeout=5)
    assert where(yard, elsewhere) | {"silent": []} == {
        "task_id": elsewhere,
        "state": "revoked",
        "worker": yard.worker.node,
        "name": None,
        "silent": [],
    }
    assert where(yard, str(uuid.uuid4()))["state"] == "unknown"
    yard.acting.revoke(running, terminate=True, signal="SIGKILL")


def where(yard: Yard, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = yard.acting.ask("GET", f"/tasks/{task_id}").json()
    return found


def test_a_worker_that_is_shut_down_has_stopped(broker_url: str, yard: Yard) -> None:
    with Worker(broker_url, "passing", app=APP) as worker:
        worker.ready()
        assert yard.tell("shutdown", worker.node)["workers"] == {worker.node: "acknowledged"}
        assert worker.child.wait(20) == 0
        # Once its goodbye is heard, nobody waits for it.
        others = {yard.worker.node: "acknowledged"}
        wait_for(lambda: yard.acting.revoke(["a"])["workers"] == others, 20, "its goodbye")


@pytest.mark.parametrize(
    "make",
    [
        lambda client: client.hset("unacked", "tag", "message"),
        lambda client: client.set("a-key", "text"),
        lambda client: client.rpush("a-list", "of somebody else"),
        lambda client: client.rpush("a-list", '{"of": "somebody else"}'),
    ],
    ids=["hash", "text", "list", "json"],
)
def test_a_purge_spares_what_is_no_queue(valkey: Valkey, make: Callable[[Any], Any]) -> None:
    with valkey.client() as client, Acting(valkey.url) as acting:
        make(client)
        names = {name for name in client.scan_iter() if not name.startswith("_kombu")}
        for name in names:
            assert acting.ask("DELETE", f"/queues/{name}/messages").status_code == 409
        assert names <= set(client.scan_iter())
        assert acting.records()[-1]["result"] == "failed"


def test_a_purge_finds_the_queue_behind_a_prefix(valkey: Valkey, tmp_path: Path) -> None:
    from celeriac.celery_app import BrokerOptions
    from celeriac.celery_app import make_app as our_app
    from celeriac.sidecar.queues import _purged

    prefixed = {"global_keyprefix": "ours:"}
    make_app(valkey.url, broker_transport_options=prefixed).send_task("a", queue="mail")
    app = our_app(BrokerOptions(valkey.url, prefixed))
    with app.connection_for_write() as connection:
        assert _purged(connection, "mail") == 1


def test_a_broker_that_is_away_is_a_503_and_audited_as_failed(valkey: Valkey) -> None:
    with Acting(valkey.url) as acting:
        valkey.child.kill()
        asks: list[tuple[str, str, Any]] = [
            ("POST", "/tasks/batch", {"operation": "revoke", "task_ids": ["a"]}),
            ("POST", "/workers/*/control", {"command": "enable_events"}),
            ("DELETE", "/queues/celery/messages", None),
        ]
        for method, path, body in asks:
            began = time.monotonic()
            answer = acting.ask(method, path, body)
            assert (answer.status_code, acting.records()[-1]["result"]) == (503, "failed")
            assert str(valkey.port) not in answer.text
            assert time.monotonic() - began < 30
        assert acting.ask("GET", "/tasks/a").status_code == 503
        valkey.restart()
        wait_for(lambda: acting.ask(*asks[0]).status_code == 200, 60, "the broker to be used again")


def test_a_broker_that_does_not_answer_is_a_503(valkey: Valkey) -> None:
    with Acting(valkey.url) as acting:
        valkey.child.pause()
        began = time.monotonic()
        body = {"operation": "revoke", "task_ids": ["a"]}
        assert acting.ask("POST", "/tasks/batch", body).status_code == 503
        assert time.monotonic() - began < 30
        valkey.child.resume()
        assert acting.records()[-1]["result"] == "failed"
