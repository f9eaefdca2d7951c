"""Protects the systemd unit of an agent: words reach the program as they were written."""

from __future__ import annotations

import pytest

from ingest.agent.unit import quoted, unit


def test_the_unit_runs_a_command_as_a_user_in_a_folder():
    text = unit(["/opt/nj/bin/neurojoint", "agent", "--cost", "$5"], "rig", "/data/100%", {"B": "2 3", "A": "1"})
    lines = text.splitlines()
    assert "ExecStart=/opt/nj/bin/neurojoint agent --cost $$5" in lines
    assert "User=rig" in lines and "WorkingDirectory=/data/100%%" in lines
    assert lines.index("Environment=A=1") < lines.index('Environment="B=2 3"')
    assert "EnvironmentFile=/etc/neurojoint/agent.env" in lines and "Restart=always" in lines


@pytest.mark.parametrize(
    ("word", "expected"),
    [("plain", "plain"), ("", '""'), ("a b", '"a b"'), ('a"b', r'"a\"b"'), ("50%", "50%%"), ("a\nb", r'"a\nb"'),
     ("a\\b", r'"a\\b"'), ("a;b", '"a;b"')],
)  # fmt: skip
def test_words_are_quoted_as_systemd_reads_them(word, expected):
    assert quoted(word) == expected
