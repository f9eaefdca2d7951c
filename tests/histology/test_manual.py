"""What docs/histology.md and docs/sorting.md show runs as it stands there."""

from __future__ import annotations

import re
import runpy
import shlex
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ingest.programs.sorting import job
from neurojoint.cli import main
from pipeline.analysis import coordinates
from pipeline.schemas import histology
from pipeline.settings import load

DOCS = Path(__file__).parents[2] / "docs"


def command_of(name: str) -> click.Command:
    return main.get_command(click.Context(main), name)


def manual(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", manual(name), re.DOTALL)


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_examples_of_regions_and_units_run(database, tmp_path):
    for block in blocks("histology.md", "python"):
        (tmp_path / "example.py").write_text(block)
        assert runpy.run_path(str(tmp_path / "example.py"))


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_commands_run_and_every_option_is_named(database):
    lines = [
        line.split(">")[0] for line in manual("histology.md").splitlines() if line.startswith("    neurojoint find")
    ]
    assert len(lines) == 4
    for line in lines:
        result = CliRunner().invoke(main, shlex.split(line)[1:])
        assert result.exit_code == 0, result.output
    options = {param.opts[0] for command in command_of("find").commands.values() for param in command.params}
    assert not {option for option in options if option not in manual("histology.md")}


def test_origin_and_provenances_are_those_of_the_tables():
    text = manual("histology.md")
    assert "ML {:.0f}, AP {:.0f}, DV {:.0f} um".format(*coordinates.BREGMA_CCF) in text
    for row in histology.Provenance.contents:
        assert f"| `{row['provenance']}` | {row['provenance_rank']} |" in text
    for row in histology.CoordinateSystem.contents:
        assert f"`{row['coordinate_system']}`" in text


def test_the_settings_of_sorters_can_be_read_and_every_placeholder_is_named():
    (block,) = blocks("sorting.md", "toml")
    told = load(**tomllib.loads(block))
    assert set(told.sorters) == {"spykingcircus2", "ks4"}
    assert told.sorters["ks4"].environment == {"CUDA_VISIBLE_DEVICES": "0"}
    named = re.findall(r"`\{(\w+)\}`", manual("sorting.md"))
    assert set(named) == set(job.PLACEHOLDERS)
    options = {param.opts[0] for param in command_of("sort").params if param.opts[0].startswith("--")}
    assert not {option for option in options if option not in manual("sorting.md")}
