"""Children end when asked, by force when they do not, and with all that they started."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from celeriac.demo import children as children_module
from celeriac.demo.children import ChildDiedError, Children
from celeriac.demo.watch import StartTimeoutError, StopRequestedError, Watch

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(60)"


def watch(children: Children, *, is_stop_requested: bool = False) -> Watch:
    requested = threading.Event()
    if is_stop_requested:
        requested.set()
    return Watch(children, requested)


def test_a_child_that_ends_by_itself_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    children = Children(tmp_path)
    children.start("broken", [sys.executable, "-c", "raise SystemExit('no such thing')"])

    with pytest.raises(ChildDiedError, match=r"(?s)broken ended with status 1.*no such thing"):
        watch(children).hold(None)


def test_a_stubborn_child_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children_module, "POLITE_SECONDS", 0.1)
    children = Children(tmp_path)
    children.start("stubborn", [sys.executable, "-c", STUBBORN])
    watch(children).until(lambda: "up" in (tmp_path / "stubborn.log").read_text(), "its start")

    children.stop()

    with pytest.raises(ChildDiedError, match="status -9"):
        children.check()


def test_settings_for_another_cluster_do_not_reach_a_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://production/0")
    children = Children(tmp_path)
    children.start("env", ["env"])

    with pytest.raises(ChildDiedError, match="status 0"):
        watch(children).hold(None)

    assert "production" not in (tmp_path / "env.log").read_text()


def test_waiting_ends_when_the_demo_is_told_to_stop(tmp_path: Path) -> None:
    with pytest.raises(StopRequestedError):
        watch(Children(tmp_path), is_stop_requested=True).hold(None)


def test_waiting_in_vain_names_what_it_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celeriac.demo.watch.START_TIMEOUT_SECONDS", 0.0)

    with pytest.raises(StartTimeoutError, match="in vain for Godot"):
        watch(Children(tmp_path)).until(lambda: False, "Godot")
