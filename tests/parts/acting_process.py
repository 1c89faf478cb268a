"""A process with the acting half of the sidecar, served as ``celeriac sidecar`` serves it.

It can be told to die by SIGKILL at one step of its first operation.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from celeriac.celery_app import BrokerOptions, make_app  # noqa: E402
from celeriac.logs import set_up_logs  # noqa: E402
from celeriac.sidecar import Frame, audit, batch, create_app  # noqa: E402
from celeriac.sidecar.acting import Acting  # noqa: E402
from celeriac.sidecar.auth import Gate, SharedSecret, TokenRules  # noqa: E402
from celeriac.sidecar.batch import Limits  # noqa: E402
from celeriac.sidecar.database import Database  # noqa: E402
from celeriac.sidecar.limits import RateLimit  # noqa: E402
from celeriac.sidecar.metrics import SidecarMetrics  # noqa: E402
from celeriac.sidecar.routes import rows  # noqa: E402
from celeriac.turns import Turns  # noqa: E402
from tokens import SECRET  # noqa: E402

LIMITS = Limits(answer_seconds=3.0)
MEMORY_SECONDS = 86_400.0
MAX_BODY_BYTES = 4 << 20


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _before(owner: Any, name: str, calls: int = 1) -> None:
    """Die instead of the *calls*-th call."""
    inner, left = getattr(owner, name), [calls]

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            die()
        return inner(*args, **kwargs)

    setattr(owner, name, wrapped)


def _after(owner: Any, name: str, calls: int = 1) -> None:
    """Die as soon as the *calls*-th call has ended."""
    inner, left = getattr(owner, name), [calls]

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = inner(*args, **kwargs)
        left[0] -= 1
        if left[0] == 0:
            die()
        return result

    setattr(owner, name, wrapped)


STEPS: dict[str, Callable[[], None]] = {
    "before the intent": lambda: _before(audit.Audit, "intent"),
    "intent not committed": lambda: _after(audit, "append"),
    "after the intent": lambda: _after(audit.Audit, "intent"),
    "before the first chunk": lambda: _before(batch, "_converse"),
    "after the first chunk": lambda: _before(Turns, "next_questions", 2),
    "after the last chunk": lambda: _after(batch, "_converse"),
    "before the outcome": lambda: _before(audit.Audit, "outcome"),
    "outcome not committed": lambda: _after(audit, "append", 2),
    "after the outcome": lambda: _after(audit.Audit, "outcome"),
}


def main() -> None:
    broker_url, database_url, port, step = sys.argv[1:]
    if step:
        STEPS[step]()
    set_up_logs("info", "text")
    metrics = SidecarMetrics()
    app = make_app(BrokerOptions(broker_url))
    acting = Acting(app, Database(database_url), metrics, LIMITS, MEMORY_SECONDS)
    gate = Gate(SharedSecret(SECRET), TokenRules())
    frame = Frame(gate, metrics, RateLimit("1000000/second"), MAX_BODY_BYTES)
    server = WSGIServer(
        ("127.0.0.1", int(port)), create_app(rows(*acting.handlers), frame), log=None
    )
    is_asked_to_end = Event()
    gevent.signal_handler(signal.SIGTERM, is_asked_to_end.set)
    acting.start()
    server.start()
    is_asked_to_end.wait()
    server.stop(timeout=1)
    acting.stop()


if __name__ == "__main__":
    main()
