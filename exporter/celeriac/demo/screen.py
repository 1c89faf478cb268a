"""What the demo says on the terminal, or in plain lines where there is none."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from celeriac.demo.cluster import Addresses
from celeriac.demo.guide import CALLS, Look, command_line, graph_url
from celeriac.demo.state_dir import StateDir


class Screen:
    """Everything that goes to standard output."""

    def __init__(self) -> None:
        # Paths and addresses are there to be copied: nothing is wrapped, nothing coloured by guess.
        self._console = Console(highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        self._console.print(Text(f"demo: {text}"))

    @contextlib.contextmanager
    def starting(self, steps: int) -> Iterator[Callable[[str], None]]:
        """Show how far the start is; call what is yielded with each step that begins."""
        if self._console.is_terminal:
            with self._bar(steps) as announce:
                yield announce
        else:
            yield self._lines(steps)

    @contextlib.contextmanager
    def _bar(self, steps: int) -> Iterator[Callable[[str], None]]:
        columns = (TextColumn("demo:"), BarColumn(), TextColumn("{task.description}"))
        with Progress(*columns, TimeElapsedColumn(), console=self._console, transient=True) as bar:
            shown = bar.add_task("", total=steps, completed=-1)
            yield lambda what: bar.update(shown, advance=1, description=what)

    def _lines(self, steps: int) -> Callable[[str], None]:
        done = iter(range(1, steps + 1))
        return lambda what: self.say(f"{next(done)}/{steps} {what}")

    def show_guide(
        self, addresses: Addresses, state: StateDir, looks: Iterable[Look], end: str
    ) -> None:
        """Print where everything is, and what to look at first."""
        self._console.print(_address_table(addresses, state, end), soft_wrap=False)
        self._show_calls(addresses, state)
        if addresses.prometheus_url is None:
            self.say("Prometheus is not on this machine; the exporter's page has every number")
            return
        self._console.print("\nTo look at first, in Prometheus:", style="bold")
        for look in looks:
            self._console.print(Text(f"  {look.shows}"))
            link = graph_url(addresses.prometheus_url, look.query)
            self._console.print(Text(f"    {look.query}", style=f"cyan link {link}"))

    def _show_calls(self, addresses: Addresses, state: StateDir) -> None:
        self._console.print("\nA token for the sidecar, of an administrator:", style="bold")
        self._console.print(Text(f"    {addresses.admin_token}"))
        self._console.print("\nTo ask it, in another terminal:", style="bold")
        self._console.print(Text(f"    . {shlex.quote(str(state.env))}", style="cyan"))
        for call in CALLS:
            self._console.print(Text(f"  {call.shows}"))
            self._console.print(Text(f"    {command_line(call)}", style="cyan"))


def _address_table(addresses: Addresses, state: StateDir, end: str) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = {
        "Exporter": f"{addresses.exporter_url}/metrics",
        "Sidecar": f"{addresses.sidecar_url}/celery-admin",
        "Prometheus": addresses.prometheus_url,
        "Alertmanager": addresses.alertmanager_url,
        "Broker": addresses.broker_url,
        "All of these": str(state.env),
        "Logs": str(state.logs),
        "To end it": end,
    }
    table.add_column(style="bold", no_wrap=True, min_width=max(map(len, rows)))
    table.add_column(no_wrap=True, overflow="ignore")
    for name, text in rows.items():
        if text is not None:
            table.add_row(name, Text(text))
    return table
