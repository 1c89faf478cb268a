"""The workers of a workload."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from parts.processes import Part
from parts.workers import Worker
from workload.app import make_app
from workload.journal import Journal
from workload.plan import POSTS, Post

if TYPE_CHECKING:
    from collections.abc import Sequence


class Fleet(Part):
    """One real worker per post, all ready when entered; ``app`` publishes for them."""

    def __init__(
        self, broker_url: str, *, quorum: bool = False, posts: Sequence[Post] = POSTS
    ) -> None:
        super().__init__()
        self.posts = tuple(posts)
        self.journal = Journal(self.folder / "journal")
        self._broker_url = broker_url
        self._is_quorum = quorum
        env = {"WORKLOAD_JOURNAL": str(self.journal.path), "WORKLOAD_QUORUM": str(int(quorum))}
        self.workers = [
            Worker(broker_url, post.name, pool=post.pool, queues=post.queues, env=env)
            for post in posts
        ]

    @cached_property
    def app(self) -> Any:
        """The application as a client uses it."""
        return make_app(self._broker_url, quorum=self._is_quorum)

    @property
    def nodes(self) -> list[str]:
        return [worker.node for worker in self.workers]

    def start(self) -> None:
        self._ends.callback(lambda: self.app.close())
        for worker in self.workers:
            self._ends.enter_context(worker)
        for worker in self.workers:
            worker.ready()

    def require_alive(self) -> None:
        """Raise ``PartFailedError``, with its log, if a worker has ended."""
        for worker in self.workers:
            worker.child.wait_until(lambda: True, 0, "life")
