"""A master, a replica and a Sentinel that watches them."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from parts.presence import require
from parts.processes import Child, Part, free_port
from parts.valkey import Redis

START_SECONDS = 20.0
MASTER_NAME = "mymaster"
DOWN_AFTER_MILLISECONDS = 1000


class RedisSentinel(Part):
    """Two Redis servers under one Sentinel with a quorum of one; fails over within seconds.

    Kill or pause ``master.child`` and wait until ``master_port()`` is another.
    """

    def __init__(self) -> None:
        require("redis")
        super().__init__()
        self.port = free_port()
        self.master = Redis()
        master = f"127.0.0.1 {self.master.port}"
        self.replica = Redis(options={"replicaof": master, "repl-diskless-sync-delay": 0})
        self._write_config()
        command = [str(Redis.binary()), "sentinel.conf", "--sentinel"]
        self.child = Child("sentinel", command, self.folder)

    @property
    def url(self) -> str:
        """The broker URL; goes with ``transport_options``."""
        return f"sentinel://127.0.0.1:{self.port}/0"

    @property
    def transport_options(self) -> dict[str, str]:
        return {"master_name": MASTER_NAME}

    def start(self) -> None:
        for server in (self.master, self.replica):
            self._ends.enter_context(server)
        self.replica.child.wait_until(self._is_replicating, START_SECONDS, "replication")
        self.adopt(self.child).start()
        self.child.wait_until(self._knows_replica, START_SECONDS, "Sentinel to find the replica")

    def client(self) -> redis.Redis:
        """Return a client of the Sentinel itself."""
        no_retry = Retry(NoBackoff(), 0)
        return redis.Redis(port=self.port, decode_responses=True, retry=no_retry)

    def master_port(self) -> int:
        """Return the port of the master that Sentinel announces now."""
        with self.client() as client:
            return int(client.sentinel_get_master_addr_by_name(MASTER_NAME)[1])

    def fail_over(self) -> None:
        """Kill the master and return when Sentinel announces the other server."""
        self.master.child.kill()
        self.child.wait_until(
            lambda: self.master_port() == self.replica.port, START_SECONDS, "the failover"
        )

    def _is_replicating(self) -> bool:
        with self.replica.client() as client:
            return bool(client.info("replication").get("master_link_status") == "up")

    def _knows_replica(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.sentinel_master(MASTER_NAME)["num-slaves"] == 1)
        except redis.RedisError:
            return False

    def _write_config(self) -> None:
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self.folder}",
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {self.master.port} 1",
            f"sentinel down-after-milliseconds {MASTER_NAME} {DOWN_AFTER_MILLISECONDS}",
            f"sentinel failover-timeout {MASTER_NAME} 5000",
        ]
        (self.folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
