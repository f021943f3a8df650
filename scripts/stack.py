"""A whole installation on loopback: Prefect server, emulator, deployments and process workers, in a separate folder.

It does not import Prefect, which reads its settings at import: enter the stack, put its `environment` into
`os.environ`, and import Prefect then.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import certifi

from scripts.logs import errors
from scripts.processes import Part, StackError, free_port, require_free

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scripts.logs import Expected

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parent.parent
POOL = "graphql-jobs"
#: The queue of the clean-ups, in that pool.
CLEAN_UP_QUEUE = "clean-up"


class Stack:
    """Use as `with Stack() as stack:`. Everything that it started is ended, and its folder removed, on exit.

    The server begins with a copy of `database`, if it is given, or else migrates a new one. Each step is logged.
    """

    def __init__(
        self, port: int | None = None, emulator_options: tuple[str, ...] = (), database: Path | None = None
    ) -> None:
        self._resources = ExitStack()
        self._port = port
        self._emulator_options = emulator_options
        self._database = database
        #: All processes by their names: "emulator", "server", "worker-1", "watcher-1".
        self.parts: dict[str, Part] = {}
        self.folder = Path()
        self.environment: dict[str, str] = {}
        self.emulator: dict[str, str] = {}
        #: A temporary secret for blocks, so that a test can search for it.
        self.target_secret = secrets.token_hex(16)

    @property
    def url(self) -> str:
        """The address of the server and its UI."""
        return self.environment["PREFECT_SERVER_UI_API_URL"].removesuffix("/api")

    def __enter__(self) -> Self:
        if self._port:
            require_free(self._port)
        with ExitStack() as undo:
            self._resources = undo
            # Resolved, since a worker compares paths and temporary folders on macOS are symbolic links.
            self.folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="graphql-jobs-"))).resolve()
            self.environment = _environment(self.folder, self._port or free_port())
            self.environment["PREFECT_API_SSL_CERT_FILE"] = write_authority(self.folder)
            self._start_emulator()
            self._start_server()
            self._resources = undo.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._resources.close()

    def run(self, *arguments: str, cwd: Path = ROOT) -> str:
        """Run `python -m ...` against this stack and return its output. Raises `StackError` if it failed."""
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise StackError(f"`python -m {' '.join(arguments)}` exited with {done.returncode}:\n{done.stdout[-3000:]}")
        return done.stdout

    def deploy(self) -> None:
        """Register the blocks, make the work pool with its queues and deploy all of prefect.yaml."""
        logger.info("Registering the blocks and deploying the flows of prefect.yaml ...")
        self.run(
            "scripts.prefect_commands",
            "block register -m blocks",
            f"work-pool create {POOL} --type process",
            f"work-queue create {CLEAN_UP_QUEUE} --pool {POOL} --priority 1",
            "--no-prompt deploy --all",
        )

    def start_worker(self, pool: str = POOL, *, empty_home: bool = False) -> Part:
        """Start a process worker, in a new empty folder, and return when it polls.

        With `empty_home` it is like a worker on another machine: it has no files of other workers or of the server.
        """
        name = self._next_name("worker")
        logger.info("Starting %s ...", name)
        folder = self.folder / name
        folder.mkdir()
        home = {"PREFECT_HOME": str(folder / "home")} if empty_home else {}
        command = ("prefect", "worker", "start", "--pool", pool, "--name", name)
        worker = self._start(name, *command, cwd=folder, environment=self.environment | home, is_ready=_has_started)
        worker.wait_until_ready()
        return worker

    def start_watcher(self, *options: str) -> Part:
        """Start a watcher of suspended runs, and return when it watches."""
        name = self._next_name("watcher")
        logger.info("Starting %s ...", name)
        watcher = self._start(name, "flows.watch_suspended_runs", *options, is_ready=_watches)
        watcher.wait_until_ready()
        return watcher

    def log(self, name: str) -> str:
        """The output of a part of the stack over all its starts: "server" or "worker-1"."""
        return _text(self.folder / f"{name}.log")

    def errors(self, expected: Iterable[Expected] = ()) -> list[str]:
        """The errors in the logs of all parts so far, each after the part's name, without those that are expected."""
        found = (
            (path.stem, entry) for path in sorted(self.folder.glob("*.log")) for entry in errors(_text(path), expected)
        )
        return [f"the log of {name}: {entry}" for name, entry in found]

    def ledger(self) -> dict[str, Any]:
        """What the emulator received and did."""
        with urllib.request.urlopen(f"{self.emulator['url']}/_emulator/ledger", timeout=30) as answer:
            ledger: dict[str, Any] = json.load(answer)
            return ledger

    def leaks(self) -> list[str]:
        """Files of the folder (logs, database, results) with one of the stack's secrets in clear, and that secret."""
        names = ("aiware_token", "datasaur_client_secret")
        wanted = {name: self.emulator[name] for name in names} | {"target_secret": self.target_secret}
        # An export's address is pre-signed: anyone who has it may download the file.
        wanted["file address"] = "?signature="
        return [
            f"{path.relative_to(self.folder)} holds the {name}"
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
            for name, secret in wanted.items()
            if secret.encode() in path.read_bytes()
        ]

    def _start_emulator(self) -> None:
        """Its first line, with the credentials, is read from a pipe: no file may have them."""
        logger.info("Starting the emulator ...")
        command = ("graphql_jobs.emulator", "--port", "0", *self._emulator_options)
        stdout = self._start("emulator", *command, pipe=True).process.stdout
        first_line = stdout.readline() if stdout else b""
        if not first_line:
            raise StackError("the emulator ended while it started; run `python -m graphql_jobs.emulator` to see why.")
        self.emulator = json.loads(first_line)

    def _start_server(self) -> None:
        """Start the server at `PREFECT_API_URL`, and return when it answers."""
        logger.info("Starting the Prefect server; creating its database takes about 20 s ...")
        if self._database:
            home = Path(self.environment["PREFECT_HOME"])
            home.mkdir()
            shutil.copy(self._database, home / "prefect.db")
        self._start_api("server", self.environment["PREFECT_SERVER_API_PORT"]).wait_until_ready()

    def _start_api(self, name: str, port: str, *options: str, environment: dict[str, str] | None = None) -> Part:
        command = ("prefect", "server", "start", "--host", "127.0.0.1", "--port", port, *options)
        health = f"http://127.0.0.1:{port}/api/health"
        return self._start(name, *command, environment=environment, is_ready=lambda _: _answers(health))

    def _next_name(self, kind: str) -> str:
        return f"{kind}-{1 + sum(name.startswith(f'{kind}-') for name in self.parts)}"

    def _start(
        self, name: str, *command: str, cwd: Path = ROOT, environment: dict[str, str] | None = None, **how: Any
    ) -> Part:
        """Start `python -m ...` as a part, which ends with the stack. `how`: more of the part's fields."""
        return self._add(
            Part(
                name,
                [sys.executable, "-m", *command],
                log_file=self.folder / f"{name}.log",
                cwd=cwd,
                environment=environment or self.environment,
                **how,
            )
        )

    def _add(self, part: Part) -> Part:
        self._resources.callback(part.end)
        self.parts[part.name] = part
        return part


def _environment(folder: Path, port: int) -> dict[str, str]:
    """The caller's environment without its Prefect settings, so that nothing of a real installation is touched."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    address = f"http://127.0.0.1:{port}/api"
    return inherited | {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": address,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_API_URL": address,
        # Nothing here calls anything but loopback.
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Each new client would ask the server for a token, which this server does not demand.
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_CLI_COLORS": "false",
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def write_authority(folder: Path) -> str:
    """Write one authority for TLS, and give the path of the file.

    Each of Prefect's clients loads all authorities that it knows, which takes 35 ms of a core; loopback needs none.
    """
    file = folder / "authority.pem"
    file.write_text("".join(certifi.contents().partition("-----END CERTIFICATE-----\n")[:2]))
    return str(file)


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


def _has_started(worker: Part) -> bool:
    return "started!" in worker.log()


def _watches(watcher: Part) -> bool:
    return "Watching suspended runs" in watcher.log()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
