"""Which process of how many this one is: what torchrun or Slurm says in the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from linearsr.core.engine.distributed.hostlist import first_host
from linearsr.core.errors import ConfigError, nearest

Environment = Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """rank of world_size processes; local_rank among those of this machine; where rank 0 waits for the others."""

    rank: int
    world_size: int
    local_rank: int
    address: str
    port: int

    def __post_init__(self) -> None:
        if not (0 <= self.rank < self.world_size and self.local_rank >= 0 and 0 < self.port < 2**16):
            raise ConfigError(f"the launcher says {self}; wanted 0 ≤ rank < world_size, local_rank ≥ 0 and a port below 65536")

    def variables(self) -> dict[str, str]:
        """As torchrun sets them: torch and other libraries read them too."""
        return {
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.world_size),
            "LOCAL_RANK": str(self.local_rank),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
        }


def place(launcher: str, environment: Environment) -> Place:
    """launcher: one of LAUNCHERS. Raises ConfigError that names the launcher and the variable that is missing or no number."""
    if launcher not in LAUNCHERS:
        hint = nearest(launcher, LAUNCHERS)
        raise ConfigError(f"--launcher {launcher}: no such launcher{hint}; wanted none, {' or '.join(LAUNCHERS)}")
    return LAUNCHERS[launcher](environment)


def _from_torchrun(environment: Environment) -> Place:
    def number(name: str) -> int:
        return int(_value(environment, "pytorch", name))

    address = _text(environment, "pytorch", "MASTER_ADDR")
    return Place(number("RANK"), number("WORLD_SIZE"), number("LOCAL_RANK"), address, number("MASTER_PORT"))


def _from_slurm(environment: Environment) -> Place:
    """Rank 0 runs on the first host of the step. Two jobs that share it get ports of their own from their job's number."""

    def number(name: str) -> int:
        return int(_value(environment, "slurm", name))

    hosts = next((environment[name] for name in HOSTS if environment.get(name)), None)
    address = environment.get("MASTER_ADDR") or first_host(hosts or _text(environment, "slurm", "SLURM_JOB_NODELIST"))
    port = number("MASTER_PORT") if "MASTER_PORT" in environment else FIRST_PORT + number("SLURM_JOB_ID") % PORTS
    return Place(number("SLURM_PROCID"), number("SLURM_NTASKS"), number("SLURM_LOCALID"), address, port)


FIRST_PORT, PORTS = 20000, 12000
"""Ports of Slurm jobs: below 32768, where Linux takes its own from."""

HOSTS = ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST")
"""The hosts of a step, of its job, and the job's by an older name."""

LAUNCHERS: dict[str, Callable[[Environment], Place]] = {"pytorch": _from_torchrun, "slurm": _from_slurm}
"""Besides "none": one process, which no launcher started."""

STARTED_BY = {
    "pytorch": "torchrun --nproc-per-node=N tools/train.py … --launcher pytorch",
    "slurm": "srun python tools/train.py … --launcher slurm",
}


def _text(environment: Environment, launcher: str, name: str) -> str:
    value = environment.get(name)
    if not value:
        raise ConfigError(
            f"--launcher {launcher}: the environment has no {name}; start with {STARTED_BY[launcher]}, "
            "or use --launcher none for one process"
        )
    return value


def _value(environment: Environment, launcher: str, name: str) -> str:
    value = _text(environment, launcher, name)
    if not value.isdecimal():
        raise ConfigError(f"--launcher {launcher}: {name} is {value!r}; wanted a whole number")
    return value
