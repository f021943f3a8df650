"""A whole installation on loopback: Prefect server, emulator, deployments and process workers, in a folder of its own.

Imports no Prefect, since Prefect reads its settings when it is imported: enter the stack, put its `environment` into
`os.environ`, and import then.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import psutil

from scripts.logs import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scripts.logs import Expected

ROOT = Path(__file__).parent.parent
POOL = "graphql-jobs"
#: The queue of what cleans up, in that pool.
CLEAN_UP_QUEUE = "clean-up"

#: Our choices, for two busy cores: a server's first start migrates its database, which takes 20 s on a quiet machine.
_START_WITHIN_S = 180.0
_STOP_WITHIN_S = 20.0


class StackError(Exception):
    """A part of the stack did not do what it must; the message ends with the end of its log."""


class Stack:
    """Use as `with Stack() as stack:`. Everything that it started is ended, and its folder removed, on exit."""

    def __init__(self, port: int | None = None, emulator_options: tuple[str, ...] = ()) -> None:
        self._resources = ExitStack()
        self._port = port
        self._emulator_options = emulator_options
        self._workers = self._watchers = 0
        self.folder = Path()
        self.environment: dict[str, str] = {}
        self.emulator: dict[str, str] = {}
        #: A throw-away secret for blocks, so that a test can search for it.
        self.target_secret = secrets.token_hex(16)

    @property
    def url(self) -> str:
        """Address of the server, where its UI is."""
        return self.environment["PREFECT_SERVER_UI_API_URL"].removesuffix("/api")

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._resources = undo
            # Resolved, since a worker compares paths and macOS puts temporary folders behind a link.
            self.folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="graphql-jobs-"))).resolve()
            self.environment = _environment(self.folder, self._port or _free_port())
            self._start_emulator()
            self._start_server()
            self._resources = undo.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._resources.close()

    def run(self, *arguments: str, cwd: Path = ROOT) -> str:
        """Run `python -m ...` against this stack and give what it printed. Raises `StackError` if it failed."""
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
        self.run("prefect", "block", "register", "-m", "blocks")
        self.run("prefect", "work-pool", "create", POOL, "--type", "process")
        self.run("prefect", "work-queue", "create", CLEAN_UP_QUEUE, "--pool", POOL, "--priority", "1")
        self.run("prefect", "--no-prompt", "deploy", "--all")

    def start_worker(self, pool: str = POOL, *, empty_home: bool = False) -> subprocess.Popen[bytes]:
        """Start a process worker, in an empty folder of its own, and return when it polls.

        With `empty_home` it is as on another machine: nothing that a worker or the server keeps on disk is there.
        """
        self._workers += 1
        name = f"worker-{self._workers}"
        folder = self.folder / name
        folder.mkdir()
        home = {"PREFECT_HOME": str(folder / "home")} if empty_home else {}
        arguments = ("prefect", "worker", "start", "--pool", pool, "--name", name)
        worker = self._start(name, *arguments, cwd=folder, environment=self.environment | home)
        self._wait_until(lambda: "started!" in self.log(name), worker, name)
        return worker

    def start_watcher(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a watcher of suspended runs, and return when it watches."""
        self._watchers += 1
        name = f"watcher-{self._watchers}"
        watcher = self._start(name, "flows.watch_suspended_runs", *options)
        self._wait_until(lambda: "Watching suspended runs" in self.log(name), watcher, name)
        return watcher

    def stop(self, worker: subprocess.Popen[bytes]) -> None:
        """End a worker, with all that it runs, or a watcher."""
        _end(worker)

    def log(self, name: str) -> str:
        """What a part of the stack printed so far: "server" or "worker-1"."""
        return _text(self.folder / f"{name}.log")

    def errors(self, expected: Iterable[Expected] = ()) -> list[str]:
        """The errors in the logs of all parts so far, each after the part's name, without those that are expected."""
        found = (
            (path.stem, entry) for path in sorted(self.folder.glob("*.log")) for entry in errors(_text(path), expected)
        )
        return [f"the log of {name}: {entry}" for name, entry in found]

    def ledger(self) -> dict[str, Any]:
        """What really happened at the providers, by the emulator."""
        with urllib.request.urlopen(f"{self.emulator['url']}/_emulator/ledger", timeout=30) as answer:
            ledger: dict[str, Any] = json.load(answer)
            return ledger

    def leaks(self) -> list[str]:
        """Where in the folder (logs, database, results) one of the stack's secrets stands in clear: file and secret."""
        names = ("aiware_token", "datasaur_client_secret")
        wanted = {name: self.emulator[name] for name in names} | {"target_secret": self.target_secret}
        # An export's address is pre-signed: everybody with it may download.
        wanted["file address"] = "?signature="
        return [
            f"{path.relative_to(self.folder)} holds the {name}"
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
            for name, secret in wanted.items()
            if secret.encode() in path.read_bytes()
        ]

    def _start_emulator(self) -> None:
        """Its first line, with the credentials, is read from a pipe: they must stand in no file."""
        emulator = self._start("emulator", "graphql_jobs.emulator", "--port", "0", *self._emulator_options, pipe=True)
        assert emulator.stdout is not None  # noqa: S101 (a pipe was asked for)
        first_line = emulator.stdout.readline()
        if not first_line:
            raise StackError("the emulator ended while it started; run `python -m graphql_jobs.emulator` to see why.")
        self.emulator = json.loads(first_line)

    def _start_server(self) -> None:
        port = self.environment["PREFECT_SERVER_API_PORT"]
        self.server = self._start("server", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port)
        self._wait_until(lambda: _answers(f"{self.url}/api/health"), self.server, "server")

    def _start(
        self,
        name: str,
        *arguments: str,
        cwd: Path = ROOT,
        pipe: bool = False,
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        log: IO[str] = self._resources.enter_context((self.folder / f"{name}.log").open("w"))
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=cwd,
            env=environment or self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe else log,
            stderr=log,
            # A session of its own, so that Ctrl-C reaches us alone and we end the parts in order. A shell's `&` leaves
            # SIGINT ignored, and a worker that inherits that survives SIGTERM.
            start_new_session=True,
            preexec_fn=_default_interrupt,
        )
        self._resources.callback(_end, process)
        return process

    def _wait_until(self, ready: Callable[[], bool], process: subprocess.Popen[bytes], name: str) -> None:
        give_up_at = time.monotonic() + _START_WITHIN_S
        while not ready():
            if process.poll() is not None:
                raise StackError(f"the {name} ended while it started:\n{self.log(name)[-3000:]}")
            if time.monotonic() > give_up_at:
                raise StackError(f"the {name} did not start in {_START_WITHIN_S:.0f} s:\n{self.log(name)[-3000:]}")
            time.sleep(0.2)


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
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_CLI_COLORS": "false",
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def cpu_s(process_id: int) -> float:
    """The CPU time of a process and of all that it started."""
    family = [process := psutil.Process(process_id), *process.children(recursive=True)]
    return float(sum(sum(one.cpu_times()[:2]) for one in family))


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started: politely first, since a worker ends its flow runs by itself."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.terminate()
    if process.stdout:
        process.stdout.close()
    try:
        process.wait(_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in family:
        if child.is_running():
            child.kill()
    psutil.wait_procs(family, timeout=_STOP_WITHIN_S)
