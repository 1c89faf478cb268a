"""Each rule speaks when its case is there, says why, and is silent otherwise."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from reported import HOUR, NOON, quality, queue, report, task, worker

from celeriac.sidecar.recommendations import MAX_FINDINGS_PER_RULE, RULES, recommend
from celeriac.sidecar.report_shapes import Gap, PerformanceReport, TimeRange

DOCS = Path(__file__).parents[3] / "docs" / "recommendations.md"


def gap(minutes: float) -> Gap:
    return Gap(NOON, NOON + dt.timedelta(minutes=minutes))


def fleet(busy_percent: float, prefetched: float = 6.0) -> list[Any]:
    return [worker(mean_prefetched=prefetched), worker("two@host", busy_percent=busy_percent)]


IDLE = [worker(busy_percent=4.0), worker("two@host", busy_percent=5.0)]
EMPTY = [queue(mean_backlog=0.0)]

# A report that is just wrong enough, one that is just not, the subject and the evidence.
CASES: dict[str, tuple[PerformanceReport, PerformanceReport, str, dict[str, float]]] = {
    "missed-events": (
        report(data_quality=quality(missed_events=3)),
        report(data_quality=quality(missed_events=2)),
        "this report",
        {"missed_events": 3, "missed_percent": 300 / 2003},
    ),
    "data-gaps": (
        report(data_quality=quality(gaps=[gap(0.5), gap(0.4)])),
        report(data_quality=quality(gaps=[gap(0.5)])),
        "this report",
        {"gap_seconds": 54.0, "gap_percent": 1.5},
    ),
    "error-budget": (
        report(tasks=[task(), task("bad", failed=11, error_rate_percent=1.1)]),
        report(tasks=[task(), task("bad", failed=10, error_rate_percent=1.0)]),
        "task bad",
        {"error_rate_percent": 1.1, "failed": 11, "total": 1000, "error_budget_percent": 1.0},
    ),
    "retries": (
        report(tasks=[task(), task("flaky", retried=112)]),
        report(tasks=[task(), task("flaky", retried=111)]),
        "task flaky",
        {"retried": 112, "executions": 1112, "retry_percent": 11200 / 1112},
    ),
    "queue-wait": (
        report(queues=[queue(), queue("slow", avg_queue_wait_ms=1_000.0)]),
        report(queues=[queue(), queue("slow", avg_queue_wait_ms=999.0)]),
        "queue slow",
        {"avg_queue_wait_ms": 1_000.0, "avg_execution_time_ms": 310.2, "total": 2000},
    ),
    "backlog": (
        report(queues=[queue("full", mean_backlog=50.0, backlog_at_end=100.0)]),
        report(
            queues=[
                queue(
                    mean_backlog=50.0, backlog_at_end=100.0, backlog_growth_per_minute=-100 / 1440
                )
            ]
        ),
        "queue full",
        {"backlog_at_end": 100.0, "mean_backlog": 50.0, "backlog_growth_per_minute": 0.0},
    ),
    "dominant-task": (
        report(tasks=[task(worker_time_share_percent=50.1), task("b")]),
        report(tasks=[task(worker_time_share_percent=100.0)]),
        "task shop.pay",
        {"worker_time_share_percent": 50.1, "worker_time_seconds": 310.2},
    ),
    "long-tail": (
        report(tasks=[task("odd", p99_execution_time_ms=2_500.0)]),
        report(tasks=[task("odd", p99_execution_time_ms=2_499.0)]),
        "task odd",
        {"p50_execution_time_ms": 250.0, "p99_execution_time_ms": 2_500.0},
    ),
    "prefetch-hoarding": (
        report(workers=fleet(49.0, prefetched=9.0)),
        report(workers=fleet(50.0, prefetched=9.0)),
        "worker one@host",
        {
            "mean_prefetched": 9.0,
            "pool_processes": 4.0,
            "busy_percent": 60.0,
            "least_busy_percent": 49.0,
        },
    ),
    "idle-fleet": (
        report(workers=IDLE, queues=EMPTY),
        report(workers=IDLE),
        "the workers",
        {"busy_percent": 4.5, "pool_processes": 8.0, "mean_backlog": 0.0},
    ),
}
every_rule = pytest.mark.parametrize("name", [rule.name for rule in RULES])


def test_nothing_is_recommended_when_nothing_is_wrong() -> None:
    assert recommend(report()) == []


def test_nothing_is_recommended_when_nothing_is_known() -> None:
    known = {"tasks": [], "queues": [], "workers": []}
    assert recommend(report(**known, total_tasks=0)) == []
    blank = queue(avg_queue_wait_ms=None, backlog_at_end=None, mean_backlog=None, total=0)
    assert recommend(report(queues=[blank], workers=[worker(busy_percent=None)])) == []


@every_rule
def test_a_rule_speaks_with_its_numbers(name: str) -> None:
    wrong, _, subject, evidence = CASES[name]
    (found,) = recommend(wrong)
    assert (found.rule, found.subject) == (name, subject)
    assert found.evidence == pytest.approx(evidence)


@every_rule
def test_a_rule_is_silent_just_below_its_bound(name: str) -> None:
    assert recommend(CASES[name][1]) == []


@every_rule
def test_a_sentence_names_subject_and_rule(name: str) -> None:
    (found,) = recommend(CASES[name][0])
    assert found.text.startswith(f"{found.subject}: ")
    assert found.text.endswith(f"({name})")
    assert "{" not in found.text


def test_few_failures_are_no_rate() -> None:
    assert (
        recommend(report(tasks=[task(), task("b", total=100, failed=2, error_rate_percent=2)]))
        == []
    )


def test_a_burst_just_before_the_end_is_no_backlog() -> None:
    assert recommend(report(queues=[queue(backlog_at_end=5_000.0, mean_backlog=40.0)])) == []


def test_a_backlog_that_shrinks_slowly_will_not_drain() -> None:
    rows = [queue(backlog_at_end=5_000.0, mean_backlog=5_000.0, backlog_growth_per_minute=-3.0)]
    assert [found.rule for found in recommend(report(queues=rows))] == ["backlog"]


def test_a_rule_names_the_worst_ones_only() -> None:
    rows = [task(f"t{n}", failed=100 + n, error_rate_percent=10.0 + n) for n in range(9)]
    found = recommend(report(tasks=rows))
    assert [one.subject for one in found] == [
        f"task t{n}" for n in range(8, 8 - MAX_FINDINGS_PER_RULE, -1)
    ]


def test_a_name_with_braces_is_no_format() -> None:
    rows = [task(), task("{0.__class__}", failed=100, error_rate_percent=10.0)]
    (found,) = recommend(report(tasks=rows))
    assert "task {0.__class__}: 100 of 1000 failed" in found.text


def test_a_pause_is_no_idle_fleet() -> None:
    pause = TimeRange(NOON, NOON + dt.timedelta(minutes=14))
    assert recommend(report(workers=IDLE, queues=EMPTY, time_range=pause)) == []


def test_an_hour_of_gaps_is_compared_with_the_window() -> None:
    (found,) = recommend(report(data_quality=quality(gaps=[Gap(NOON, NOON + HOUR)])))
    assert found.evidence["gap_percent"] == 100.0


def test_the_docs_list_the_rules() -> None:
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    assert rows == [f"| `{rule.name}` | {rule.when} | {rule.advice} |" for rule in RULES]
