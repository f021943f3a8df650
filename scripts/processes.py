"""One process of a stack: it can be started, killed and started again, and its output goes to a log."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pwd import struct_passwd

#: Our choices, for two busy cores: a server's first start migrates its database, which takes 20 s on an idle machine.
_START_WITHIN_S = 180.0
_STOP_WITHIN_S = 20.0


class StackError(Exception):
    """A part of the stack failed; the message ends with the end of its log."""


@dataclass
class Part:
    """A process that can be killed and started again. All processes that it started end with it."""

    name: str
    command: Sequence[str]
    log_file: Path
    cwd: Path
    environment: dict[str, str]
    #: Whether it works, checked after each start.
    is_ready: Callable[[Part], bool] = lambda part: True
    #: Whether its standard output goes into a pipe, not into the log.
    pipe: bool = False
    #: The user that it runs as, if not the current one.
    user: struct_passwd | None = None
    #: The signal that asks it to end.
    stop_signal: int = signal.SIGTERM
    process: subprocess.Popen[bytes] = field(init=False)
    _log_offset: int = 0

    def __post_init__(self) -> None:
        self.start()

    @property
    def pid(self) -> int:
        """The id of its current or last process."""
        return self.process.pid

    def start(self) -> None:
        """Start the process; `wait_until_ready()` returns when it works."""
        with self.log_file.open("a") as log:
            self._log_offset = log.tell()
            self.process = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self.pipe else log,
                stderr=log,
                # A separate session, so that Ctrl-C does not reach it: the parts are ended in order. A shell's `&`
                # leaves SIGINT ignored, and a worker that inherits that survives SIGTERM.
                start_new_session=True,
                preexec_fn=_default_interrupt,
                user=self.user.pw_uid if self.user else None,
                group=self.user.pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
            )

    def wait_until_ready(self) -> None:
        """Return when the process works. Raises `StackError` with the end of its log if it does not."""
        give_up_at = time.monotonic() + _START_WITHIN_S
        while not self.is_ready(self):
            if self.process.poll() is not None:
                raise StackError(f"the {self.name} ended while it started:\n{self.log()[-3000:]}")
            if time.monotonic() > give_up_at:
                raise StackError(f"the {self.name} did not start in {_START_WITHIN_S:.0f} s:\n{self.log()[-3000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End the process and all processes that it started by SIGKILL."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)  # so that it starts nothing meanwhile
            family = self._family()
            self.process.kill()
            _kill(family)
            self.process.wait()

    def restart(self) -> None:
        """Start the process again, after ending it if it runs, and return when it works."""
        self.end()
        self.start()
        self.wait_until_ready()

    def end(self) -> None:
        """End the process and all processes that it started; first by a signal, since a worker ends its flow runs."""
        if self.process.poll() is None:
            family = self._family()
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            _kill(family)
        if self.process.stdout:
            self.process.stdout.close()

    def _family(self) -> list[psutil.Process]:
        return list(psutil.Process(self.pid).children(recursive=True))

    def log(self) -> str:
        """The output of the process since its last start."""
        return self.log_file.read_bytes()[self._log_offset :].decode(errors="replace")


def cpu_s(process_id: int) -> float:
    """The CPU time of a process and of all processes that it started."""
    family = [process := psutil.Process(process_id), *process.children(recursive=True)]
    return float(sum(sum(one.cpu_times()[:2]) for one in family))


def peak_mb(process_id: int) -> float:
    """The most memory that a process ever had in RAM, on Linux."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def free_port() -> int:
    """A port on loopback without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int) -> None:
    """Raise `StackError` if a process listens on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: connections of an ended one linger
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(
                f"port {port} of 127.0.0.1 cannot be used: {error.strerror}. Another Prefect server may run there: "
                f"end it, or choose another port, such as `make up PORT={port + 100}`."
            ) from None


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        if process.is_running():
            process.kill()
    psutil.wait_procs(processes, timeout=_STOP_WITHIN_S)


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
