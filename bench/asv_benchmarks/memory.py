"""Memory that grows with the number of steps: what is kept of a step and never needed again."""

from __future__ import annotations

from pathlib import Path

from .describe import describe
from .profile import cases
from .tasks import built

#: Of this program alone: `resource.getrusage` counts what the process was before it was started.
_STATUS = Path("/proc/self/status")

_STEPS = 60
_TIMES = 4


class Growth:
    """A process that goes on training.

    A leak of 100 kB a step adds 2 % to a process of 800 MB.
    """

    version = "1"
    timeout = 300
    param_names = ["case"]
    params = [
        cases(
            ["pinn advection-1d fnn baseline"],
            ["molecular xtb-ethanol schnet baseline"],
            ["pinn diffusion-reaction-2d fnn-bn baseline", "molecular xtb-oxides cgcnn baseline"],
        )
    ]

    @describe("memory: peak after four times the steps", "of the first peak")
    def track_growth(self, case: str) -> float:
        """Peak resident memory after 240 steps over that after 60; 1 where nothing is kept."""
        suite, problem, network = case.split(" ", 2)
        task = built(suite, problem, network, "cpu", budget="smoke")
        peaks = []
        for steps in (_STEPS, (_TIMES - 1) * _STEPS):
            for _ in range(steps):
                task.step()
            peaks.append(_peak())
        return peaks[1] / peaks[0]


def _peak() -> int:
    """Peak resident memory of this process, kB.

    Raises:
        NotImplementedError: The system is not Linux; asv then skips the benchmark.
    """
    if not _STATUS.exists():
        raise NotImplementedError("only Linux says what the peak was")
    fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(fields["VmHWM"].split()[0])
