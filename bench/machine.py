"""Where and with what a run was made: the first line of its results."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.others import versions
from bench.stage import ROOT
from parts.presence import RABBITMQ_FOLDER

OURS = ("celery", "kombu", "redis", "hiredis", "amqp", "msgspec", "prometheus-client")
MEBIBYTE = 2**20


def describe(others: Path | None) -> dict[str, Any]:
    """Return date, commit, machine and versions."""
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "commit": _told("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_megabytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MEBIBYTE,
        "system": f"{platform.system()} {platform.release()}",
        "versions": _versions(),
        "others": versions(others) if others else {},
    }


def _versions() -> dict[str, str]:
    brokers = {
        "redis-server": _number(_told("redis-server", "--version")),
        "rabbitmq-server": _number(_told(str(RABBITMQ_FOLDER / "rabbitmqctl"), "version")),
    }
    return {"python": platform.python_version()} | brokers | {name: version(name) for name in OURS}


def _processor() -> str:
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _number(text: str) -> str:
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else ""


def _told(*command: str) -> str:
    """Return what a command prints; nothing if it is not here."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip()
