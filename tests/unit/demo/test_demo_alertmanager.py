"""The demo's Alertmanager has the bundle's routes, and one way out: its sidecar."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from celeriac.demo.alertmanager import GROUPING, configuration
from celeriac.demo.sidecar import Sidecar
from celeriac.demo.state_dir import StateDir

PUBLISHED = {
    "global": {"smtp_smarthost": "mail:25"},
    "route": {
        "receiver": "team",
        "group_wait": "30s",
        "routes": [{"receiver": "page", "matchers": ['severity="critical"'], "continue": True}],
    },
    "inhibit_rules": [{"source_matchers": ["a"], "target_matchers": ["b"]}],
    "receivers": [{"name": "team", "email_configs": [{"to": "team"}]}, {"name": "page"}],
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "alerting" / "alertmanager"
    folder.mkdir(parents=True)
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(PUBLISHED))
    return folder.parent


def test_every_receiver_is_the_sidecar(bundle: Path, tmp_path: Path) -> None:
    made = configuration(bundle, Sidecar(StateDir(tmp_path), 8000))
    for receiver in made["receivers"]:
        [webhook] = receiver["webhook_configs"]
        assert webhook["url"] == "http://127.0.0.1:8000/celery-admin/alerts"
    assert [receiver["name"] for receiver in made["receivers"]] == ["team", "page"]


def test_nothing_is_told_twice(bundle: Path, tmp_path: Path) -> None:
    route = configuration(bundle, Sidecar(StateDir(tmp_path), 8000))["route"]
    assert route["routes"] == [{"receiver": "page", "matchers": ['severity="critical"']}]


def test_what_inhibits_what_is_kept(bundle: Path, tmp_path: Path) -> None:
    made = configuration(bundle, Sidecar(StateDir(tmp_path), 8000))
    assert made["inhibit_rules"] == PUBLISHED["inhibit_rules"]


def test_a_demo_waits_less_than_a_team(bundle: Path, tmp_path: Path) -> None:
    route = configuration(bundle, Sidecar(StateDir(tmp_path), 8000))["route"]
    assert {name: route[name] for name in GROUPING} == GROUPING


def test_the_token_of_the_webhook_is_in_a_file_of_its_owner(bundle: Path, tmp_path: Path) -> None:
    sidecar = Sidecar(StateDir(tmp_path), 8000)
    made = configuration(bundle, sidecar)
    [webhook] = made["receivers"][0]["webhook_configs"]
    file = Path(webhook["http_config"]["authorization"]["credentials_file"])
    assert file.read_text()
    assert file.stat().st_mode & 0o077 == 0
