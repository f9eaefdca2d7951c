"""The one settings object: environment `NEUROJOINT_*`, then `neurojoint.toml` (here, else at home), then defaults."""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pipeline.errors import InvalidSettings

logger = logging.getLogger(__name__)

CONFIG_NAME = "neurojoint.toml"
CONFIG_VARIABLE = "NEUROJOINT_CONFIG_FILE"
"""Names the file of settings for a process that runs in another folder, such as the kernel of a notebook."""
LONGEST_SCHEMA_NAME = len("behavior_analysis")
LONGEST_DATABASE_SCHEMA = 30  # characters; longer ones give constraint names that MySQL refuses


class Sorter(BaseModel):
    """A program that sorts spikes: how it is called, and with which parameters (docs/sorting.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    command: tuple[str, ...] = Field(min_length=1)
    """Program and arguments, with placeholders in braces (`{job}`, `{runner}`, …); no shell sees them."""
    parameters: dict[str, Any] = {}
    """What the program is told; part of what makes a sorting another one."""
    version: str = ""
    """A version that a person states; another one makes a sorting another one too."""
    environment: dict[str, str] = {}
    """Variables that are added to the program's environment."""
    timeout: float = Field(default=86_400.0, gt=0)
    """After so many seconds the program is ended."""


class TaskNeeds(BaseModel):
    """What a kind of preprocessing task needs of a computer; what is left out stays as the kind says."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    cores: int | None = Field(default=None, ge=1, le=1024)
    """Processors; on a computer with fewer it gets all of them."""
    gpus: int | None = Field(default=None, ge=0, le=64)
    """Graphics processors."""
    memory: int | None = Field(default=None, ge=64, le=1 << 24)
    """MiB; a process that takes more is ended."""
    io: int | None = Field(default=None, ge=0, le=100)
    """Load on the disk; the tasks of a computer share 100."""
    scratch: float | None = Field(default=None, ge=0)
    """Scratch space, in multiples of the size of the inputs."""
    seconds: int | None = Field(default=None, ge=1)
    """Time limit, s."""


class Publication(BaseModel):
    """What may leave the lab, and how it is cited (docs/releases.md)."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    subjects: Literal["name", "pseudonym"] = "name"
    """How animals are called in files that leave. The public site and public copies always use pseudonyms."""
    people: Literal["hidden", "pseudonym", "name"] = "hidden"
    """How people are called."""
    dates: Literal["exact", "shifted"] = "exact"
    """`shifted`: the dates of each animal are moved by a number of days of its own; intervals between them stay."""
    keep: tuple[str, ...] = ()
    """Further text columns that may leave, e.g. `subject.Line.line_description`."""
    drop: tuple[str, ...] = ()
    """Further columns that may not leave, e.g. `subject.Subject.birth_date`."""
    license: str = "CC-BY-4.0"
    """Licence of releases, as SPDX names it."""
    authors: tuple[str, ...] = ()
    """Authors of releases, each `Family name, given name`."""
    publisher: str = ""
    """Who publishes releases; empty: the institution of the lab."""


class Settings(BaseSettings):
    """What a person or a deployment may choose. Secrets are `SecretStr`: they show as `**********`.

    Examples
    --------
    >>> with override(prefix="demo_", database_url="postgresql://me:swordfish@server/lab") as chosen:
    ...     chosen.prefix, "swordfish" in repr(chosen)
    ('demo_', False)
    """

    model_config = SettingsConfigDict(
        env_prefix="NEUROJOINT_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    home: Path = Field(default_factory=lambda: default_home())
    """The folder of the embedded database and of everything else that this machine keeps."""
    database_url: SecretStr | None = None
    """`postgresql://user@host:5432/database` or `mysql://user@host:3306`; none: the embedded database in `home`."""
    database_password: SecretStr | None = None
    """Used where the URL holds no password."""
    database_password_file: Path | None = None
    """A file of mode 600 that holds the password; used where neither of the above does."""
    database_tls: bool | None = None
    """Encrypt the connection: true (or refuse), false, or none (when the server offers it)."""
    embedded_tcp_port: int | None = Field(default=None, ge=1, le=65535)
    """Lets the embedded database also listen on 127.0.0.1 at this port, with a password. None: its socket only."""
    prefix: str = "neurojoint_"
    """Begins the name of every database schema of this pipeline."""
    data_root: Path | None = None
    """The folder that holds the ALF tree (`lab/Subjects/subject/date/number`)."""
    processes: int = Field(default_factory=lambda: usable_cpus(), ge=1)
    """How many processes hash, compress and compute at once on this machine."""
    cache_size: float = Field(default=50.0, ge=0)
    """How large the arrays that this machine keeps under `home`/cache may be, 10^9 byte."""
    sorters: dict[str, Sorter] = {}
    """Spike sorters by name, which is also the name of the folder of their results: tables `[sorters.<name>]`."""
    scratch: Path | None = None
    """The folder for what a spike sorter needs while it runs. None: `scratch` in the home."""
    task_needs: dict[str, TaskNeeds] = {}
    """What a kind of preprocessing task needs of a computer, where that differs from what the kind says: tables
    `[task_needs.<kind>]` on the central machine (docs/lab-server.md)."""
    modules: tuple[str, ...] = ()
    """Python modules of the lab with tables of its own (docs/modules.md), e.g. `["mylab.analyses"]`."""
    tasks: tuple[dict[str, Any], ...] = ()
    """What the tasks of the lab mean, a table `[[tasks]]` each (docs/tasks-of-animals.md)."""
    session_water_day: Literal["session", "time"] = "session"
    """The day for which water counts that was given in a session: that of the session's folder, also where it ran over
    midnight, or that of the time at which the rig wrote it down."""
    criteria: str = "ibl_pipeline_2021"
    """The training criteria that pages, searches and joins go by; of others, ask by name."""
    wheel_units: dict[str, Literal["rad", "cm", "mm", "deg", "ticks", "x1ticks", "x2ticks"]] = {}
    """The unit of `wheel.position` by lab, where the positions do not prove it by themselves (smoothed traces)."""
    public_hidden: tuple[str, ...] = ("birth_date",)
    """Columns by which an animal could be found again in other tables: the public site does not show them."""
    publication: Publication = Publication()
    """What may leave the lab, and how releases are cited: the table `[publication]`."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses of the proxies before the servers; the headers `X-Forwarded-*` of others are not believed."""
    globus_client_id: str | None = None
    """Identifier of the application at Globus by which transfers log in (docs/transfers.md)."""
    globus_client_secret: SecretStr | None = None
    """Its secret, if it acts for itself; without one, a person logs in with `neurojoint transfer login`."""
    globus_client_secret_file: Path | None = None
    """A file of mode 600 that holds the secret; used where `globus_client_secret` is not set."""
    mail_server: str | None = None
    """The mail server of messages: `smtp://host:587` (encrypted where offered), `smtps://host:465`. None: no mail."""
    mail_user: str | None = None
    """The name by which the mail server knows this program, where it asks for one."""
    mail_password: SecretStr | None = None
    """Its password."""
    mail_password_file: Path | None = None
    """A file of mode 600 that holds the password; used where `mail_password` is not set."""
    mail_from: str = "neurojoint@localhost"
    """The sender of messages."""
    site_url: str = ""
    """The address of the site as people reach it, for links in messages, cards and calendars."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator(
        "home",
        "data_root",
        "database_password_file",
        "globus_client_secret_file",
        "mail_password_file",
        "scratch",
        mode="after",
    )
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("database_url", mode="before")
    @classmethod
    def _empty_url_is_none(cls, url: Any) -> Any:
        return None if url == "" else url

    @field_validator("database_url", mode="after")
    @classmethod
    def _known_backend(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not re.match(r"(postgresql|postgres|mysql)://", url.get_secret_value()):
            raise ValueError("must begin with postgresql:// or mysql://")
        return url

    @field_validator("sorters", mode="after")
    @classmethod
    def _names_of_folders(cls, sorters: dict[str, Sorter]) -> dict[str, Sorter]:
        for name in sorters:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name) or name.startswith("probe"):
                raise ValueError(f"{name!r} must be letters, digits, _ and -, and not begin with probe")
        return sorters

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, level: Any) -> Any:
        return level.upper() if isinstance(level, str) else level

    @field_validator("prefix", mode="after")
    @classmethod
    def _portable_prefix(cls, prefix: str) -> str:
        longest = LONGEST_DATABASE_SCHEMA - LONGEST_SCHEMA_NAME
        if not re.fullmatch(r"[a-z][a-z0-9_]*", prefix) or len(prefix) > longest:
            raise ValueError(f"must be 1 to {longest} lower-case letters, digits and _, and begin with a letter")
        if prefix.startswith("pg_"):
            raise ValueError("must not begin with pg_, which PostgreSQL keeps for itself")
        return prefix

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _TomlFile(settings_cls)

    def password(self) -> SecretStr | None:
        """The password from `database_password` or `database_password_file`, whichever is set first.

        Raises
        ------
        InvalidSettings
            The file is missing, or others than its owner may read it.
        """
        if self.database_password is not None or self.database_password_file is None:
            return self.database_password
        return SecretStr(read_secret(self.database_password_file))


def settings() -> Settings:
    """The settings of this process; read once, at the first call.

    Raises
    ------
    InvalidSettings
        An unknown key or a value that cannot be used, with the place it came from.
    """
    global _current
    if _current is None:
        _current = load()
        for variable, meant in misspelled(os.environ).items():
            logger.warning("the environment variable %s is no setting and was ignored: %s is meant?", variable, meant)
    return _current


def misspelled(environment: Iterable[str]) -> dict[str, str]:
    """Variables that are almost the name of a setting -> that name.

    >>> misspelled(["NEUROJOINT_DATABSE_URL", "NEUROJOINT_HOME", "NEUROJOINT_PUBLICATION__SUBJECTS", "PATH"])
    {'NEUROJOINT_DATABSE_URL': 'NEUROJOINT_DATABASE_URL'}
    """
    known = [f"NEUROJOINT_{name.upper()}" for name in Settings.model_fields]
    given = [name for name in environment if name.startswith("NEUROJOINT_") and name.split("__")[0] not in known]
    close = {name: difflib.get_close_matches(name, known, 1, 0.93) for name in given}
    return {name: names[0] for name, names in close.items() if names}


def load(**values: Any) -> Settings:
    """Read environment and file again, `values` going before both."""
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _explained(error, values) from None


@contextlib.contextmanager
def override(**values: Any) -> Iterator[Settings]:
    """For the time of a `with` block, `settings()` returns the present ones with `values` put in."""
    global _current
    before = settings()
    given = {name: getattr(before, name) for name in before.model_fields_set}
    _current = load(**(given | values))
    try:
        yield _current
    finally:
        _current = before


def reset() -> None:
    """Forget what was read: the next `settings()` reads environment and file again."""
    global _current
    _current = None


def default_home() -> Path:
    """`~/.neurojoint`; for root, whose home others may not enter, `/var/lib/neurojoint`."""
    return Path("/var/lib/neurojoint") if _is_root() else Path("~/.neurojoint").expanduser()


def config_file() -> Path | None:
    """The file of settings in force: the one that `NEUROJOINT_CONFIG_FILE` names, else `neurojoint.toml` in the current
    folder, else in the home; None where there is none.
    """
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named).expanduser()
    home = Path(os.environ.get("NEUROJOINT_HOME") or default_home()).expanduser()
    for folder in (Path.cwd(), home):
        with contextlib.suppress(PermissionError):
            if (folder / CONFIG_NAME).is_file():
                return folder / CONFIG_NAME
    return None


def read_secret(path: Path) -> str:
    """The one line of a file that only its owner may read (mode 600 or 400; container secrets below /run/secrets)."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidSettings(
            f"the password file {path} cannot be read ({error.strerror})", "check path and owner"
        ) from None
    # Docker and Kubernetes mount secrets read-only with modes of their own, in a folder that only the container sees.
    if stat.S_IMODE(mode) & 0o077 and not path.is_relative_to("/run/secrets"):
        raise InvalidSettings(f"others may read the password file {path}", f"chmod 600 {path}")
    return text.rstrip("\r\n")


def usable_cpus() -> int:
    """How many processors this process may use (a batch system or a container may allow fewer than there are)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_current: Settings | None = None


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


class _TomlFile(PydanticBaseSettingsSource):
    """`neurojoint.toml`, read when a `Settings` is made."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # the base class asks for it; __call__ answers for all fields at once

    def __call__(self) -> dict[str, Any]:
        path = config_file()
        if path is None:
            return {}
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidSettings(f"{path} cannot be read ({error.strerror})", "check its owner and mode") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidSettings(f"{path} is not valid TOML ({error})", "correct that line") from None
        secrets = {"database_password", "database_url", "globus_client_secret"} & values.keys()
        if secrets and path.stat().st_mode & 0o077 and _holds_password(values):
            raise InvalidSettings(f"{path} holds a password and others may read it", f"chmod 600 {path}")
        # A relative path means: seen from the file, wherever the command is started.
        for name in (
            "home", "data_root", "database_password_file", "globus_client_secret_file", "mail_password_file", "scratch",
        ):  # fmt: skip
            if isinstance(values.get(name), str):
                values[name] = path.parent / Path(values[name]).expanduser()
        return values


def _holds_password(values: dict[str, Any]) -> bool:
    has_secret = "database_password" in values or "globus_client_secret" in values
    return has_secret or bool(re.search(r"://[^/@]*:[^/@]*@", str(values.get("database_url", ""))))


def _explained(error: ValidationError, given: dict[str, Any]) -> InvalidSettings:
    """The first thing that is wrong, with the name a person typed and the place it came from; never with the value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    file = config_file()
    if first["type"] == "extra_forbidden":
        place = "" if name in given else f" in {file}"
        known = ", ".join(Settings.model_fields)
        return InvalidSettings(f"unknown setting {name!r}{place}", f"known settings are {known}")
    variable = f"NEUROJOINT_{name.upper()}"
    place = variable if variable in os.environ else f"{name} in {file}" if file and name not in given else name
    return InvalidSettings(f"the setting {place} cannot be used", first["msg"].removeprefix("Value error, "))
