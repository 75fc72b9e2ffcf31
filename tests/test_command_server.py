"""A process from the server is as a new interpreter would be."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import command_server
import pytest

#: Prints what a program can see of how it was started.
ASK = """
import os, random, signal, sys
import {module}
print(sys.argv[1:], sys.path, __name__, globals().get("__file__"), os.getcwd())
print([os.environ.get(name) for name in ("OF_THE_TEST", "PYTHONPATH", "DCBENCH_CACHE", "HOME")])
print(signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGCHLD))
print(signal.pthread_sigmask(signal.SIG_BLOCK, []), os.getpgid(0) == os.getpid())
print(sys.stdin.read(), sys.stdout.encoding, sys.stdout.line_buffering, sys.dont_write_bytecode)
print([fd for fd in range(3, 100) if os.path.exists(f"/proc/self/fd/{{fd}}/")])
print("to stderr", file=sys.stderr)
"""

ENDS = [
    "print('said')",
    "import sys; sys.exit(3)",
    "import sys; sys.exit(None)",
    "import sys; sys.exit(300)",
    "import sys; sys.exit('a message')",
    "raise ValueError('a fault')",
    "raise KeyboardInterrupt",
    "import os; print('lost'); os._exit(4)",
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "import atexit; atexit.register(print, 'at the end')",
    "import threading, time\n"
    "def late():\n    time.sleep(0.1); print('of a thread')\n"
    "threading.Thread(target=late).start()",
    "import sys; sys.stdout.close(); print('nowhere', file=sys.stderr)",
    "import os; os.close(1); print('cannot be written')",
]


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """The session's, or one of these tests' own if it has none."""
    if command_server.ADDRESS in os.environ:
        yield
        return
    end = command_server.start_server()
    if command_server.ADDRESS not in os.environ:
        pytest.skip("processes cannot be forked here")
    yield
    end()


def without_frames(err: str) -> str:
    """Tracebacks have frames of the server."""
    return re.sub(r'^  File "(?!<string>", line 1, in).*\n(    .*\n)*', "", err, flags=re.MULTILINE)


def both(arguments: list[str], **options: Any) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of a served process and of a new interpreter."""
    found = []
    for start in (command_server.Popen, subprocess.Popen):
        process = start(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        out, err = process.communicate("read\n", timeout=120)
        found.append((process.returncode, out, without_frames(err)))
    return found


@pytest.mark.parametrize("kind", ["program", "script", "module"])
@pytest.mark.parametrize("session", [False, True])
def test_what_a_program_sees(tmp_path: Path, kind: str, session: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "beside.py").touch()
    (tmp_path / "on_path").mkdir()
    (tmp_path / "on_path" / "found.py").touch()
    code = ASK.format(module="found" if kind == "program" else "beside, found")
    (tmp_path / "elsewhere" / "script.py").write_text(code)
    cwd = tmp_path / "elsewhere" if kind == "module" else tmp_path
    arguments = {
        "program": ["-c", code],
        "script": ["elsewhere/script.py"],
        "module": ["-m", "script"],
    }[kind]
    environment = {"OF_THE_TEST": "1", "PYTHONPATH": str(tmp_path / "on_path")}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
    served, new = both(
        [*arguments, "a", "\udcff", ""],
        cwd=cwd,
        env=environment,
        start_new_session=session,
    )
    assert served[1].splitlines() == new[1].splitlines()
    assert served == new
    assert served[0] == 0 and str(tmp_path / "on_path") in served[1]


@pytest.mark.parametrize("program", ENDS)
def test_its_end(program: str) -> None:
    served, new = both(["-c", program])
    assert served == new


def test_it_is_signalled_and_waited_for() -> None:
    program = "import time; print('here', flush=True); time.sleep(1000)"
    command = [sys.executable, "-c", program]
    with command_server.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None and process.stdout.readline() == b"here\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        assert os.getpgid(process.pid) == process.pid
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM
    with pytest.raises(subprocess.TimeoutExpired):
        command_server.run(command, timeout=0.2, capture_output=True)
    with pytest.raises(subprocess.CalledProcessError):
        command_server.run([sys.executable, "-c", "import sys; sys.exit(1)"], check=True)


def test_random_numbers_are_its_own() -> None:
    program = "import random, numpy; print(random.random(), numpy.random.rand())"
    command = [sys.executable, "-c", program]
    told = {command_server.run(command, capture_output=True).stdout for _ in range(2)}
    assert len(told) == 2


#: What a worker must not have from this process.
changed = False


def _tell(connection: Any) -> None:
    mask = sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))
    parent = multiprocessing.parent_process()
    connection.send((changed, mask, str(Path.cwd()), os.environ.get("OF_THE_TEST"), parent.pid))
    with contextlib.suppress(EOFError):
        connection.recv()
    sys.exit(5)


@pytest.mark.parametrize("served", [True, False])
def test_a_worker(served: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "changed", True)
    monkeypatch.setenv("OF_THE_TEST", "1")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.chdir(tmp_path)
    if not served:
        monkeypatch.delenv(command_server.ADDRESS)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_tell, args=(theirs,), daemon=True)
    resource_tracker.ensure_running()  # which unblocks signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    process.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    assert ours.recv() == (False, [signal.SIGTERM], str(tmp_path), "1", os.getpid())
    assert process.is_alive() and process.exitcode is None
    ours.close()
    process.join(60)
    assert process.exitcode == 5 and not process.is_alive()
