"""docker-compose.yml and Dockerfile say what the code needs, and hold no password."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from neurojoint.cli import main
from pipeline.settings import Settings

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_every_setting_in_the_files_exists(compose):
    known = {f"NEUROJOINT_{name.upper()}" for name in Settings.model_fields}
    services = compose["services"].values()
    in_compose = {
        name for service in services for name in service.get("environment", {}) if name.startswith("NEUROJOINT_")
    }
    in_dockerfile = set(re.findall(r"NEUROJOINT_\w+(?==)", (ROOT / "Dockerfile").read_text()))
    assert in_compose and in_dockerfile and (in_compose | in_dockerfile) <= known


def test_every_variable_of_compose_has_a_default_or_is_demanded_and_explained():
    text = (ROOT / "docker-compose.yml").read_text()
    variables = re.findall(r"(?<!\$)\$\{(\w+)(:[-?])?", text)
    assert variables and all(operator for _, operator in variables)
    demanded = {name for name, operator in variables if operator == ":?"}
    assert demanded <= set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def test_dependencies_secrets_and_volumes_refer_to_what_is_there(compose):
    for name, service in compose["services"].items():
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
        named = {
            volume.partition(":")[0] for volume in service.get("volumes", []) if not volume.startswith(("$", ".", "/"))
        }
        assert named <= set(compose["volumes"]), name
        assert "build" in service or "image" in service


def test_a_program_waits_for_a_healthy_database(compose):
    databases = {name for name, service in compose["services"].items() if "healthcheck" in service}
    assert databases == {"postgresql", "mysql"}
    waits = compose["services"]["tables"]["depends_on"]
    assert {name for name, how in waits.items() if how["condition"] == "service_healthy"} == databases


def test_no_password_stands_in_a_file(compose):
    for service in compose["services"].values():
        for name, value in (service.get("environment") or {}).items():
            assert "PASSWORD" not in name or name.endswith("_FILE") or name == "MYSQL_RANDOM_ROOT_PASSWORD", name
            assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), name
    assert "secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_database_commands_in_compose_exist(compose):
    for service in compose["services"].values():
        command = service.get("command", [])
        if command[:2] == ["neurojoint", "db"]:
            group = main.get_command(click.Context(main), "db")
            assert isinstance(group, click.Group) and command[2] in group.commands


def test_dockerfile_copies_what_there_is_and_drops_its_rights():
    text = (ROOT / "Dockerfile").read_text()
    sources = [name for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for name in line.split()[:-1]]
    assert sources and all((ROOT / name).exists() for name in sources)
    top_level = re.search(r"TOP_LEVEL = \[(.*)\]", (ROOT / "setup.py").read_text())[1]
    assert {name.strip('" ') for name in top_level.split(",") if name.strip()} <= set(sources)
    users = re.findall(r"^USER (\w+)", text, re.MULTILINE)
    assert users and users[-1] != "root"


def test_the_lock_file_has_what_setup_asks_for_each_with_hashes():
    packages = re.split(r"\n(?=[\w-])", (ROOT / "docs/requirements.lock").read_text())[1:]
    locked = {}
    for one in packages:
        name, version = re.match(r"([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", one).groups()
        locked[canonicalize_name(name)] = version
        assert "--hash=sha256:" in one, name
    wanted = re.search(r"install_requires=\[(.*?)\n    \]", (ROOT / "setup.py").read_text(), re.S)[1]
    for text in re.findall(r'^\s+"([^"]+)"', wanted, re.M):
        one = Requirement(text)
        assert canonicalize_name(one.name) in locked, text
        assert locked[canonicalize_name(one.name)] in one.specifier, text
