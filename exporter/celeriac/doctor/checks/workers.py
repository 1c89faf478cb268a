"""Are the workers there, can they be told apart, do they answer, and is their clock right?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import celery

from celeriac.doctor.evidence import Cluster
from celeriac.doctor.findings import Check, Look, Verdict, note, problem, warning
from celeriac.doctor.listening import Voice
from celeriac.doctor.words import listed, several, span
from celeriac.model.worker import WorkerView

WHOEVER = Look("whoever works", lambda evidence: evidence.cluster)
WORKERS = Look("the workers", lambda evidence: evidence.workers)
HEARTBEATS = Look("the workers' heartbeats", lambda evidence: evidence.heard)
OLDEST_MAJOR_VERSION = 5


def silent(cluster: Cluster) -> Iterator[Verdict]:
    if cluster.up or cluster.answering or cluster.namesakes:
        return
    asked = cluster.asked
    yield problem(
        "There is no sign of any worker",
        f"no heartbeat in {span(cluster.listened_seconds)} on exchange {asked.event_exchange} of "
        f"{asked.broker}",
        f"nobody answered a ping through exchange {asked.control_exchange}.pidbox",
        remedy="Start a worker: celery -A APP worker -E. If some run, compare their broker_url, "
        "event_exchange and control_exchange with --broker-url, --event-exchange and "
        "--control-exchange here.",
    )


def fewer_than_expected(cluster: Cluster) -> Iterator[Verdict]:
    expected, found = cluster.asked.expected_workers, len(cluster.up)
    if expected is not None and found < expected:
        yield warning(
            f"{several(expected - found, 'worker')} of {expected} missing",
            f"up: {listed(worker.worker for worker in cluster.up) or 'none'}",
            remedy="Start the others, or correct --expected-workers.",
        )


def without_heartbeats(cluster: Cluster) -> Iterator[Verdict]:
    answering = cluster.answering | {report.worker for report in cluster.reports}
    mute = {worker for worker in answering if not _voice(cluster, worker).heartbeats}
    mute -= {worker.worker for worker in cluster.up if _may_be_busy_alone(worker)}
    if mute:
        yield warning(
            f"{several(len(mute), 'worker')} without heartbeats: {listed(mute)}",
            f"they answer commands, but sent no heartbeat in {span(cluster.listened_seconds)}; so "
            "up and down are noticed late, and load and clock not at all",
            remedy="Start them without --without-heartbeat. If --heartbeat-interval is long, "
            "listen for longer: --for SECONDS.",
        )


def _voice(cluster: Cluster, worker: str) -> Voice:
    return cluster.heard.voices.get(worker, Voice())


def _may_be_busy_alone(worker: WorkerView) -> bool:
    """A solo worker sends nothing while it runs a task."""
    return worker.stats is not None and worker.stats.pool == "solo"


def without_answers(cluster: Cluster) -> Iterator[Verdict]:
    heard = {name for name, voice in cluster.heard.voices.items() if voice.heartbeats}
    known = {report.worker for report in cluster.reports} | cluster.answering | cluster.namesakes
    up = {worker.worker for worker in cluster.up}
    if deaf := (heard & up) - known:
        yield warning(
            f"{several(len(deaf), 'worker')} without answers to commands: {listed(deaf)}",
            "they send heartbeats, but answered neither ping nor inspect; so the queues they "
            "consume and the tasks they hold are unknown",
            remedy="Set worker_enable_remote_control = True, and the same control_exchange here "
            "(--control-exchange) and there. A worker that swaps or runs at its limit answers too "
            "late: try --inspect-timeout 10.",
        )


def namesakes(cluster: Cluster) -> Iterator[Verdict]:
    alternating = {
        name: pids
        for name, voice in cluster.heard.voices.items()
        if len(set(pids := voice.pids)) < len(pids)
    }
    if twice := cluster.namesakes | alternating.keys():
        yield problem(
            f"More than one worker is called {listed(twice)}",
            *(f"two answers by {name} to one ping" for name in sorted(cluster.namesakes)),
            *(
                f"heartbeats of {name} by processes {listed(set(pids))} in turn"
                for name, pids in sorted(alternating.items())
            ),
            remedy="Give every worker a name of its own: celery worker -n NAME@%h; in containers "
            "with the same host name, use the pod's name.",
        )


SKEW_WARNING_SECONDS = 1.0
SKEW_PROBLEM_SECONDS = 30.0


def clock_skew(cluster: Cluster) -> Iterator[Verdict]:
    skews = {worker.worker: worker.clock_skew_seconds or 0.0 for worker in cluster.up}
    wrong = {name: skew for name, skew in skews.items() if abs(skew) > SKEW_WARNING_SECONDS}
    if not wrong:
        return
    worst = max(map(abs, wrong.values()))
    judge = problem if worst > SKEW_PROBLEM_SECONDS else warning
    is_ours = len(wrong) == len(skews) > 1 and max(wrong.values()) - min(wrong.values()) < 1
    yield judge(
        "The clock of this machine is wrong, or that of all workers"
        if is_ours
        else f"The clock is wrong on {several(len(wrong), 'worker')}: {listed(wrong)}",
        *(
            _skew_in_words(name, skew, _voice(cluster, name))
            for name, skew in sorted(wrong.items())
        ),
        remedy="Set the clock of the worker's host by NTP (timedatectl set-ntp true, or chrony); a "
        "container has the clock of its host. Until then waits and ages are wrong by as much.",
    )


def _skew_in_words(worker: str, skew: float, voice: Voice) -> str:
    way = "ahead of this machine's" if skew > 0 else "behind this machine's, or heartbeats are late"
    text = f"{worker}: {span(abs(skew))} {way}"
    if voice.utcoffset_hours is not None:
        text += f"; it says that it is {voice.utcoffset_hours:+g} h from UTC"
    if abs(skew) > 1800 and abs(skew / 3600 - round(skew / 3600)) < 0.01:
        text += ", and whole hours of skew are a clock that was set to local time"
    return text


def versions(cluster: Cluster) -> Iterator[Verdict]:
    found = {worker.worker: worker.version for worker in cluster.up if worker.version}
    by_version: dict[str, set[str]] = {}
    for worker, version in found.items():
        by_version.setdefault(version, set()).add(worker)
    evidence = [f"celery {version}: {listed(names)}" for version, names in by_version.items()]
    if old := {version for version in by_version if _major(version) < OLDEST_MAJOR_VERSION}:
        yield warning(
            f"Celery {listed(old)} is older than what we know",
            *evidence,
            remedy="Upgrade the workers to Celery 5; older ones send events of another shape.",
        )
    elif len(by_version) > 1:
        yield warning(
            f"The workers have {len(by_version)} versions of Celery",
            *evidence,
            remedy="Finish the upgrade: the same version on all workers and clients.",
        )
    elif any(_major(version) > _major(celery.__version__) for version in by_version):
        yield note(
            f"The workers are newer than our own Celery {celery.__version__}",
            *evidence,
            remedy="Upgrade Celeriac.",
        )


def _major(version: str) -> int:
    found = re.match(r"\d+", version)
    return int(found[0]) if found else OLDEST_MAJOR_VERSION


def results(cluster: Cluster) -> Iterator[Verdict]:
    confs = {report.worker: report.conf for report in cluster.reports if report.conf}
    backends = {name: conf.result_backend or "disabled" for name, conf in confs.items()}
    kinds = set(backends.values())
    if len(kinds) > 1:
        yield note(
            f"The workers store results in different places: {listed(kinds)}",
            *_by_kind(backends),
            remedy="Set the same result_backend everywhere, or some results are never found.",
        )
    elif kinds & {"disabled", "disabled://"}:
        yield note(
            "No result backend",
            "results cannot be read (AsyncResult.get); no metric needs them",
            remedy="None for metrics. To read results: result_backend = 'redis://…'.",
        )
    elif forever := [name for name, conf in confs.items() if conf.result_expires_seconds is None]:
        yield note(
            "Results never expire",
            f"result_expires is off on {listed(forever)}; in Redis they fill the memory, and "
            "each id of a large revoke is written there too",
            remedy="Set result_expires, or task_ignore_result = True where nobody reads results.",
        )


def _by_kind(backends: dict[str, str]) -> Iterable[str]:
    for kind in sorted(set(backends.values())):
        yield f"{kind}: {listed(name for name, found in backends.items() if found == kind)}"


CHECKS = (
    Check("workers-silent", WHOEVER, "workers give signs of life", silent),
    Check("workers-missing", WHOEVER, "no expected worker is missing", fewer_than_expected),
    Check("heartbeats-off", HEARTBEATS, "every worker sends heartbeats", without_heartbeats),
    Check("remote-control-off", WORKERS, "every worker answers commands", without_answers),
    Check("worker-namesakes", WHOEVER, "every worker has a name of its own", namesakes),
    Check("clock-skew", HEARTBEATS, "the workers' clocks agree with this machine's", clock_skew),
    Check("versions", WORKERS, "the workers' versions of Celery go together", versions),
    Check("results", WORKERS, "results are stored in one place, and expire", results),
)
