"""Is this the Redis database, and the key prefix, that the workers use?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from celeriac.doctor.broker_facts import Channel, RedisFacts, Trace
from celeriac.doctor.findings import Check, Look, Verdict, problem, warning
from celeriac.doctor.words import listed

KEYS = Look("Celery's keys in Redis", lambda evidence: evidence.broker.redis)


def wrong_database(facts: RedisFacts) -> Iterator[Verdict]:
    others = [place for place in _elsewhere(facts) if place.prefix == facts.prefix]
    if others:
        numbers = listed({place.database for place in others})
        yield _judge(facts)(
            f"Celery is not in database {facts.database} but in {numbers}",
            *_evidence(facts, others),
            remedy=f"End --broker-url in /{others[0].database}, as the workers' broker_url does.",
        )


def wrong_prefix(facts: RedisFacts) -> Iterator[Verdict]:
    others = _elsewhere(facts)
    if others and all(place.prefix != facts.prefix for place in others):
        one = min(others, key=lambda place: place.database != facts.database)
        yield _judge(facts)(
            f"Celery's keys begin with {listed(_quoted(others))}, not with '{facts.prefix}'",
            *_evidence(facts, others),
            remedy=_right_prefix(facts, one),
        )


def _right_prefix(facts: RedisFacts, place: Trace) -> str:
    option = f"--broker-transport-option global_keyprefix={place.prefix}"
    text = f"Add {option}" if place.prefix else "Leave out global_keyprefix"
    if place.database != facts.database:
        text += f", and end --broker-url in /{place.database}"
    return f"{text}, as the workers' broker_transport_options have it."


def _judge(facts: RedisFacts) -> Callable[..., Verdict]:
    """Where Celery has been, its workers may just be down, and the others somebody else's."""
    here = _places(facts).get((facts.database, facts.prefix))
    return warning if here is not None and here.exchanges else problem


def _quoted(places: Iterable[Trace]) -> set[str]:
    return {f"'{place.prefix}'" for place in places}


def _elsewhere(facts: RedisFacts) -> list[Trace]:
    """Return where Celery lives, if it is anywhere else than where we look."""
    places = _places(facts)
    here = places.pop((facts.database, facts.prefix), None)
    if here is not None and _is_alive(facts, here):
        return []
    others = [place for place in places.values() if _is_alive(facts, place)]
    if not others and (here is None or not here.exchanges):
        others = list(places.values())
    # A prefix in our own database is the nearest guess.
    return [place for place in others if place.database == facts.database] or others


def _places(facts: RedisFacts) -> dict[tuple[int, str], Trace]:
    places = {(trace.database, trace.prefix): trace for trace in facts.traces}
    for channel in sorted(facts.channels):
        key = (channel.database, channel.prefix)
        places.setdefault(key, Trace(*key, frozenset(), frozenset()))
    return places


def _is_alive(facts: RedisFacts, place: Trace) -> bool:
    return bool(place.workers or _channels_of(facts, place))


def _channels_of(facts: RedisFacts, place: Trace) -> list[Channel]:
    where = (place.database, place.prefix)
    return [channel for channel in facts.channels if (channel.database, channel.prefix) == where]


def _evidence(facts: RedisFacts, places: Iterable[Trace]) -> Iterator[str]:
    yield f"no worker gives a sign of life in database {facts.database}, prefix '{facts.prefix}'"
    for place in places:
        said = f"database {place.database}, prefix '{place.prefix}': "
        if place.exchanges:
            said += f"keys _kombu.binding.* of {listed(place.exchanges)}; "
        if place.workers:
            said += f"workers {listed(place.workers)}; "
        if _channels_of(facts, place):
            said += "heartbeats arrive; "
        yield said.removesuffix("; ")


CHECKS = (
    Check("redis-database", KEYS, "this is the database that Celery uses", wrong_database),
    Check("redis-keyprefix", KEYS, "this is the key prefix that Celery uses", wrong_prefix),
)
