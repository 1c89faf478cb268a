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


def history(incident: Incident, end: float = END) -> dict[Series, Points]:
    """Return what was scraped of a shop with an incident in it."""
    shop = Shop(end - HISTORY_SECONDS)
    page = Page(shop)
    series: defaultdict[Series, Points] = defaultdict(list)
    has_struck = False
    while shop.now < end:
        if not has_struck and shop.now >= end - incident.minutes_before_end * 60:
            incident.strike(shop)
            has_struck = True
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
    """Draw the Overview of each incident, and all dashboards of the first."""
    for incident in INCIDENTS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(history(incident), folder)
            evaluate_rules(folder, END - HISTORY_SECONDS / 2 - SHOWN_SECONDS, END)
            with serving(folder) as url:
                draw(url, out, ["overview"], "--name", incident.name)
                draw_more(url, out, incident)


def draw_more(url: str, out: Path, incident: Incident) -> None:
    """Draw where a click on the culprit leads."""
    name, *options = NEXT[incident.name]
    draw(url, out, [name], "--whole", "--name", f"{incident.name}-{name}", *options)


NEXT = {
    "stuck-queue": ("queues",),
    "failing-after-deploy": ("tasks", "--var", "task=shop.payments.charge"),
    "workers-lost": ("workers",),
}


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
