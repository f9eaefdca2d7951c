"""Where settings come from, that mistakes are named, and that secrets stay secret."""

from __future__ import annotations

import logging
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import settings
from pipeline.errors import InvalidSettings

SECRET = "s3cr3t/p@ss"


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No settings of the person who runs the tests: an empty current folder and home."""
    for name in [name for name in os.environ if name.startswith("NEUROJOINT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NEUROJOINT_HOME", str(tmp_path / "home"))
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(here)
    settings.reset()
    yield
    settings.reset()


def write(folder, text, mode=0o600):
    path = folder / "neurojoint.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_environment_goes_before_file_before_default(tmp_path, monkeypatch):
    assert settings.load().prefix == "neurojoint_"
    write(tmp_path / "home", 'prefix = "athome_"\nprocesses = 3')
    assert (settings.load().prefix, settings.load().processes) == ("athome_", 3)
    write(tmp_path / "here", 'prefix = "here_"')
    assert settings.load().prefix == "here_"
    assert settings.load().processes == settings.usable_cpus(), "one file counts, not a mixture"
    monkeypatch.setenv("NEUROJOINT_PREFIX", "env_")
    assert settings.load().prefix == "env_"
    assert settings.load(prefix="given_").prefix == "given_"


def test_read_once_and_override_is_undone(monkeypatch):
    first = settings.settings()
    monkeypatch.setenv("NEUROJOINT_PREFIX", "later_")
    assert settings.settings() is first
    with pytest.raises(KeyError), settings.override(prefix="test_", processes=2):
        assert settings.settings().prefix == "test_"
        with settings.override(prefix="inner_"):
            assert (settings.settings().prefix, settings.settings().processes) == ("inner_", 2)
        assert settings.settings().prefix == "test_"
        raise KeyError
    assert settings.settings() is first


def test_unknown_key_is_named_with_its_file(tmp_path):
    path = write(tmp_path / "here", 'prefx = "a_"')
    with pytest.raises(InvalidSettings, match=rf"'prefx' in {path}: known settings are .*prefix"):
        settings.load()


def test_broken_file_is_named(tmp_path):
    write(tmp_path / "here", "prefix = = 1")
    with pytest.raises(InvalidSettings, match=r"neurojoint.toml is not valid TOML .*line 1"):
        settings.load()


def test_paths_in_the_file_are_seen_from_the_file(tmp_path):
    write(tmp_path / "home", 'data_root = "data"')
    assert settings.load().data_root == tmp_path / "home" / "data"
    write(tmp_path / "home", 'data_root = "~/data"')
    assert settings.load().data_root.is_absolute() and "~" not in str(settings.load().data_root)


@pytest.mark.parametrize("url", [f"mysql://ada:{SECRET}@h/", f"ftp://ada:{SECRET}@h/"])
def test_secrets_are_never_shown(url, caplog, monkeypatch):
    monkeypatch.setenv("NEUROJOINT_DATABASE_URL", url)
    monkeypatch.setenv("NEUROJOINT_DATABASE_PASSWORD", SECRET)
    try:
        shown = settings.load()
    except InvalidSettings as error:
        shown = error
        assert "NEUROJOINT_DATABASE_URL" in str(error) and error.__cause__ is None
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").info("%s %r", shown, shown)
    assert SECRET not in caplog.text and "s3cr3t" not in caplog.text


def test_password_file(tmp_path):
    path = tmp_path / "password"
    path.write_text(SECRET + "\n")
    path.chmod(0o640)
    chosen = settings.load(database_password_file=path)
    with pytest.raises(InvalidSettings, match=f"chmod 600 {path}"):
        chosen.password()
    path.chmod(0o600)
    assert chosen.password().get_secret_value() == SECRET
    assert (
        settings.load(database_password="given", database_password_file=path).password().get_secret_value() == "given"
    )
    with pytest.raises(InvalidSettings, match="No such file"):
        settings.load(database_password_file=tmp_path / "none").password()
    assert settings.load().password() is None


def test_file_with_a_password_must_be_private(tmp_path):
    write(tmp_path / "here", 'database_url = "mysql://ada:secret@h/"', mode=0o644)
    with pytest.raises(InvalidSettings, match="chmod 600"):
        settings.load()
    write(tmp_path / "here", 'database_url = "mysql://ada@h/"', mode=0o644)
    assert settings.load().database_url is not None


@given(st.text(max_size=20))
def test_prefix_is_portable_or_refused(prefix):
    """Both databases must take prefix + the longest schema name as it is."""
    try:
        taken = settings.load(prefix=prefix).prefix
    except InvalidSettings as error:
        assert "prefix" in str(error)
    else:
        name = taken + "behavior_analysis"
        assert name == name.lower() and name.isascii() and name.replace("_", "a").isalnum() and len(name) <= 30


def test_longest_schema_name_is_what_the_prefix_leaves_room_for():
    import pipeline

    assert max(map(len, pipeline.SCHEMAS)) <= settings.LONGEST_SCHEMA_NAME


def test_help_imports_nothing_heavy():
    """`neurojoint --help` is quick because it imports no pydantic, DataJoint, numpy."""
    import subprocess
    import sys

    code = "import sys, neurojoint.cli; print([m for m in ('pydantic', 'datajoint', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_parts_of_a_setting_come_from_the_environment_and_slips_of_the_pen_are_told(monkeypatch, caplog):
    monkeypatch.setenv("NEUROJOINT_PUBLICATION__SUBJECTS", "pseudonym")
    monkeypatch.setenv("NEUROJOINT_DATABSE_URL", "postgresql://elsewhere/lab")
    settings.reset()
    assert settings.settings().publication.subjects == "pseudonym"
    assert "NEUROJOINT_DATABSE_URL is no setting" in caplog.text and "PUBLICATION" not in caplog.text
    assert "elsewhere" not in caplog.text


def test_a_part_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setenv("NEUROJOINT_PUBLICATION__SUBJECT", "pseudonym")
    with pytest.raises(InvalidSettings, match="publication"):
        settings.load()
