"""A network namespace with two links to this one: one that may be cut, one to look in by."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from parts.processes import Part

# Of the network that is set aside for tests between networks (RFC 2544).
SUBNET = "198.18"


class Namespace(Part):
    """Commands with ``prefix`` run inside.

    Inside, this side is at ``outside_address``, over a link that ``cut`` takes down and ``heal``
    brings back; whoever listens inside is always reached at ``inside_address``.
    """

    def __init__(self) -> None:
        super().__init__()
        number = os.getpid() % 250
        self.name = f"celeriac-{os.getpid()}"
        self.outside_address = f"{SUBNET}.{number}.1"
        self.inside_address = f"{SUBNET}.{number}.6"
        # Names of interfaces have at most fifteen characters.
        self._cuttable, self._lasting = f"cc{os.getpid()}", f"cl{os.getpid()}"
        self._far_end = f"{SUBNET}.{number}.2"
        self._near_end = f"{SUBNET}.{number}.5"

    @property
    def prefix(self) -> list[str]:
        return ["ip", "netns", "exec", self.name]

    def start(self) -> None:
        _ip("netns", "add", self.name)
        # Its links go with it.
        self._ends.callback(_ip, "netns", "del", self.name)
        self._link(self._cuttable, self.outside_address, self._far_end)
        self._link(self._lasting, self._near_end, self.inside_address)
        _ip("-n", self.name, "link", "set", "lo", "up")

    def _link(self, name: str, near: str, far: str) -> None:
        _ip("link", "add", name, "type", "veth", "peer", "name", "far", "netns", self.name)
        _ip("-n", self.name, "link", "set", "far", "name", f"{name}f")
        _ip("addr", "add", f"{near}/30", "dev", name)
        _ip("-n", self.name, "addr", "add", f"{far}/30", "dev", f"{name}f")
        _ip("link", "set", name, "up")
        _ip("-n", self.name, "link", "set", f"{name}f", "up")

    def cut(self) -> None:
        _ip("link", "set", self._cuttable, "down")

    def heal(self) -> None:
        _ip("link", "set", self._cuttable, "up")


def can_make_namespaces() -> bool:
    """Return whether this process may make network namespaces."""
    probe = f"celeriac-probe-{os.getpid()}"
    try:
        _ip("netns", "add", probe)
        _ip("netns", "del", probe)
    except (OSError, subprocess.CalledProcessError):
        return False
    return Path("/run/netns").is_dir()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
