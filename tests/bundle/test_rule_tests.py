"""promtool runs the tests of the rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.rule_files import TEST_FILES
from bundle.tools import promtool


@pytest.mark.real
@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", path)
