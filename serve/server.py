"""A `bentoml serve` process: started, waited for, asked, and ended with everything it has started."""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from ftc.errors import InputError, RunError
from serve import access

START_S = 180.0
STOP_S = 10.0
_POLL_S = 0.2
# Below the ports that Linux, macOS and Windows hand out by themselves unless they are told otherwise: one of those is
# free when asked for, and may be taken before the service binds it by the sockets of another one that starts (seen: the
# greeting of its process manager).
_PORTS = range(20_000, 30_000)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect ends as the `HTTPError` that it is: what is sent holds the key, which is for this service alone."""

    def redirect_request(self, *_: Any) -> None:
        return None


# requests to this machine must not go through a proxy of the environment
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and the address it answers at."""

    process: subprocess.Popen[bytes]
    url: str

    def get(self, path: str) -> Any:
        """The JSON that a GET answers with."""
        with _opener.open(urllib.request.Request(self.url + path, headers=key_header()), timeout=START_S) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Send JSON, return the JSON answered.

        :param headers: that go with it, besides those that it always needs
        :raises RunError: if the answer is an error; the message holds it
        """
        request = urllib.request.Request(
            self.url + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **key_header(), **(headers or {})},
        )
        try:
            with _opener.open(request, timeout=START_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            raise RunError(f"{path} answered {error.code}: {said}") from error

    def wait_until_ready(self) -> None:
        """Return once `/readyz` answers 200.

        :raises RunError: if the service ends, fails to start, or finds that its model answers wrongly
        """
        deadline, workers = time.monotonic() + START_S, set[int]()
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RunError(f"the service ended with code {self.process.returncode} while it started")
            alive = self._workers()
            if workers - alive:
                raise RunError("the service failed while it started")
            workers |= alive
            try:
                with _opener.open(self.url + "/readyz", timeout=2):
                    return
            except urllib.error.HTTPError as error:
                raise RunError(
                    f"the service is not ready ({error.code}): its model does not answer the golden examples "
                    "as it did when the artifact was made"
                ) from error
            except (OSError, HTTPException):  # nobody listens or answers yet, or another process does, without HTTP
                time.sleep(_POLL_S)
        raise RunError(f"the service was not ready after {START_S:.0f} s")

    def _workers(self) -> set[int]:
        # a worker that fails is started again for ever; that one of them is gone is how it shows
        import psutil

        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children(recursive=True)
            return {child.pid for child in children if _is_worker(child)}
        return set()


def key_header() -> dict[str, str]:
    """What a request carries where a key is required; a server that was started here has the same environment."""
    key = access.required_key()
    return {} if key is None else {access.HEADER: key.decode()}


def _is_worker(process: Any) -> bool:
    import psutil

    try:
        return "_bentoml_impl.worker.service" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


@contextmanager
def running(
    target: str,
    directory: Path,
    host: str,
    port: int,
    output: IO[Any],
    home: Path | None = None,
    *,
    quiet: bool = False,
    patience_s: float = STOP_S,
) -> Iterator[Server]:
    """Serve a Bento by its tag or directory, or a service named `module:attribute`, until the block is left.

    :param directory: where the process runs
    :param output: where everything it prints goes
    :param home: a BentoML home of its own: a second server in one home deletes the metrics of the first
    :param quiet: whether it prints errors alone, not every request
    :param patience_s: what it is given in the end to answer what it has accepted
    """
    command = [sys.executable, "-m", "bentoml", "serve", target, "--host", host, "--port", str(port)]
    if quiet:
        command.append("--quiet")
    process = subprocess.Popen(
        command,
        cwd=directory,
        env=os.environ | ({"BENTOML_HOME": str(home)} if home is not None else {}),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        # Ctrl-C reaches this process alone, which then ends the other one in order
        start_new_session=True,
        preexec_fn=_end_with_parent() if sys.platform == "linux" else None,
    )
    try:
        yield Server(process, f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}")
    finally:
        stop(process, patience_s)


def stop(process: subprocess.Popen[bytes], patience_s: float = STOP_S) -> None:
    """End a server and its workers: politely first, and for certain after so long or a second Ctrl-C."""
    import psutil

    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        # workers lead sessions of their own, so the process group does not hold them
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    try:
        process.terminate()
        process.wait(patience_s)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        pass
    finally:
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now.

    :raises RunError: if none is found
    """
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):  # Windows refuses some for itself
                    raise
            else:
                return port
    raise RunError(f"the ports tried between {_PORTS[0]} and {_PORTS[-1]} are taken. End what listens on them.")


def require_free(host: str, port: int) -> None:
    """:raises InputError: if the host is no address of this machine, or the port is taken or not allowed"""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError as error:
        raise InputError(
            f"--host {host} is no IP address. Use 127.0.0.1 for this machine alone, 0.0.0.0 for its network."
        ) from error
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(
                f"port {port} on {host} cannot be listened on ({error.strerror}). Choose another with --port."
            ) from error


def _end_with_parent() -> Any:
    """What a child calls first so that it is terminated even if this process is killed outright."""
    libc = ctypes.CDLL(None)  # loaded before the fork, where loading could deadlock
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
