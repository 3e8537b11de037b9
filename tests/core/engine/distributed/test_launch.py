"""Ranks, machines and ports from what launchers say in the environment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.engine.distributed.hostlist import first_host
from linearsr.core.engine.distributed.launch import FIRST_PORT, PORTS, Place, place
from linearsr.core.errors import ConfigError

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "29500"}
SLURM = {
    "SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_JOB_NODELIST": "gpu[03-04,9]", "SLURM_JOB_ID": "77",
}  # fmt: skip


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("node7", "node7"),
        ("node[01-04,7]", "node01"),
        ("node[7,01-04]", "node7"),
        ("a1,b[2-3]", "a1"),
        ("rack[2-3]n[08-15],other", "rack2n08"),
        ("n[1-2]-ib", "n1-ib"),
        ("gpu-a-3.cluster.example.org", "gpu-a-3.cluster.example.org"),
    ],
)
def test_the_first_host_of_a_list(hosts: str, first: str) -> None:
    assert first_host(hosts) == first


@pytest.mark.parametrize("hosts", ["", ",a", "node[]", "node[01", "node]", "node[a-b]", "two words"])
def test_what_is_no_list_of_hosts_is_refused(hosts: str) -> None:
    with pytest.raises(ConfigError, match=r"wanted a list of hosts such as node\[01-04,7\]"):
        first_host(hosts)


@given(st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True), st.lists(st.integers(0, 999), min_size=1, max_size=5))
def test_a_group_stands_for_its_names_one_after_the_other(stem: str, numbers: list[int]) -> None:
    written = [f"{stem}{number:03}" for number in numbers]
    grouped = f"{stem}[{','.join(f'{number:03}' for number in numbers)}]"
    assert first_host(grouped) == first_host(",".join(written)) == written[0]


def test_torchruns_variables_are_a_place() -> None:
    assert place("pytorch", TORCHRUN) == Place(3, 8, 1, "10.0.0.7", 29500)


def test_slurms_variables_are_a_place() -> None:
    assert place("slurm", SLURM) == Place(5, 8, 1, "gpu03", FIRST_PORT + 77)


def test_a_steps_own_hosts_and_the_users_address_and_port_come_first() -> None:
    assert place("slurm", SLURM | {"SLURM_STEP_NODELIST": "gpu[09]"}).address == "gpu09"
    own = place("slurm", SLURM | {"MASTER_ADDR": "head", "MASTER_PORT": "4000"})
    assert (own.address, own.port) == ("head", 4000)


def test_older_slurms_name_for_the_hosts_will_do() -> None:
    older = {name.replace("JOB_NODELIST", "NODELIST"): value for name, value in SLURM.items()}
    assert place("slurm", older).address == "gpu03"


@given(st.integers(0, 2**31))
def test_every_jobs_port_is_open_to_users_and_below_those_that_linux_takes(job: int) -> None:
    port = place("slurm", SLURM | {"SLURM_JOB_ID": str(job)}).port
    assert 1024 < port < 32768
    assert place("slurm", SLURM | {"SLURM_JOB_ID": str(job + PORTS)}).port == port


@pytest.mark.parametrize("missing", sorted(TORCHRUN))
def test_a_variable_that_torchrun_sets_is_missed_by_name(missing: str) -> None:
    rest = {name: value for name, value in TORCHRUN.items() if name != missing}
    with pytest.raises(ConfigError, match=f"--launcher pytorch: the environment has no {missing}; start with torchrun"):
        place("pytorch", rest)


@pytest.mark.parametrize("missing", sorted(SLURM))
def test_a_variable_that_slurm_sets_is_missed_by_name(missing: str) -> None:
    rest = {name: value for name, value in SLURM.items() if name != missing}
    with pytest.raises(ConfigError, match=rf"--launcher slurm: the environment has no {missing}; start with srun"):
        place("slurm", rest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RANK": "three"}, "RANK is 'three'; wanted a whole number"),
        ({"RANK": "8"}, "wanted 0 ≤ rank < world_size"),
        ({"MASTER_PORT": "70000"}, "a port below 65536"),
    ],
)
def test_what_a_launcher_cannot_mean_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        place("pytorch", TORCHRUN | change)


def test_an_unknown_launcher_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"--launcher torch: .*wanted none, pytorch or slurm"):
        place("torch", TORCHRUN)
    with pytest.raises(ConfigError, match="did you mean 'slurm'"):
        place("slrum", SLURM)
