"""Python processes that start at once: forked from one that has imported torch and the suites.

`run` and `Popen` take what those of `subprocess` take, for a command line of this Python: ``-m``
and a module, ``-c`` and a program, or a script. The process has its own arguments, environment,
folder, streams, session, signals and exit code. What it does not have is a cold start: tests of
what is imported, of import-time output and of Python's own options use `subprocess`. Workers of a
pool, which `multiprocessing` would start in new interpreters, come from here too
(`serve_workers`); they unpickle their task as they do there, and have nothing of the test's
process.

One server serves all processes of a pytest session. Where there is a CUDA device, which no forked
process could use, or another system than Linux, and with ``pytest --real-processes``, everything is
a new interpreter; so it is in a test that is marked with ``real_processes``.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import multiprocessing.context
import multiprocessing.popen_spawn_posix
import multiprocessing.util
import os
import random
import runpy
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any
from unittest import mock

#: The environment variable with the address of the server; there is none where it is not set.
ADDRESS = "DCBENCH_TEST_SERVER"
#: What the processes would spend their time on.
_IMPORTED = (
    "bench.execution.worker",
    "bench.report.document",
    "bench.studies.estimate",
    "suites.pinn.task",
    "suites.molecular.task",
)
_DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-ctrl")
_LENGTH = 8


# The side of the tests.


def start_server() -> Callable[[], None]:
    """Start it, for this process and those below; how to end it. It imports when it is first asked.

    Where processes cannot be forked nothing is done.
    """
    if sys.platform != "linux" or any(Path(path).exists() for path in _DRIVERS):
        return lambda: None
    folder = tempfile.mkdtemp(prefix="dcbench-")
    os.environ[ADDRESS] = f"{folder}/server"
    inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", ADDRESS)}
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.environ[ADDRESS])
        listening.listen(64)
        program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        program += f"import command_server; command_server.serve({listening.fileno()})"
        # It ends with its input.
        server = subprocess.Popen(
            [sys.executable, "-c", program],
            env=inherited,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[listening.fileno()],
        )

    def end() -> None:
        del os.environ[ADDRESS]
        shutil.rmtree(folder)
        server.communicate()

    return end


class _Process:
    """A process that the server was asked for.

    Args:
        arguments: Of Python.
        fds: What it has open: its number of each, and this process's.
        cwd: Its folder; ``None``: this process's.
        env: Its environment; ``None``: this process's.
        session: Whether it begins a session.
    """

    def __init__(
        self,
        arguments: Sequence[Any],
        fds: Mapping[int, int],
        cwd: Any = None,
        env: Mapping[str, str] | None = None,
        session: bool = False,
    ) -> None:
        environment = dict(os.environ if env is None else env)
        request = {
            "arguments": [os.fsdecode(word) for word in arguments],
            "fds": list(fds),
            "cwd": os.fsdecode(os.path.abspath(cwd or os.curdir)),  # noqa: PTH100
            "env": environment,
            "session": session,
            "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        }
        text = json.dumps(request).encode()
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(os.environ[ADDRESS])
        length = len(text).to_bytes(_LENGTH)
        socket.send_fds(self._connection, [length], list(fds.values()))
        self._connection.sendall(text)
        self.pid = int(_read(self._connection, _LENGTH))

    def status(self, wait: bool) -> int | None:
        """As `os.waitpid` gives it; ``None`` if it has not ended."""
        if not wait and not select.select([self._connection], [], [], 0)[0]:
            return None
        with self._connection:
            return int(_read(self._connection, _LENGTH))


def _read(connection: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        part = connection.recv(length - len(found))
        assert part, "the server of commands has ended"
        found += part
    return found


class _Served(subprocess.Popen[Any]):
    """Like a process of `subprocess`, of which it replaces what forks and what waits."""

    def _execute_child(
        self,
        args: Any,
        executable: Any,
        preexec_fn: Any,
        close_fds: Any,
        pass_fds: Any,
        cwd: Any,
        env: Any,
        startupinfo: Any,
        creationflags: Any,
        shell: Any,
        p2cread: int,
        p2cwrite: int,
        c2pread: int,
        c2pwrite: int,
        errread: int,
        errwrite: int,
        restore_signals: Any,
        gid: Any,
        gids: Any,
        uid: Any,
        umask: int,
        start_new_session: bool,
        process_group: int,
    ) -> None:
        assert args[0] == sys.executable
        assert not (executable or preexec_fn or pass_fds or shell or gid or gids or uid)
        assert umask == process_group == -1
        own = (p2cread, c2pwrite, errwrite)
        fds = {number: number if fd == -1 else fd for number, fd in enumerate(own)}
        self._process = _Process(args[1:], fds, cwd, env, start_new_session)
        self.pid = self._process.pid
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]

    def _try_wait(self, flags: int) -> tuple[int, int]:
        status = self._process.status(not flags & os.WNOHANG)
        return (0, 0) if status is None else (self.pid, status)

    def _internal_poll(self, _deadstate: Any = None) -> int | None:
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def Popen(arguments: Sequence[Any], **options: Any) -> subprocess.Popen[Any]:
    """`subprocess.Popen` of this Python, warm where that can be."""
    return (_Served if ADDRESS in os.environ else subprocess.Popen)(arguments, **options)


def run(
    arguments: Sequence[Any],
    *,
    capture_output: bool = False,
    check: bool = False,
    timeout: float | None = None,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run` of this Python, warm where that can be."""
    if capture_output:
        options.update(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with Popen(arguments, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(arguments, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


class _Worker(multiprocessing.popen_spawn_posix.Popen):
    """What `multiprocessing` knows of a process that it has spawned."""

    def _launch(self, process: Any) -> None:
        resource_tracker.ensure_running()  # which is a new interpreter
        with mock.patch.object(multiprocessing.util, "spawnv_passfds", self._fork):
            super()._launch(process)  # type: ignore[misc]

    def _fork(self, path: Any, arguments: Sequence[Any], fds: Sequence[int]) -> int:
        program = arguments[[os.fsdecode(word) for word in arguments].index("-c") :]
        self._process = _Process(program, {fd: fd for fd in (0, 1, 2, *fds)})
        return self._process.pid

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        if self.returncode is None:
            status = self._process.status(not flag & os.WNOHANG)
            if status is not None:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def serve_workers() -> contextlib.AbstractContextManager[Any]:
    """Let processes that `multiprocessing` spawns come from the server, where there is one."""
    process = multiprocessing.context.SpawnProcess
    spawn = process._Popen

    def start(process: Any) -> Any:
        return (_Worker if ADDRESS in os.environ else spawn)(process)

    return mock.patch.object(process, "_Popen", staticmethod(start))


# The side of the server.


def serve(listening: int) -> None:
    """Fork a process for each request until stdin ends. Each goes on here as what it is to be.

    Args:
        listening: The socket's descriptor.
    """
    # What is registered first is called last.
    atexit.register(_leave)
    with _Server(listening) as server:
        request = server.wait()
    if request is None:
        _exit_codes.append(0)
    else:
        _become(request)


class _Server:
    def __init__(self, listening: int) -> None:
        self._listening = socket.socket(fileno=listening)
        self._wakeup, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._clients: dict[int, socket.socket] = {}
        self._imported = False
        #: Variables that an import has set.
        self._variables: dict[str, str] = {}

    def __enter__(self) -> _Server:
        self._wakeup.setblocking(False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for one in (self._listening, self._woken, sys.stdin):
            self._selector.register(one, selectors.EVENT_READ)
        return self

    def __exit__(self, *_: object) -> None:
        """In a forked process too."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._selector.close()
        for one in (self._listening, self._wakeup, self._woken, *self._clients.values()):
            one.close()

    def wait(self) -> dict[str, Any] | None:
        """What a forked process is to be; ``None`` at the end of the server."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is sys.stdin:
                    return None
                if key.fileobj is self._woken:
                    self._woken.recv(4096)
                    self._tell_of_the_dead()
                elif (request := self._take()) is not None:
                    return request

    def _take(self) -> dict[str, Any] | None:
        """A request, in the process that is forked for it."""
        connection, _ = self._listening.accept()
        length, fds, _, _ = socket.recv_fds(connection, _LENGTH, 250)
        request: dict[str, Any] = json.loads(_read(connection, int.from_bytes(length)))
        self._import()
        before = signal.pthread_sigmask(signal.SIG_SETMASK, request["blocked"])
        pid = os.fork()
        if pid == 0:
            request["env"] = {**self._variables, **request["env"]}
            return {**request, "received": fds, "connection": connection}
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._clients[pid] = connection
        for fd in fds:
            os.close(fd)
        return None

    def _import(self) -> None:
        if self._imported:
            return
        before = dict(os.environ)
        gc.disable()
        for name in _IMPORTED:
            importlib.import_module(name)
        gc.enable()
        # Else each process would copy all pages when it looks for garbage.
        gc.collect()
        gc.freeze()
        self._variables = {k: v for k, v in os.environ.items() if before.get(k) != v}
        self._imported = True

    def _tell_of_the_dead(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                pid, status = found
                # Who has asked may be gone.
                with contextlib.suppress(OSError), self._clients.pop(pid) as client:
                    client.sendall(b"%*d" % (_LENGTH, status))


#: Of a forked process, once it is known.
_exit_codes: list[int] = []


def _become(request: dict[str, Any]) -> None:
    """Be what is asked for, until its end."""
    if request["session"]:
        os.setsid()
    with request["connection"] as connection:
        connection.sendall(b"%*d" % (_LENGTH, os.getpid()))
    first = max(request["fds"]) + 1
    kept = [fcntl.fcntl(fd, fcntl.F_DUPFD, first) for fd in request["received"]]
    for fd in request["received"]:
        os.close(fd)
    for number, fd in zip(request["fds"], kept, strict=True):
        os.dup2(fd, number)
        os.close(fd)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    random.seed()
    sys.modules["numpy"].random.seed()
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    serve_workers().__enter__()
    try:
        _execute(*request["arguments"])
    except SystemExit as end:
        _exit_codes.append(int(end.code or 0) if isinstance(end.code, int | None) else 1)
        raise
    except Exception:
        _exit_codes.append(1)
        raise
    _exit_codes.append(0)


def _execute(kind: str, *words: str) -> None:
    """As Python does with its own arguments."""
    if kind == "-m":
        sys.argv, here = list(words), os.getcwd()  # noqa: PTH109
    elif kind == "-c":
        sys.argv, here = ["-c", *words[1:]], ""
    else:
        sys.argv, here = [kind, *words], str(Path(kind).resolve().parent)
    path = os.environ.get("PYTHONPATH", "")
    # In place of what has found this module.
    sys.path[:2] = [here, *path.split(os.pathsep)] if path else [here]
    importlib.invalidate_caches()
    if kind == "-m":
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if kind == "-c":
        code = compile(words[0], "<string>", "exec")
    else:
        main.__file__ = str(Path(kind).absolute())
        code = compile(Path(kind).read_bytes(), main.__file__, "exec")
    exec(code, main.__dict__)  # noqa: S102


def _leave() -> None:
    """End without taking apart what was imported, which takes longer than the import."""
    if _exit_codes:
        try:
            for stream in (sys.stdout, sys.stderr):
                if not stream.closed:
                    stream.flush()
        except OSError:
            return  # which Python reports in its way
        os._exit(_exit_codes[-1])
