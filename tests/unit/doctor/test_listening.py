"""What the doctor notes down of what it hears."""

from __future__ import annotations

from cluster import BUCKETS, EPOCH, WORKER

from celeriac.doctor.listening import GRACE_SECONDS, ListeningState, Voice
from celeriac.model.facts import Moment
from celeriac.model.state import StateOptions
from celeriac.sources.wire import TaskEvent, WorkerEvent

BEGIN = Moment(EPOCH, 1000.0)
LATER = Moment(EPOCH + GRACE_SECONDS + 1, 1000.0 + GRACE_SECONDS + 1)


def listening() -> ListeningState:
    state = ListeningState(StateOptions(buckets=BUCKETS))
    state.listening(BEGIN)
    return state


def task(kind: str, uuid: str, **fields: str) -> TaskEvent:
    named = {"hostname": WORKER, "name": "app.add"} | fields
    return TaskEvent(f"task-{kind}", uuid, timestamp=EPOCH, **named)


def heartbeat(pid: int) -> WorkerEvent:
    return WorkerEvent("worker-heartbeat", WORKER, timestamp=EPOCH, pid=pid, utcoffset=-2.0)


def test_a_task_that_was_received_without_being_announced_is_noted() -> None:
    state = listening()
    state.apply_task_events([task("received", "1"), task("received", "2")], LATER)
    state.apply_task_events([task("sent", "2", hostname="gen7@web")], LATER)
    heard = state.heard()
    assert dict(heard.unannounced) == {"app.add": 1}
    assert dict(heard.sent) == {"app.add": 1}
    assert heard.senders == {"gen7@web"}


def test_what_was_published_before_anybody_listened_is_not_held_against_it() -> None:
    state = listening()
    state.apply_task_events([task("received", "1")], BEGIN)
    assert not state.heard().unannounced


def test_heartbeats_and_task_events_are_counted_by_worker() -> None:
    state = listening()
    for pid in (7, 7, 9, 7):
        state.apply_worker_event(heartbeat(pid), LATER)
    state.apply_task_events([task("started", "1")], LATER)
    assert state.heard().voices == {WORKER: Voice(4, 1, (7, 9, 7), -2.0)}


def test_a_client_is_no_worker() -> None:
    state = listening()
    state.apply_task_events([task("sent", "1", hostname="gen7@web")], LATER)
    assert state.heard().voices == {}


def test_the_state_is_written_as_ever() -> None:
    state = listening()
    state.apply_worker_event(heartbeat(7), LATER)
    assert state.workers_up() == [WORKER]
