"""Is the broker there, does it let us in, and can everything be sampled?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from celeriac.doctor.broker_facts import Contact
from celeriac.doctor.evidence import Cluster
from celeriac.doctor.findings import Check, Look, Verdict, problem

BROKER = Look("the broker", lambda evidence: evidence.contact)
SAMPLING = Look("our own samples of the broker", lambda evidence: evidence.cluster)

# What brokers, drivers and resolvers say, and what to do about it; the first match wins.
_REMEDIES = {
    r"vhost \S+ not found": (
        "Create the virtual host (rabbitmqctl add_vhost NAME), or give the one that the workers "
        "use in --broker-url."
    ),
    r"access to vhost": (
        "Give the user access: rabbitmqctl set_permissions -p VHOST USER '.*' '.*' '.*'"
    ),
    r"authentication required|NOAUTH": (
        "The broker wants a password: add it to the URL, in CELERIAC_BROKER_URL or in a file "
        "that --broker-url-file names."
    ),
    r"username-password|ACCESS_REFUSED - Login": (
        "Correct user and password in CELERIAC_BROKER_URL or in the file of --broker-url-file; "
        "they are those of the workers' broker_url. Escape special characters: / is %2F, @ is %40."
    ),
    r"NoPermission|NOPERM|no permissions|ACCESS_REFUSED": (
        "Give the user what the exporter needs: on Redis to read keys, to subscribe to and publish "
        "on channels; on RabbitMQ to configure, write and read its own queues."
    ),
    r"DB index is out of range": (
        "The server has no such database: give the number that ends the workers' broker_url."
    ),
    r"not known|no address|resolve": (
        "This machine does not know the host name: correct --broker-url, or the DNS."
    ),
    r"refused": (
        "Start the broker, or correct host and port in --broker-url. In a container, localhost is "
        "the container itself."
    ),
    r"certificate|SSL|TLS": (
        "Give what TLS needs: rediss:// or amqps://, --broker-ssl-option ssl_ca_certs=FILE."
    ),
    r"timed? ?out": (
        "Something swallows the connection: a firewall, the wrong port, or TLS on one side only "
        "(rediss:// and amqps:// are with TLS)."
    ),
    r"protocol|reply type": (
        "Something else than this kind of broker listens there: correct scheme and port."
    ),
}
_OTHERWISE = "Check that the broker runs, its address in --broker-url, and the network between."


def remedy(said: str) -> str:
    """Return what to do about what a broker or a driver has said."""
    found = (text for pattern, text in _REMEDIES.items() if re.search(pattern, said, re.IGNORECASE))
    return next(found, _OTHERWISE)


def unreachable(contact: Contact) -> Iterator[Verdict]:
    if contact.failure == "unreachable":
        title = f"The broker cannot be reached: {contact.asked.broker}"
        yield problem(title, contact.said, remedy=remedy(contact.said))


def refused(contact: Contact) -> Iterator[Verdict]:
    if contact.failure == "refused":
        title = f"The broker does not let us in: {contact.asked.broker}"
        yield problem(title, contact.said, remedy=remedy(contact.said))


def not_sampled(cluster: Cluster) -> Iterator[Verdict]:
    failed = [view for view in cluster.snapshot.sources if not view.is_successful]
    if failed:
        sources = ", ".join(f"{view.source} ({view.reason})" for view in failed)
        yield problem(
            f"Not everything can be sampled: {sources}",
            *cluster.complaints,
            remedy=remedy(" ".join(cluster.complaints)),
        )


CHECKS = (
    Check("broker-unreachable", BROKER, "the broker answers", unreachable),
    Check("broker-refused", BROKER, "the broker lets us in", refused),
    Check("not-sampled", SAMPLING, "events, workers and queues can be sampled", not_sampled),
)
