"""A private RabbitMQ node with an epmd of its own."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import amqp

from parts.presence import RABBITMQ_FOLDER, require
from parts.processes import Child, Part, accepts_connections, free_port, inherited_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_SECONDS = 90.0
STOP_SECONDS = 30.0
COMMAND_SECONDS = 60.0
ERLANG_ARGUMENTS = "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"


class RabbitMQ(Part):
    """A RabbitMQ node on loopback, user and password guest; ready in about six seconds.

    ``plugins`` are enabled at start: ``rabbitmq_management`` answers on ``management_port``,
    ``rabbitmq_prometheus`` on ``prometheus_port``. ``options`` are lines of rabbitmq.conf.
    With ``ssl_options.*`` among them, AMQP over TLS is served on ``tls_port``.
    ``child`` can be paused and killed; ``restart`` brings it back with its durable queues.
    """

    def __init__(
        self, plugins: Sequence[str] = (), options: Mapping[str, str | int] | None = None
    ) -> None:
        require("rabbitmq")
        super().__init__()
        self.port, self.management_port, self.prometheus_port = (free_port() for _ in range(3))
        self.tls_port = free_port()
        self.node = f"rabbit{self.port}@localhost"
        self._env = self._environment()
        self._write_config(plugins, options or {})
        # Without ours the node would start a daemon that outlives it.
        command = [shutil.which("epmd") or "epmd", "-address", "127.0.0.1"]
        self._epmd = Child("epmd", command, self.folder, self._env)
        server = RABBITMQ_FOLDER / "rabbitmq-server"
        self.child = Child("rabbitmq", [server], self.folder, self._env)

    @property
    def url(self) -> str:
        """The broker URL of the default virtual host."""
        return self.vhost_url("/")

    @property
    def management_url(self) -> str:
        """The address of the management API, user and password included."""
        return f"http://guest:guest@127.0.0.1:{self.management_port}"

    def vhost_url(self, vhost: str, user: str = "guest", password: str = "guest") -> str:
        """Return the broker URL of a virtual host."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{vhost.replace('/', '%2F')}"

    def start(self) -> None:
        if not self._epmd.is_running:
            self.adopt(self._epmd).start()
            epmd_port = int(self._env["ERL_EPMD_PORT"])
            self._epmd.wait_until(lambda: accepts_connections(epmd_port), 10, "epmd")
        self._ends.callback(self.child.terminate, STOP_SECONDS)
        self.child.start()
        self.child.wait_until(self.answers, START_SECONDS, "an AMQP connection")

    def restart(self) -> None:
        """Bring a node back, whether it still runs or was killed: same port, same data."""
        self.child.kill()
        self.start()

    def answers(self) -> bool:
        """Return True if a client can open a channel."""
        if not accepts_connections(self.port):
            return False
        try:
            with amqp.Connection(f"127.0.0.1:{self.port}", connect_timeout=5) as connection:
                connection.channel().close()
        except (OSError, amqp.AMQPError):
            return False
        return True

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl against this node and return what it printed."""
        command = [str(RABBITMQ_FOLDER / "rabbitmqctl"), "-n", self.node, "-q", *arguments]
        done = subprocess.run(
            command,
            env=inherited_environment() | self._env,
            capture_output=True,
            text=True,
            check=True,
            timeout=COMMAND_SECONDS,
        )
        return done.stdout

    def add_vhost(self, vhost: str) -> str:
        """Create a virtual host that guest may use and return its URL."""
        self.control("add_vhost", vhost)
        self.control("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
        return self.vhost_url(vhost)

    def add_user(self, user: str, password: str, vhost: str = "/", *tags: str) -> str:
        """Create a user with every permission in one virtual host and return its URL."""
        self.control("add_user", user, password)
        self.control("set_permissions", "-p", vhost, user, ".*", ".*", ".*")
        self.control("set_user_tags", user, *tags)
        return self.vhost_url(vhost, user, password)

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        return {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGUMENTS,
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _write_config(self, plugins: Sequence[str], options: Mapping[str, str | int]) -> None:
        (self.folder / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
        lines: dict[str, str | int] = {"log.console": "true", "log.console.level": "warning"}
        if "rabbitmq_management" in plugins:
            lines |= {"management.tcp.ip": "127.0.0.1", "management.tcp.port": self.management_port}
        if "rabbitmq_prometheus" in plugins:
            lines |= {"prometheus.tcp.ip": "127.0.0.1", "prometheus.tcp.port": self.prometheus_port}
        if any(name.startswith("ssl_options.") for name in options):
            lines["listeners.ssl.default"] = self.tls_port
        text = "".join(f"{name} = {value}\n" for name, value in (lines | dict(options)).items())
        (self.folder / "rabbitmq.conf").write_text(text)
