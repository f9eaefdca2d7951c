"""The systemd unit of an agent, by which it begins with the computer and again when it has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_UNIT = """\
[Unit]
Description=neurojoint agent
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={command}
User={user}
WorkingDirectory={folder}
{variables}EnvironmentFile={secrets}
Restart=always
RestartSec=10
KillMode=control-group
NoNewPrivileges=true
PrivateTmp=true

[Install]
WantedBy=multi-user.target
"""


def unit(
    command: Sequence[str], user: str, folder: str, variables: Mapping[str, str],
    secrets: str = "/etc/neurojoint/agent.env",
) -> str:  # fmt: skip
    """A unit that runs a command as a user in a folder, so that relative paths mean what they meant to the person.

    Parameters
    ----------
    variables : environment, without secrets.
    secrets : file with the token, which only its owner may read.
    """
    lines = "".join(f"Environment={quoted(f'{name}={value}')}\n" for name, value in sorted(variables.items()))
    return _UNIT.format(
        command=" ".join(quoted(part).replace("$", "$$") for part in command), user=user,
        folder=folder.replace("%", "%%"), variables=lines, secrets=secrets,
    )  # fmt: skip


def quoted(word: str) -> str:
    r"""A word as systemd reads it: no shell sees it, `%` and `\` have a meaning of their own.

    >>> print(quoted("--env"), quoted("pose=/opt/run '{video}' 100%"))
    --env "pose=/opt/run '{video}' 100%%"
    """
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return plain if plain and not set(plain) & set(" \t;'\"\\") else f'"{plain}"'
