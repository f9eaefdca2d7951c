"""What a release says of itself: README, LICENSE, CITATION.cff, datacite.json, each a function of its row alone."""

from __future__ import annotations

import json
from typing import Any

import yaml

LICENSES = {
    "CC-BY-4.0": (
        "Creative Commons Attribution 4.0 International",
        "https://creativecommons.org/licenses/by/4.0/legalcode",
        "You may share and adapt the material for any purpose, if you give appropriate credit, link to the license, "
        "and indicate changes.",
    ),
    "CC0-1.0": (
        "Creative Commons Zero 1.0 Universal",
        "https://creativecommons.org/publicdomain/zero/1.0/legalcode",
        "The authors have waived all copyright and related rights to the extent possible under law.",
    ),
    "ODC-BY-1.0": (
        "Open Data Commons Attribution License 1.0",
        "https://opendatacommons.org/licenses/by/1-0/",
        "You may share, create from and adapt the database, if you attribute it.",
    ),
}
"""SPDX identifier -> name, address of the whole text, what it means."""


def readme(row: dict[str, Any], zips: int = 1) -> str:
    """README.md: what it is, how it is loaded and checked."""
    name = f"{row['release']}-v{row['release_version']}"
    unzip = f"unzip {name}.zip -d {name}" if zips == 1 else f"for f in {name}*.zip; do unzip $f -d {name}; done"
    lines = [
        f"# {row['release_title']}",
        "",
        f"Release `{row['release']}`, version {row['release_version']}, frozen on {row['release_frozen']:%Y-%m-%d}: "
        f"{row['release_files']:,} files, {row['release_bytes']:,} bytes.",
        "",
        *([row["release_description"], ""] if row["release_description"] else []),
        *(
            [f"It follows version {row['previous_version']} of the same name.", ""]
            if row["previous_version"] is not None
            else []
        ),
        "The files are named by the ALF convention: `lab/Subjects/subject/date/number/alf/object.attribute.extension`.",
        "",
        "## Load it",
        "",
        "With the ONE client (`pip install ONE-api`), after unzipping:",
        "",
        "```python",
        "from one.api import One",
        f'one = One(cache_dir="{name}", mode="local")',
        "eids = one.search()",
        'trials = one.load_object(eids[0], "trials")',
        "```",
        "",
        "Or with any program: the files are NumPy arrays (`.npy`), Parquet tables (`.pqt`) and the like;",
        "`sessions.pqt` and `datasets.pqt` list them.",
        "",
        "Of a release on a web server, one mouse alone (`pip install neurojoint`):",
        "",
        "```bash",
        f"neurojoint release get ADDRESS {name} --subject NAME",
        "```",
        "",
        "## Check it",
        "",
        "```bash",
        unzip,
        f"cd {name} && sha256sum --quiet -c SHA256SUMS",
        "```",
        "",
        f"`manifest.tsv` has a line a file: path, size (byte), MD5, SHA-256, identifier of the dataset, identifier of "
        f"the session. Its SHA-256 is `{row['manifest_hash']}`.",
        "",
        "## Cite it",
        "",
        "See `CITATION.cff`. The license is in `LICENSE`.",
        "",
    ]
    return "\n".join(lines)


def license_text(row: dict[str, Any]) -> str:
    """LICENSE."""
    spdx = row["release_license"]
    name, address, meaning = LICENSES.get(spdx, (spdx, f"https://spdx.org/licenses/{spdx}.html", ""))
    owners = "; ".join(row["release_authors"]) or row["release_publisher"]
    lines = [name, f"SPDX-License-Identifier: {spdx}", "", f"Copyright {row['release_frozen']:%Y} {owners}".rstrip()]
    return "\n".join([*lines, *(["", meaning] if meaning else []), "", f"The whole text: {address}", ""])


def citation(row: dict[str, Any]) -> str:
    """CITATION.cff, format 1.2.0."""
    authors = [_person(release_author) for release_author in row["release_authors"]] or [
        {"name": row["release_publisher"] or "not stated"}
    ]
    fields = {
        "cff-version": "1.2.0",
        "message": "Please cite this data set as below.",
        "type": "dataset",
        "title": row["release_title"],
        "version": str(row["release_version"]),
        "date-released": row["release_frozen"].date(),
        "authors": authors,
        "license": row["release_license"],
    }
    if row.get("release_description"):
        fields["abstract"] = row["release_description"]
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def datacite(row: dict[str, Any], previous_doi: str = "") -> str:
    """datacite.json, the metadata of a DOI as DataCite's schema 4 has them."""
    spdx = row["release_license"]
    name, address, _ = LICENSES.get(spdx, (spdx, f"https://spdx.org/licenses/{spdx}.html", ""))
    authors = [
        {"name": release_author, "nameType": "Personal", "givenName": given.strip(), "familyName": family.strip()}
        for release_author in row["release_authors"]
        for family, _, given in [release_author.partition(",")]
    ] or [{"name": row["release_publisher"] or "not stated", "nameType": "Organizational"}]
    fields: dict[str, Any] = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Neurophysiology"},
        "titles": [{"title": row["release_title"]}],
        "creators": authors,
        "publisher": row["release_publisher"] or "not stated",
        "publicationYear": f"{row['release_frozen']:%Y}",
        "dates": [{"date": f"{row['release_frozen']:%Y-%m-%d}", "dateType": "Created"}],
        "version": str(row["release_version"]),
        "rightsList": [{"rights": name, "rightsUri": address, "rightsIdentifier": spdx,
                        "rightsIdentifierScheme": "SPDX"}],
        "sizes": [f"{row['release_files']} files", f"{row['release_bytes']} bytes"],
        "alternateIdentifiers": [{"alternateIdentifier": row["manifest_hash"],
                                  "alternateIdentifierType": "SHA-256 of manifest.tsv"}],
    }  # fmt: skip
    if row.get("release_description"):
        fields["descriptions"] = [{"description": row["release_description"], "descriptionType": "Abstract"}]
    if previous_doi:
        fields["relatedIdentifiers"] = [
            {"relatedIdentifier": previous_doi, "relatedIdentifierType": "DOI", "relationType": "IsNewVersionOf"}
        ]
    return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"


def _person(name: str) -> dict[str, str]:
    """An author of CITATION.cff.

    >>> _person("Curie, Marie")
    {'family-names': 'Curie', 'given-names': 'Marie'}
    """
    family, comma, given = name.partition(",")
    if not comma:
        return {"name": name}
    return {"family-names": family.strip(), "given-names": given.strip()}
