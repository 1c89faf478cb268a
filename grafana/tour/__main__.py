"""Draws the tour: ``python -m grafana.tour FOLDER``. Needs Prometheus, Chromium and Node.js."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from grafana.generate.__main__ import FOLDER as DASHBOARDS
from grafana.tour.backfill import Points, Series, evaluate_rules, serving, write
from grafana.tour.incidents import INCIDENTS, Incident
from grafana.tour.page import Page
from grafana.tour.shop import Shop

PREVIEW = Path(__file__).resolve().parents[1] / "preview"
# A fixed end, so that the pictures of one version are the same every time: 3 a.m., of course.
END = 1_763_694_000.0
HISTORY_SECONDS = 2 * 3600.0
SHOWN_SECONDS = 3600.0
# Where a click on the culprit leads.
NEXT = {
    "stuck-queue": ("queues",),
    "failing-after-deploy": ("tasks", "--var", "task=shop.payments.charge"),
    "workers-lost": ("workers",),
}


def history(incident: Incident | None, seconds: float = HISTORY_SECONDS) -> dict[Series, Points]:
    """Return what was scraped of a shop up to ``END``, with an incident in it or without."""
    shop = Shop(END - seconds)
    page = Page(shop)
    series: defaultdict[Series, Points] = defaultdict(list)
    while shop.now < END:
        if incident and shop.now == END - incident.minutes_before_end * 60:
            incident.strike(shop)
        shop.step()
        for name, labels, value in page.samples():
            series[name, labels].append((shop.now, value))
    return series


def draw(url: str, out: Path, dashboards: list[str], *options: str) -> None:
    """Have the preview draw dashboards as of the end of the history."""
    files = [str(DASHBOARDS / f"celeriac-{name}.json") for name in dashboards]
    bounds = ["--from", f"{(END - SHOWN_SECONDS) * 1000:.0f}", "--to", f"{END * 1000:.0f}"]
    command = ["node", "draw.mjs", "--prometheus", url, "--out", str(out), *bounds, *options]
    subprocess.run([*command, *files], cwd=PREVIEW, check=True)  # noqa: S603  files of its own


def main(out: Path) -> None:
    """Draw the Overview of each incident, and where a click on the culprit leads."""
    for incident in INCIDENTS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(history(incident), folder)
            evaluate_rules(folder, END - HISTORY_SECONDS, END)
            with serving(folder) as url:
                draw(url, out, ["overview"], "--name", incident.name)
                name, *options = NEXT[incident.name]
                draw(url, out, [name], "--whole", "--name", f"{incident.name}-{name}", *options)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
