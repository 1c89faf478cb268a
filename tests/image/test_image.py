"""The Dockerfile, built and started for real on a stand-in for its base image.

No container engine is needed: buildah works in a chroot. The stand-in proves the steps, not the
base that a release is built on. The wheels are fetched beforehand, so that the build needs no
network, and nothing of this machine gets into the image.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from celeriac import __version__
from parts.processes import Child, accepts_connections, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

# The first run makes the stand-in, which takes a minute; it is kept for later runs.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "celeriac-tests"
STAND_IN_SCRIPT = Path(__file__).with_name("stand_in.sh")
STAND_IN = CACHE / "debian-13-python-3.13.tar"
BASE = "docker.io/library/python:3.13-slim"
BASE_DOCKERFILE = f"""\
FROM scratch
ADD {STAND_IN.name} /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["python3"]
"""
PIP_CONFIG = "[global]\nno-index = true\nfind-links = /wheelhouse\n"
IMAGE = "celeriac:test"
PYTHON = "3.13"
EXTRAS = "sidecar,postgresql"
NOBODY_LISTENS = "redis://127.0.0.1:1/0"


class Image:
    """Celeriac's image and one container made from it, in a storage of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        storage = ["--root", folder / "storage", "--runroot", folder / "run"]
        self._buildah = ["buildah", *map(str, storage), "--storage-driver", "vfs"]
        self._container = ""

    def build(self) -> None:
        """Build the base, then the image as its users do, then a container from it."""
        base = self.folder / "base.Dockerfile"
        base.write_text(BASE_DOCKERFILE)
        self._bud("--tag", BASE, "--file", base, _stand_in().parent)
        wheels = self.folder / "wheels"
        _download_wheels(wheels)
        config = self.folder / "pip.conf"
        config.write_text(PIP_CONFIG)
        mounts = ["--volume", f"{config}:/etc/pip.conf:ro", "--volume", f"{wheels}:/wheelhouse:ro"]
        self._bud("--build-arg", f"VERSION={__version__}", *mounts, "--tag", IMAGE, ROOT)
        self._container = self._ask("from", "--pull-never", IMAGE).strip()

    def run(self, *command: str, **env: str) -> str:
        """Return what a command prints in the container, as the image's user."""
        return _output(*self.command(*command, **env))

    def command(self, *command: str, **env: str) -> list[str]:
        """Return the command line that runs a command in the container."""
        settings = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        run = ["run", "--isolation", "chroot", *settings, self._container, "--"]
        return [*self._buildah, *run, *command]

    @property
    def config(self) -> dict[str, Any]:
        """What the image says of itself: user, entry point, ports, health check, labels."""
        return json.loads(self._ask("inspect", "--type", "image", IMAGE))["Docker"]["config"]

    def _bud(self, *arguments: str | Path) -> None:
        options = ["--isolation", "chroot", "--pull-never", "--format", "docker"]
        self._ask("bud", *options, *map(str, arguments))

    def _ask(self, *arguments: str) -> str:
        return _output(*self._buildah, *arguments)


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def _stand_in() -> Path:
    if not STAND_IN.exists():
        _output(str(STAND_IN_SCRIPT), str(STAND_IN))
    return STAND_IN


def _download_wheels(folder: Path) -> None:
    constraints = folder.with_suffix(".txt")
    constraints.write_text("\n".join(_locked_for(PYTHON)))
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:"]
    python = ["--python-version", PYTHON, "--constraint", str(constraints)]
    _output(*pip, *python, "--dest", str(folder), f"{ROOT}[{EXTRAS}]", "hatchling")


def _locked_for(python: str) -> Iterator[str]:
    """Yield the versions locked for this Python: pip judges conditions by the one it runs on."""
    there = {"python_version": python, "python_full_version": f"{python}.0"}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if not line.startswith("#"):
            locked = Requirement(line)
            if locked.marker is None or locked.marker.evaluate(there):
                yield f"{locked.name}{locked.specifier}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if not shutil.which("buildah"):
        pytest.skip("buildah is missing: apt install buildah debootstrap.")
    if os.geteuid() != 0:
        pytest.skip("Only root may build in a chroot.")
    if not STAND_IN.exists() and not shutil.which("debootstrap"):
        pytest.skip("debootstrap is missing: apt install debootstrap.")
    folder = tmp_path_factory.mktemp("image")
    image = Image(folder)
    try:
        image.build()
        yield image
    finally:
        shutil.rmtree(folder)


def test_the_image_says_which_version_it_has(image: Image) -> None:
    assert __version__ in image.run("celeriac", "--version")


def test_the_image_runs_as_a_numbered_user_who_is_not_root(image: Image) -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", str(image.config["User"]))
    assert image.run("id", "-u").strip() == "65532"


def test_the_image_holds_no_tools_to_build_with(image: Image) -> None:
    search = "for tool in gcc cc c++ make; do command -v $tool; done; ls -d /src /dist; true"
    assert image.run("sh", "-c", f"{{ {search}; }} 2>/dev/null") == ""


def test_the_image_brings_the_locked_versions(image: Image) -> None:
    locked = (ROOT / "requirements.lock").read_text().split()
    freeze = "import importlib.metadata as m; [print(d.name, d.version) for d in m.distributions()]"
    installed = dict(line.split() for line in image.run("python", "-c", freeze).splitlines())
    assert installed.pop("celeriac") == __version__
    pins = {f"{canonicalize_name(name)}=={version}" for name, version in installed.items()}
    assert pins <= set(locked)


@pytest.mark.parametrize(
    ("command", "env"),
    [("exporter", {}), ("sidecar", {"CELERIAC_JWT_SECRET": secrets.token_hex()})],
    ids=["exporter", "sidecar"],
)
def test_what_the_image_starts_is_alive_without_a_broker(
    image: Image, tmp_path: Path, command: str, env: dict[str, str]
) -> None:
    port = free_port()
    start = [*image.config["Entrypoint"], command]
    options = ["--broker-url", NOBODY_LISTENS, "--host", "127.0.0.1", "--port", str(port)]
    with Child("image", image.command(*start, *options, **env), tmp_path) as child:
        child.wait_until(lambda: accepts_connections(port), 30, "its port")
        assert requests.get(f"http://127.0.0.1:{port}/livez", timeout=5).status_code == 200

        health_check = image.config["Healthcheck"]["Test"]
        image.run(*health_check[1:], CELERIAC_PORT=str(port))


def test_the_image_starts_the_exporter_unless_told_otherwise(image: Image) -> None:
    assert image.config["Cmd"] == ["exporter"]


def test_the_rules_are_in_the_image(image: Image) -> None:
    assert "queues.yml" in image.run("ls", "/opt/celeriac/share/celeriac/alerting/rules")
