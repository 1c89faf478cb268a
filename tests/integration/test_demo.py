"""The demo becomes what it promises, stays what it was, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from celeriac.demo.guide import CALLS, LOOKS, Call, Look, command_line
from parts.exporter import Series, parse_page
from parts.presence import missing, require
from parts.processes import Child, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to see who is left"),
]

START_SECONDS = 60.0
END_SECONDS = 15.0
FIRST_MINUTE_SECONDS = 75.0
EXPORTER_PORT = 9808
Process = tuple[int, str]  # pid and the tick it was started at: never the same twice


class Demo(Child):
    """``celeriac demo`` in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        require("valkey")
        self.state = folder / "state"
        command = [sys.executable, "-m", "celeriac", "demo", "--state-dir", str(self.state)]
        super().__init__("demo", [*command, *options], folder)

    def ready(self) -> dict[str, str]:
        """Return what ``env`` says, as soon as it is there."""
        env = self.state / "env"
        self.wait_until(env.exists, START_SECONDS, "env")
        words = shlex.split(env.read_text())
        return dict(word.split("=", 1) for word in words)

    def processes(self) -> set[Process]:
        """Return everything it has started, down to the last pool process."""
        return set(_descendants(self.pid))


def _stat(pid: int) -> tuple[int, str]:
    """Return parent and start of a process (proc(5): fields 4 and 22); raise ``OSError``."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if fields[0] == "Z":
        raise ProcessLookupError(pid)
    return int(fields[1]), fields[19]


def _descendants(root: int) -> Iterator[Process]:
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent, start = _stat(int(path.name))
            if parent == root:
                yield int(path.name), start
                yield from _descendants(int(path.name))


def _is_gone(process: Process) -> bool:
    try:
        return _stat(process[0])[1] != process[1]
    except OSError:
        return True


def all_end(processes: set[Process]) -> None:
    """Return when none of them runs; fail if one still does after a while."""
    wait_for(lambda: all(map(_is_gone, processes)), END_SECONDS, "the end of all processes")


def child_pid(demo: Demo, words: str) -> int:
    """Return the pid of the demo's own child with these words in its command line."""
    for pid, _ in demo.processes():
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        if words in line and _stat(pid)[0] == demo.pid:
            return pid
    raise AssertionError(f"no {words} among the demo's children")


def page(env: dict[str, str]) -> dict[Series, float]:
    return parse_page(requests.get(f"{env['EXPORTER_URL']}/metrics", timeout=5).text)


def values(samples: dict[Series, float], name: str, label: str) -> dict[str, float]:
    """Return the sum of a family's series for each value of one label."""
    sums: defaultdict[str, float] = defaultdict(float)
    for (its, labels), value in samples.items():
        if its == name:
            sums[dict(labels)[label]] += value
    return dict(sums)


def query(env: dict[str, str], promql: str) -> list[dict[str, str]]:
    answer = requests.get(
        f"{env['PROMETHEUS_URL']}/api/v1/query", params={"query": promql}, timeout=5
    )
    return [row["metric"] for row in answer.json()["data"]["result"]]


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int]:
    with contextlib.ExitStack() as stack:
        # Somebody else's listener serves as well.
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", EXPORTER_PORT)))
        yield EXPORTER_PORT


@pytest.fixture(scope="module")
def demo(taken_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo that is ready, and that most tests only look at; its default port is taken."""
    with Demo(tmp_path_factory.mktemp("demo")) as running:
        running.ready()
        yield running


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Demo]:
    """A demo of this test alone, not started yet."""
    own = Demo(tmp_path)
    yield own
    own.terminate()


def test_a_ready_demo_says_where_everything_is(demo: Demo) -> None:
    expected = {"EXPORTER_URL", "BROKER_URL", "PROMETHEUS_URL", "ALERTMANAGER_URL", "STATE_DIR"}
    expected |= {"SIDECAR_URL", "SIDECAR_TOKEN", "SIDECAR_VIEWER_TOKEN"}
    expected -= {f"{part.upper()}_URL" for part in ("prometheus", "alertmanager") if missing(part)}

    env = demo.ready()

    assert env.keys() == expected
    assert env["STATE_DIR"] == str(demo.state)


def test_a_ready_demo_prints_every_address_and_a_token(demo: Demo) -> None:
    env = demo.ready()
    shown = {text for name, text in env.items() if name.endswith("_URL")} | {env["SIDECAR_TOKEN"]}

    demo.wait_until(lambda: all(text in demo.log_text() for text in shown), 5.0, "the table")


def test_only_its_owner_reads_the_tokens_of_a_demo(demo: Demo) -> None:
    demo.ready()

    assert (demo.state / "env").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.shows)
def test_every_printed_call_of_the_sidecar_answers(demo: Demo, call: Call) -> None:
    require("prometheus")
    shell = f". {demo.state}/env; {command_line(call)} --fail --max-time 20"
    demo.ready()

    def answer() -> str:
        return subprocess.run(["bash", "-c", shell], capture_output=True, text=True).stdout

    demo.wait_until(lambda: "shop.orders.confirm" in answer(), FIRST_MINUTE_SECONDS, shell)


def test_a_viewer_of_the_demo_may_not_act(demo: Demo) -> None:
    env = demo.ready()
    headers = {"Authorization": f"Bearer {env['SIDECAR_VIEWER_TOKEN']}"}

    url = f"{env['SIDECAR_URL']}/celery-admin/queues/archive/messages"

    assert requests.delete(url, headers=headers, timeout=5).status_code == 403


def test_a_taken_port_gives_another(demo: Demo, taken_port: int) -> None:
    assert not demo.ready()["EXPORTER_URL"].endswith(f":{taken_port}")


def test_a_ready_demo_has_every_worker_up_and_every_source_fresh(demo: Demo) -> None:
    samples = page(demo.ready())

    up = values(samples, "celery_worker_up", "worker")
    sources = values(samples, "celery_exporter_sample_success", "source")
    assert up == {"fast@demo": 1, "reports@demo": 1, "slow@demo": 1}
    assert sources.keys() >= {"events", "workers", "queues"}
    assert set(sources.values()) == {1}


def test_prometheus_knows_the_queues_of_a_ready_demo(demo: Demo) -> None:
    require("prometheus")

    env = demo.ready()

    def queues() -> set[str]:
        return {row["queue"] for row in query(env, "sum by (queue) (celery_queue_length)")}

    # The first scrape may have come before the last worker had said what it consumes.
    expected = {"celery", "mail", "reports", "media"}
    demo.wait_until(lambda: queues() >= expected, 15.0, f"lengths of {expected}")


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.shows)
def test_every_printed_query_answers_within_the_first_minute(demo: Demo, look: Look) -> None:
    require("prometheus")
    env = demo.ready()

    demo.wait_until(lambda: f"  {look.query}\n" in demo.log_text(), 5.0, "the query in the table")
    demo.wait_until(lambda: query(env, look.query), FIRST_MINUTE_SECONDS, look.query)


def test_the_first_minute_has_a_backlog_failures_and_retries(demo: Demo) -> None:
    env = demo.ready()

    def has_it_all() -> bool:
        samples = page(env)
        backlog = values(samples, "celery_queue_length", "queue")["media"]
        exceptions = values(samples, "celery_task_exceptions_total", "exception")
        retried = values(samples, "celery_task_retried_total", "task")
        return backlog > 10 and len(exceptions) > 1 and any(retried.values())

    demo.wait_until(has_it_all, FIRST_MINUTE_SECONDS, "backlog, two exceptions and a retry")


def test_the_archive_has_messages_and_no_consumer(demo: Demo) -> None:
    env = demo.ready()
    demo.wait_until(
        lambda: values(page(env), "celery_queue_length", "queue").get("archive"),
        FIRST_MINUTE_SECONDS,
        "messages in the archive",
    )

    assert values(page(env), "celery_queue_consumers", "queue")["archive"] == 0


def test_every_event_of_the_demo_is_understood(demo: Demo) -> None:
    samples = page(demo.ready())

    assert "unknown" not in values(samples, "celery_task_started_total", "queue")
    assert samples["celery_exporter_events_unmatched_total", frozenset()] == 0
    assert not any(values(samples, "celery_exporter_events_rejected_total", "reason").values())


def test_a_second_demo_in_the_same_folder_is_refused(demo: Demo) -> None:
    second = Demo(demo.folder)
    second.name, second.log_path = "second", demo.folder / "second.log"
    second.start()

    assert second.wait(timeout_seconds=START_SECONDS) == 2
    [line] = second.log_text().splitlines()
    assert line.startswith(f"celeriac: --state-dir: another demo runs in {demo.state}")
    assert (demo.state / "env").exists()


def test_a_demo_beside_it_has_other_ports(demo: Demo, other: Demo) -> None:
    other.start()

    assert not set(other.ready().values()) & set(demo.ready().values())


def test_a_demo_for_some_seconds_ends_by_itself(tmp_path: Path) -> None:
    with Demo(tmp_path, "--for", "2") as brief:
        brief.ready()
        processes = brief.processes()

        assert brief.wait(timeout_seconds=2 + END_SECONDS) == 0

    all_end(processes)
    assert not (brief.state / "env").exists()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_that_was_started(other: Demo, signum: int) -> None:
    other.start()
    other.ready()
    processes = other.processes()

    other.signal(signum)

    assert other.wait(timeout_seconds=END_SECONDS) == 0
    assert len(processes) > 10
    all_end(processes)


def test_a_signal_in_the_middle_of_the_start_ends_all_that_was_started(other: Demo) -> None:
    other.start()
    other.wait_until(lambda: "3/6" in other.log_text(), START_SECONDS, "the third step")
    processes = other.processes()

    other.signal(signal.SIGTERM)

    assert other.wait(timeout_seconds=END_SECONDS) == 0
    all_end(processes)


@pytest.mark.parametrize("name", ["beat", "sidecar"])
def test_a_child_that_dies_ends_the_demo_which_names_it(other: Demo, name: str) -> None:
    other.start()
    other.ready()
    processes = other.processes()

    os.kill(child_pid(other, f" {name} "), signal.SIGKILL)

    assert other.wait(timeout_seconds=END_SECONDS) == 1
    assert f"celeriac demo: {name} ended with status -9" in other.log_text()
    all_end(processes)


def test_nothing_survives_a_demo_that_is_killed(other: Demo) -> None:
    other.start()
    other.ready()
    processes = other.processes()

    other.signal(signal.SIGKILL)

    assert other.wait() == -signal.SIGKILL
    all_end(processes)
