"""The folder of the demo belongs to one demo at a time, and to no one else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from celeriac.demo.state_dir import StateDir, env_text
from celeriac.errors import ConfigurationError


def test_env_is_one_key_and_value_a_line() -> None:
    text = env_text({"EXPORTER_URL": "http://127.0.0.1:9808", "BROKER_URL": "redis://127.0.0.1/0"})

    assert text == "EXPORTER_URL=http://127.0.0.1:9808\nBROKER_URL=redis://127.0.0.1/0\n"


def test_env_can_be_read_by_a_shell_whatever_the_folder_is_called() -> None:
    assert env_text({"STATE_DIR": "/home/my demo"}) == "STATE_DIR='/home/my demo'\n"


def test_env_goes_when_the_demo_ends(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "demo")
    with state.locked():
        state.write_env({"A": "b"})
        assert state.env.read_text() == "A=b\n"

    assert not state.env.exists()


def test_git_ignores_the_folder(tmp_path: Path) -> None:
    with StateDir(tmp_path / "demo").locked():
        assert (tmp_path / "demo" / ".gitignore").read_text() == "*\n"


def test_a_second_demo_is_refused(tmp_path: Path) -> None:
    with (
        StateDir(tmp_path / "demo").locked(),
        pytest.raises(ConfigurationError, match="another demo runs in"),
        StateDir(tmp_path / "demo").locked(),
    ):
        pass


def test_a_demo_starts_without_what_the_last_one_left(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "demo")
    with state.locked():
        (state.path / "prometheus").mkdir()
        (state.path / "prometheus" / "wal").touch()

    with state.locked():
        assert not (state.path / "prometheus").exists()
        assert list(state.logs.iterdir()) == []


def test_a_folder_with_other_files_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(ConfigurationError, match="not a demo's"), StateDir(tmp_path).locked():
        pass

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").touch()

    with (
        pytest.raises(ConfigurationError, match="cannot be used"),
        StateDir(tmp_path / "demo").locked(),
    ):
        pass


def test_a_private_file_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = StateDir(tmp_path).write_private("broker-url", "redis://127.0.0.1/0\n")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
