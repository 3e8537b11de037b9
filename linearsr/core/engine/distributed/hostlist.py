"""The first name of a Slurm list of hosts, without asking scontrol, which is not on every node."""

from __future__ import annotations

import re

from linearsr.core.errors import ConfigError

PIECE = re.compile(r"[^\[\],\s]+|\[[\d,-]+\]")
"""Plain text, or a group such as [01-04,7]."""


def first_host(hosts: str) -> str:
    """`node[01-04,7],other3` -> `node01`. A name may hold several groups: `rack[2-3]n[08-15]` -> `rack2n08`.

    Raises ConfigError for what is no list of hosts.
    """
    name, at = "", 0
    while at < len(hosts) and hosts[at] != ",":
        piece = PIECE.match(hosts, at)
        if piece is None:
            break
        text = piece.group()
        name += re.split(r"[,-]", text[1:-1])[0] if text.startswith("[") else text
        at = piece.end()
    whole = at == len(hosts) or hosts[at] == ","
    if not (name and whole and "[]" not in hosts):
        raise ConfigError(f"SLURM_JOB_NODELIST is {hosts!r}; wanted a list of hosts such as node[01-04,7]")
    return name
