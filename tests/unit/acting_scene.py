"""The acting half of the sidecar with workers that are made up, and an application around it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from werkzeug.test import TestResponse

from celeriac.celery_app import BrokerOptions, make_app
from celeriac.control import Command, Conversation, Question, Replies
from celeriac.errors import BrokerUnavailableError
from celeriac.sidecar import Frame, create_app
from celeriac.sidecar.audit import Audit
from celeriac.sidecar.audit_view import AuditView
from celeriac.sidecar.auth import Gate, SharedSecret, TokenRules
from celeriac.sidecar.batch import Batch, Limits
from celeriac.sidecar.database import Database
from celeriac.sidecar.fleet import Fleet
from celeriac.sidecar.limits import RateLimit
from celeriac.sidecar.metrics import SidecarMetrics
from celeriac.sidecar.operations import Operations
from celeriac.sidecar.routes import rows
from celeriac.sidecar.standing import Standing
from celeriac.sidecar.tasks import Tasks
from celeriac.sidecar.workers import Workers
from tokens import SECRET, bearer

MAX_BODY_BYTES = 4 << 20
OK = {"ok": "done"}


@dataclass
class FakeWorker:
    """What it answers to each command, ``OK`` unless told; nothing at all while it is silent."""

    pid: int = 1
    uptime: int = 100
    is_silent: bool = False
    answers: dict[str, Any] = field(default_factory=dict)
    heard: list[Command] = field(default_factory=list)

    def answer(self, command: Command) -> msgspec.Raw | None:
        if self.is_silent:
            return None
        self.heard.append(command)
        if command.method == "stats":
            said: Any = {"pid": self.pid, "uptime": self.uptime}
        else:
            said = self.answers.get(command.method, OK)
        return None if said is None else msgspec.Raw(json.dumps(said).encode())

    def revoked(self) -> list[str]:
        """Return the ids it was told to revoke, as often as it was told."""
        return [
            task_id
            for command in self.heard
            if command.method == "revoke"
            for task_id in command.arguments["task_id"]
        ]


@dataclass
class FakeControl:
    """A remote control that reaches fake workers; ``is_broken`` is a broker that is away."""

    workers: dict[str, FakeWorker]
    is_broken: bool = False
    breaks_after_answers: int | None = None

    def ask(self, questions: Sequence[Question], _timeout_seconds: float) -> Replies:
        self._check()
        replies = Replies()
        for question in questions:
            for name in self.workers if question.is_for_all else question.workers:
                self._put(replies, name, question.command)
        return replies

    def ask_everybody(self, command: Command, _timeout_seconds: float) -> Replies:
        return self.ask([Question(command, (), is_for_all=True)], 0)

    def tell(self, command: Command, workers: Collection[str]) -> None:
        self.ask([Question(command, workers)], 0)

    def converse(self, conversation: Conversation) -> None:
        self._check()
        while conversation.wait_seconds() > 0 and (questions := conversation.next_questions()):
            for question in questions:
                for name in question.workers or list(self.workers):
                    self._hear(conversation, question, name)

    def close(self) -> None:
        pass

    def _hear(self, conversation: Conversation, question: Question, name: str) -> None:
        worker = self.workers.get(name)
        answer = worker.answer(question.command) if worker else None
        if answer is None:
            return
        if self.breaks_after_answers is not None and question.command.method == "revoke":
            self.breaks_after_answers -= 1
            self.is_broken = self.breaks_after_answers < 0
            self._check()
        conversation.hear(question, name, answer)

    def _put(self, replies: Replies, name: str, command: Command) -> None:
        worker = self.workers.get(name)
        answer = worker.answer(command) if worker else None
        if answer is not None:
            replies.answers[name, command.method] = answer

    def _check(self) -> None:
        if self.is_broken:
            raise BrokerUnavailableError("redis://:canary@broker: away")


class FakeFleet(Fleet):
    """A fleet that asks by a fake control."""

    def __init__(self, control: FakeControl) -> None:
        super().__init__(make_app(BrokerOptions("memory://")))
        self.fake = control

    @contextmanager
    def control(self) -> Iterator[Any]:
        yield self.fake


class Scene:
    """An application with the handlers that act, on a database in *folder*."""

    def __init__(self, folder: Path, *names: str, limits: Limits | None = None) -> None:
        self.workers = {name: FakeWorker() for name in names}
        self.control = FakeControl(self.workers)
        self.database_url = f"sqlite:///{folder}/sidecar.db"
        self.database = Database(self.database_url)
        self.metrics = SidecarMetrics()
        self.audit = Audit(self.database, self.metrics)
        self.fleet = FakeFleet(self.control)
        self.standing = Standing(self.database, self.fleet, self.control, 3600)  # type: ignore[arg-type]
        operations = Operations(self.audit, self.database)
        handlers = (
            AuditView(self.database),
            Batch(self.fleet, operations, self.standing, limits or Limits(answer_seconds=0.01)),
            Tasks(self.fleet, self.standing, 0.01),
            Workers(self.fleet, operations, 0.01),
        )
        frame = Frame(
            Gate(SharedSecret(SECRET), TokenRules()),
            self.metrics,
            RateLimit("1000000/second"),
            MAX_BODY_BYTES,
        )
        routes = rows(*handlers)
        self.client = create_app(routes, frame).test_client()
        self.audit.tend()

    def post(self, path: str, body: object, role: str = "admin", /, **headers: str) -> TestResponse:
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/celery-admin{path}", json=body, headers=bearer(role) | more)

    def revoke(self, *task_ids: str, **parameters: Any) -> TestResponse:
        body = {"operation": "revoke", "task_ids": task_ids, "parameters": parameters}
        return self.post("/tasks/batch", body)

    def get(self, path: str, role: str = "admin", /, **query: str) -> TestResponse:
        return self.client.get(f"/celery-admin{path}", query_string=query, headers=bearer(role))

    def records(self) -> list[dict[str, Any]]:
        """Return the audit's records, the oldest first."""
        answer = self.get("/audit", limit="1000")
        assert answer.status_code == 200
        records: list[dict[str, Any]] = answer.get_json()["records"]
        return records[::-1]
