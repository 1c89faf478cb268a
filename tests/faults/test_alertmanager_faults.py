"""Whatever Alertmanager does wrong is one error, in time, that tells nobody its address."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from celeriac.clients import alertmanager_api
from celeriac.clients.alertmanager_api import AlertmanagerApi, AlertmanagerError
from parts.rude_server import Behaviour, RudeServer, answer, head

FAULTS: dict[str, Callable[[RudeServer], Behaviour]] = {
    "503": lambda _: answer(b"[]", "503 Service Unavailable"),
    "redirect": lambda _: answer(b"[]", "302 Found", "Location: http://127.0.0.1:1/"),
    "html": lambda _: answer(b"<html>"),
    "another-shape": lambda _: answer(b'[{"labels":{"alertname":5}}]'),
    "deep": lambda _: answer(b"[" * 100_000),
    "not-utf-8": lambda _: answer(b'[{"labels":{"a":"\xff"},"startsAt":"2026-01-01T00:00:00Z"}]'),
    "too-large": lambda _: answer(b" " * (alertmanager_api.MAX_BYTES + 1)),
    "silent": lambda server: server.say_nothing,
    "by-the-byte": lambda server: server.drip(head(2) + b"[]"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_answer_is_one_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanager_api, "TIMEOUT_SECONDS", 0.5)
    with RudeServer(answer(b"[]")) as server:
        api = AlertmanagerApi(server.url.replace("//", "//me:canary5ecret@"))
        assert api.firing() == []
        server.behaviour = FAULTS[name](server)
        began = time.monotonic()
        with pytest.raises(AlertmanagerError) as raised:
            api.firing()
        assert time.monotonic() - began < 10
    assert str(server.port) not in str(raised.value)
    assert "canary5ecret" not in str(raised.value)
