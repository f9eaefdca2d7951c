"""Errors that people meet are one line that says what to do, at the command line too."""

from __future__ import annotations

import errno

import click
import datajoint as dj
import pymysql
import pytest
from click.testing import CliRunner

from neurojoint.cli import ExplainedGroup
from pipeline.errors import DatabaseUnavailable, InvalidData, NeurojointError, causes, explain, is_connection_error


@pytest.mark.parametrize(
    "error, says",
    [
        (PermissionError(errno.EACCES, "Permission denied", "/data/x.npy"), "/data/x.npy may not be read"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "/data/x"), "read-only disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/data/x"), "quota is used up"),
        (OSError(errno.ENOSYS, "Function not implemented", "/data/x"), "Function not implemented"),
        (ModuleNotFoundError("No module named 'pynwb.io'", name="pynwb.io"), "pip install pynwb"),
        (MemoryError(), "fewer processes"),
        (KeyboardInterrupt(), "again to continue"),
        (NeurojointError("the door is shut", "open it"), "the door is shut: open it"),
        (InvalidData("a.npy", "truncated", "the file ends early", "copy it again"), "a.npy: the file ends early"),
        (pymysql.err.OperationalError(1040, "Too many connections"), "no free connection"),
        (pymysql.err.OperationalError(1205, "Lock wait timeout exceeded"), "another session holds the same rows"),
        (pymysql.err.OperationalError(1153, "Got a packet bigger than"), "max_allowed_packet"),
        (pymysql.err.ProgrammingError(1146, "Table 'neurojoint_lab.lab' doesn't exist"), "neurojoint db upgrade"),
        (
            dj.errors.LostConnectionError("Connection was lost during a transaction."),
            "connection to the database was lost",
        ),
        (dj.errors.AccessError("Insufficient privileges.", "denied", ""), "lacks a right"),
        (ZeroDivisionError("division\nby zero"), "ZeroDivisionError: division by zero (run again with"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_explained_in_one_line(error, says):
    text = explain(error)
    assert says in text and "\n" not in text


def test_a_refused_statement_is_not_a_lost_connection():
    assert is_connection_error(pymysql.err.OperationalError(2013, "Lost connection"))
    assert not is_connection_error(pymysql.err.IntegrityError(1062, "Duplicate entry"))
    assert not is_connection_error(pymysql.err.OperationalError(1213, "Deadlock found"))
    assert not is_connection_error(ValueError("connection refused"))


def command_that_raises(error: BaseException) -> click.Group:
    @click.group(cls=ExplainedGroup)
    @click.option("--debug", is_flag=True)
    def group(debug):
        pass

    @group.command()
    def work():
        raise error

    return group


@pytest.mark.parametrize(
    "error, code",
    [
        (NeurojointError("a", "b"), 1),
        (DatabaseUnavailable("a", "b"), 75),
        (KeyboardInterrupt(), 130),
        (ValueError("a"), 1),
    ],
)
def test_command_line_shows_one_line_and_an_exit_code(error, code):
    done = CliRunner().invoke(command_that_raises(error), ["work"])
    assert done.exit_code == code
    assert done.stderr == f"neurojoint: {explain(error)}\n"
    assert "Traceback" not in done.output


def test_debug_shows_where():
    error = ValueError("a")
    assert CliRunner().invoke(command_that_raises(error), ["--debug", "work"]).exception is error


def test_usage_errors_stay_clicks_own():
    done = CliRunner().invoke(command_that_raises(ValueError("a")), ["wrok"])
    assert done.exit_code == 2 and "No such command" in done.stderr


def test_a_chain_of_errors_that_leads_back_to_itself_has_an_end():
    one, other = ValueError("a"), KeyError("b")
    one.__cause__, other.__cause__ = other, one
    assert list(causes(one)) == [one, other]
    one.__cause__ = one
    assert list(causes(one)) == [one]
