"""compose.yaml and the provisioning, as far as they can be judged without starting them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from celeriac.cli import cli
from dashboards.files import PATHS, read
from parts.presence import require

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = {name: service for name, service in SERVICES.items() if service.get("build")}
PINNED = re.compile(r".+:v?\d+\.\d+(\.\d+)?(-\w+)?")


def provisioned(kind: str) -> dict[str, Any]:
    path = ROOT / "grafana" / "provisioning" / kind / "celeriac.yaml"
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def environment_names(command: click.Command) -> set[str]:
    """Return the variables that the command reads."""
    names = {"CELERIAC_" + option.name.upper() for option in command.params if option.name}
    return names | {str(option.envvar) for option in command.params if option.envvar}


def test_it_keeps_to_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, ROOT / "compose.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_image_of_others_is_pinned() -> None:
    others = [service["image"] for service in SERVICES.values() if "build" not in service]
    assert [image for image in others if not PINNED.fullmatch(image)] == []


def test_every_mounted_file_exists() -> None:
    mounted = [volume for service in SERVICES.values() for volume in service.get("volumes", ())]
    here = [volume.partition(":")[0] for volume in mounted if volume.startswith("./")]
    assert here
    assert [path for path in here if not (ROOT / path).exists()] == []


def test_every_volume_that_is_mounted_is_declared() -> None:
    mounted = [volume for service in SERVICES.values() for volume in service.get("volumes", ())]
    named = {v.partition(":")[0] for v in mounted if not v.startswith("./")}
    assert named == set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", ["exporter", "sidecar"])
def test_the_environment_names_options_that_exist(name: str) -> None:
    known = environment_names(cli.commands[name]) | {"CELERY_BROKER_URL"}
    assert set(OWN[name]["environment"]) <= known


@pytest.mark.parametrize("name", sorted(n for n in OWN if n.startswith("worker") or n == "beat"))
def test_celery_takes_the_command(name: str) -> None:
    words = [*OWN[name]["entrypoint"], *OWN[name]["command"], "--help"]
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, shlex.join(words) + done.stderr


@pytest.mark.real
def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    require("prometheus")
    path = tmp_path / "prometheus.yml"
    text = COMPOSE["configs"]["prometheus"]["content"]
    path.write_text(text.replace("/etc/prometheus/rules", str(ROOT / "alerting" / "rules")))
    done = subprocess.run(
        ["promtool", "check", "config", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_scrapes_services_that_there_are() -> None:
    config = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])
    static = [s for job in config["scrape_configs"] for s in job["static_configs"]]
    assert {t.partition(":")[0] for s in static for t in s["targets"]} <= set(SERVICES)


def test_grafana_finds_the_dashboards_where_they_are_mounted() -> None:
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    (provider,) = provisioned("dashboards")["providers"]
    assert mounted["./grafana/dashboards"] == provider["options"]["path"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home in {f"{provider['options']['path']}/{path.name}" for path in PATHS}


def test_the_data_sources_read_variables_that_are_set() -> None:
    urls = {source["url"].removeprefix("$") for source in provisioned("datasources")["datasources"]}
    assert urls <= set(SERVICES["grafana"]["environment"])


def test_every_dashboard_has_the_tag_that_the_doctor_looks_for() -> None:
    from celeriac.doctor.questions.grafana import TAG

    assert all(TAG in read(path)["tags"] for path in PATHS)
