"""``alerting/thresholds.py``, which is a script in no package."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from bundle.rule_files import ALERTING

if TYPE_CHECKING:
    from types import ModuleType


def load_generator() -> ModuleType:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("thresholds", ALERTING / "thresholds.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generator = load_generator()
