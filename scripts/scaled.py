"""`make up-scaled`: Prefect on PostgreSQL and Redis, with several servers, workers and watchers, on loopback.

Two API servers behind a load balancer, one process of services, process workers and watchers of suspended runs. Use
`scaled_stack()` in tests and benchmarks; it returns a `Stack` whose parts can be killed and started again:

    with scaled_stack() as stack:
        stack.parts["api-1"].kill()
        stack.parts["api-1"].restart()
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pwd
import secrets
import shutil
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.processes import Part, StackError, free_port
from scripts.stack import Stack
from scripts.up import main

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger(__name__)

#: Two watchers that share all runs.
_TWO_WATCHERS: tuple[tuple[str, ...], ...] = ((), ())


class ScaledStack(Stack):
    """The parts: "emulator", "postgres", "redis", "api-1", "api-2", "services", "balancer", "worker-1", "watcher-1"."""

    def _start_server(self) -> None:
        if absent := missing():
            raise StackError(absent)
        logger.info("Starting PostgreSQL, Redis and two Prefect servers; creating the database takes about 20 s ...")
        settings = self.environment | _redis_settings(self._start_redis()) | self._start_postgres()
        ports = [str(free_port()), str(free_port())]
        # The first one creates the tables: of two that start at once on an empty database, one fails.
        self._start_api("api-1", ports[0], "--no-services", environment=settings).wait_until_ready()
        self._start_api("api-2", ports[1], "--no-services", environment=settings)
        self._start("services", "prefect", "server", "services", "start", environment=settings)
        port = self.environment["PREFECT_SERVER_API_PORT"]
        self._start("balancer", "scripts.balancer", port, *ports, is_ready=_is_balancing).wait_until_ready()

    def _start_postgres(self) -> dict[str, str]:
        """Start PostgreSQL in a folder of its own, and give Prefect's setting for it."""
        folder, port, password = self.folder / "postgres", free_port(), secrets.token_hex(16)
        folder.mkdir(mode=0o700)
        _write_private(folder / "password", password)
        user = _postgres_user()
        if user:
            os.chown(self.folder, -1, user.pw_gid)
            self.folder.chmod(0o710)  # to get into its own folder
            for path in (folder, folder / "password"):
                os.chown(path, user.pw_uid, user.pw_gid)
        _initialize(folder, user)
        options = ("-D", str(folder / "data"), "-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1")
        # SIGINT: it stops without waiting for its clients.
        command = [_program("postgres"), *options]
        self._add_database("postgres", command, cwd=folder, user=user, stop_signal=signal.SIGINT)
        url = f"postgresql+asyncpg://prefect:{password}@127.0.0.1:{port}/postgres"
        return {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url}

    def _start_redis(self) -> str:
        """Start Redis, which stores nothing on disk, and return its address."""
        port, password = free_port(), secrets.token_hex(16)
        settings = self.folder / "redis.conf"
        _write_private(settings, f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\n')
        self._add_database("redis", [_program("redis-server"), str(settings)], cwd=self.folder)
        return f"redis://:{password}@127.0.0.1:{port}/0"

    def _add_database(self, name: str, command: list[str], **how: Any) -> None:
        log = self.folder / f"{name}.log"
        part = Part(name, command, log, environment=self.environment, is_ready=_accepts_connections, **how)
        self._add(part).wait_until_ready()


@contextmanager
def scaled_stack(
    *,
    port: int | None = None,
    workers: int = 2,
    watchers: Sequence[Sequence[str]] = _TWO_WATCHERS,
    emulator_options: tuple[str, ...] = (),
) -> Iterator[ScaledStack]:
    """The scaled stack with all deployments. `watchers`: the arguments of each. `port`: where the servers answer."""
    with ScaledStack(port, emulator_options) as stack:
        stack.deploy()
        for arguments in watchers:
            stack.start_watcher(*arguments)
        for _ in range(workers):
            stack.start_worker()
        stack.parts["api-2"].wait_until_ready()
        yield stack


def missing() -> str:
    """The programs that the scaled stack needs and this machine lacks, and how to install them; empty if none."""
    programs = {"postgres": "postgresql", "initdb": "postgresql", "redis-server": "redis-server"}
    packages = sorted({package for program, package in programs.items() if not _find(program)})
    commands = [f"`apt-get install -y {' '.join(packages)}` (Debian)"] if packages else []
    if not importlib.util.find_spec("prefect_redis"):
        commands.append("`pip install --require-hashes --requirement requirements.lock`")
    return f"The scaled stack lacks programs. Install them: {', '.join(commands)}." if commands else ""


def _find(program: str) -> str | None:
    """The path of a program. Debian keeps PostgreSQL's out of PATH, in a folder for each version."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    return shutil.which(program, path=os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)]))


def _program(name: str) -> str:
    path = _find(name)
    if not path:
        raise StackError(missing())
    return path


def _postgres_user() -> pwd.struct_passwd | None:
    """The user for PostgreSQL if the current user is root, as whom it does not run."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _initialize(folder: Path, user: pwd.struct_passwd | None) -> None:
    """Create the files of PostgreSQL."""
    options = ("--username", "prefect", "--pwfile", "password", "--auth", "scram-sha-256", "--encoding", "UTF8")
    command = [_program("initdb"), "--pgdata", "data", "--no-locale", "--no-sync", *options]
    part = Part("initdb", command, folder.parent / "initdb.log", folder, dict(os.environ), user=user)
    if part.process.wait():
        raise StackError(f"initdb exited with {part.process.returncode}:\n{part.log()[-3000:]}")


def _redis_settings(url: str) -> dict[str, str]:
    """The settings with which several server processes share messages, their order, leases and tasks in Redis.

    Source: https://docs.prefect.io/v3/advanced/self-hosted and the settings of prefect-redis 0.3.0.
    """
    return {
        "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
        "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
        "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect_redis.cleanup_queue",
        "PREFECT_REDIS_MESSAGING_URL": url,
        "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": url,
        "PREFECT_SERVER_DOCKET_URL": url,
        # Each time it reads all suspended runs. With 10,000 of them and the default of 5 s it takes a third of a core.
        "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "60",
    }


def _write_private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)


def _accepts_connections(database: Part) -> bool:
    """Both databases log these words. A port that listens is not enough: PostgreSQL may have to recover first."""
    return "ready to accept connections" in database.log().lower()


def _is_balancing(balancer: Part) -> bool:
    return "ready" in balancer.log()


if __name__ == "__main__":
    sys.exit(main(scaled_stack))
