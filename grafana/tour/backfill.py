"""A Prometheus with a history: samples as blocks, the rules evaluated over them, alerts as well."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
import yaml

from grafana.generate.queries import RULES
from grafana.tour.page import Labels

Series = tuple[str, Labels]
Points = list[tuple[float, float]]
RULE_STEP_SECONDS = 15
READY_SECONDS = 20.0
TIMEOUT_SECONDS = 120.0
NAME = re.compile(r"[a-z_]+:[\w:]+")
_UNITS = {"s": 1, "m": 60, "h": 3600}


class NotReadyError(Exception):
    """Prometheus did not come up; its log says why."""


def write(series: Mapping[Series, Points], folder: Path) -> None:
    """Add samples to the database in ``folder/data``; no Prometheus may run on it."""
    text = folder / "samples.openmetrics"
    with text.open("w", encoding="utf-8") as out:
        for (name, labels), points in sorted(series.items()):
            inside = ",".join(f'{label}="{value}"' for label, value in labels)
            out.writelines(f"{name}{{{inside}}} {value!r} {at:.3f}\n" for at, value in points)
        out.write("# EOF\n")
    _promtool("tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "data"))
    text.unlink()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a Prometheus on the database that scrapes nothing; yield its URL."""
    config = folder / "prometheus.yml"
    config.write_text("scrape_configs: []\n", encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        shutil.which("prometheus") or "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=30d",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as running:  # noqa: S603  the path comes from PATH
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()


def evaluate_rules(folder: Path, start: float, end: float) -> None:
    """Add what the recording rules record, each after those that it reads, then the alerts."""
    recording, alerting = _rules()
    for level in _levels(recording):
        with serving(folder) as url:
            found = [_recorded(url, rule, start, end) for rule in level]
        write(_merged(found), folder)
    with serving(folder) as url:
        found = [_fired(url, rule, start, end) for rule in alerting]
    write(_merged(found), folder)


def _rules() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    files = [
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(RULES.glob("*.yml"))
    ]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    return [r for r in rules if "record" in r], [r for r in rules if "alert" in r]


def _levels(rules: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield rules in an order in which each reads only what is there; a rule may read itself."""
    left = list(rules)
    while left:
        pending = {rule["record"] for rule in left}
        ready = [r for r in left if not (set(NAME.findall(r["expr"])) - {r["record"]}) & pending]
        if not ready:
            raise ValueError(f"rules read each other: {sorted(pending)}")
        yield ready
        left = [rule for rule in left if rule not in ready]


def _recorded(url: str, rule: Mapping[str, Any], start: float, end: float) -> dict[Series, Points]:
    own = rule.get("labels", {})
    return {
        (rule["record"], _labels(metric | own)): points
        for metric, points in _ask(url, rule["expr"], start, end)
    }


def _fired(url: str, rule: Mapping[str, Any], start: float, end: float) -> dict[Series, Points]:
    """Return when an alert fired and since when, as Prometheus writes it down itself."""
    series: dict[Series, Points] = {}
    for metric, points in _ask(url, rule["expr"], start, end):
        labels = metric | rule["labels"] | {"alertname": rule["alert"]}
        firing, since = _after(points, _seconds(rule.get("for", "0s")))
        if firing:
            series["ALERTS", _labels(labels | {"alertstate": "firing"})] = firing
            series["ALERTS_FOR_STATE", _labels(labels)] = since
    return series


def _after(points: Points, patience: float) -> tuple[Points, Points]:
    """Return 1 from when a condition has held long enough on, and the time it began to hold."""
    firing: Points = []
    since: Points = []
    began = last = float("-inf")
    for at, _ in points:
        if at - last > RULE_STEP_SECONDS:
            began = at
        last = at
        since.append((at, began))
        if at - began >= patience:
            firing.append((at, 1.0))
    return firing, since


def _ask(url: str, promql: str, start: float, end: float) -> list[tuple[dict[str, str], Points]]:
    asked = {"query": promql, "start": start, "end": end, "step": RULE_STEP_SECONDS}
    answer = requests.post(f"{url}/api/v1/query_range", data=asked, timeout=TIMEOUT_SECONDS).json()
    return _nameless(answer["data"]["result"])


def _nameless(rows: Iterable[Mapping[str, Any]]) -> list[tuple[dict[str, str], Points]]:
    """Return series without their names: those that differ in nothing else are one in a rule."""
    found: defaultdict[Labels, Points] = defaultdict(list)
    for row in rows:
        labels = {label: text for label, text in row["metric"].items() if label != "__name__"}
        found[_labels(labels)] += [(float(at), float(text)) for at, text in row["values"]]
    return [(dict(labels), sorted(points)) for labels, points in found.items()]


def _merged(found: Iterable[Mapping[Series, Points]]) -> dict[Series, Points]:
    merged: defaultdict[Series, Points] = defaultdict(list)
    for series in found:
        for key, points in series.items():
            merged[key] = points
    return merged


def _labels(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _seconds(duration: str) -> float:
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([smh])", duration))


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{url}/-/ready", timeout=1).ok:
                return
        time.sleep(0.05)
    raise NotReadyError(url)


def _promtool(*arguments: str) -> None:
    program = shutil.which("promtool") or "promtool"
    command = [program, *arguments]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  its own arguments
