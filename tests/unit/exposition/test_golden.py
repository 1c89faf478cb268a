"""The whole page against a file. Renew with ``RENEW_GOLDEN=1 pytest tests/unit -k golden``."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from filled import filled, page_of, text_of

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = {"page.txt": False, "page.openmetrics.txt": True}


def page(*, is_openmetrics: bool) -> str:
    """Return the page of the fixed cluster, without what the process or its versions change."""
    text = text_of(page_of(filled()), is_openmetrics=is_openmetrics)
    own, _, process = text.partition("# HELP process_")
    end = "# EOF\n" if process.endswith("# EOF\n") else ""
    return (
        re.sub(
            r'(version="|celery_version=")[^"]+(?=".* 1\n# HELP celery_exporter_sample)',
            r"\1x",
            own,
        )
        + end
    )


@pytest.mark.parametrize(("name", "is_openmetrics"), FILES.items(), ids=FILES)
def test_the_page_is_the_golden_one(name: str, is_openmetrics: bool) -> None:
    made = page(is_openmetrics=is_openmetrics)
    if os.environ.get("RENEW_GOLDEN"):
        (GOLDEN / name).write_text(made, encoding="utf-8")
    assert made.splitlines() == (GOLDEN / name).read_text(encoding="utf-8").splitlines()
