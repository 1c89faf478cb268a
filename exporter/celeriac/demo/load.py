"""The customers of the demo's shop: ``python -m celeriac.demo.load BROKER_URL [--healthy]``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable

from celeriac.demo.plan import HEALTHY, Publication, publications
from celeriac.demo.tasks import app

SEED = 1


def publish(planned: Iterable[Publication]) -> None:
    """Publish each at its time, or late if this process was held up."""
    started_mono = time.monotonic()
    for publication in planned:
        wait_seconds = started_mono + publication.at_seconds - time.monotonic()
        if wait_seconds > 0:
            time.sleep(wait_seconds)
        _publish(publication)


def _publish(publication: Publication) -> None:
    sent = app.send_task(publication.task, **publication.options)
    if publication.is_revoked:
        sent.revoke()


if __name__ == "__main__":
    app.conf.broker_url = sys.argv[1]
    publish(publications(SEED, is_healthy=HEALTHY in sys.argv[2:]))
