"""Depositions of Zenodo, and of servers that speak its protocol."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from exchange.releases.uploads import service
from exchange.releases.uploads.service import Api, Body, Item, Lost, Progress, Published, Refused
from pipeline.errors import UserError

API = "https://zenodo.org/api"
MOST_FILES = 100
LARGEST = 50 * 10**9  # byte


class Zenodo:
    """Depositions of the account whose token is in force."""

    def __init__(self) -> None:
        base = os.environ.get("NEUROJOINT_ZENODO_API", API)
        self.api = Api("Zenodo", base, {"Authorization": f"Bearer {service.token('zenodo')}"})

    def open(self, row: Mapping[str, Any], identifier: str = "", previous: str = "") -> str:
        """See `Deposit.open`; what follows another version is a draft of the same record."""
        if identifier:
            return identifier
        mark = f"Manifest SHA-256: {row['manifest_hash'].strip()}"
        metadata = {
            "title": row["release_title"],
            "upload_type": "dataset",
            "description": row["release_description"] or row["release_title"],
            "creators": [{"name": release_author} for release_author in row["release_authors"]]
            or [{"name": row["release_publisher"]}],
            "access_right": "open",
            "license": row["release_license"].lower(),
            "version": str(row["release_version"]),
            "notes": mark,
        }

        def find() -> str | None:
            for page in range(1, 1000):
                depositions = self.api.get("deposit/depositions", params={"page": page, "size": 100})
                for item in depositions:
                    if mark in item.get("metadata", {}).get("notes", ""):
                        return str(item["id"])
                if len(depositions) < 100:
                    return None
            return None

        def make() -> None:
            if not previous:
                self.api.once("POST", "deposit/depositions", json={"metadata": metadata})
                return
            # where there is a draft already, the service gives that one: done twice, it is the same
            answer = self.api.once("POST", f"deposit/depositions/{previous}/actions/newversion").json()
            draft = answer["links"]["latest_draft"].rstrip("/").rpartition("/")[2]
            self.api.once("PUT", f"deposit/depositions/{draft}", json={"metadata": metadata})

        return self.api.ensure(find, make)

    def put(self, identifier: str, items: list[Item], progress: Progress) -> None:
        """See `Deposit.put`."""
        if len(items) > MOST_FILES or sum(item.size for item in items) > LARGEST:
            raise UserError(
                f"Zenodo takes {MOST_FILES} files and {LARGEST / 1e9:g} GB a record",
                "build with a larger --zip-size, or ask Zenodo for more",
            )
        bucket = self.api.get(f"deposit/depositions/{identifier}")["links"]["bucket"]
        wanted = {item.name for item in items}
        for name, one in self._files(identifier).items():
            if name not in wanted:
                self._delete(f"deposit/depositions/{identifier}/files/{one['id']}")
        for item in items:
            self._put(identifier, bucket, item, progress)

    def publish(self, identifier: str) -> Published:
        """See `Deposit.publish`."""

        def act() -> Published:
            deposition = self.api.get(f"deposit/depositions/{identifier}")
            if not deposition.get("submitted"):
                self.api.once("POST", f"deposit/depositions/{identifier}/actions/publish")
                deposition = self.api.get(f"deposit/depositions/{identifier}")
            return Published(deposition.get("links", {}).get("record_html", ""), deposition.get("doi", ""))

        return self.api.repeat(act)

    def _delete(self, path: str) -> None:
        def act() -> None:
            try:
                self.api.once("DELETE", path)
            except Refused as error:
                if error.status != 404:
                    raise

        self.api.repeat(act)

    def _files(self, identifier: str) -> dict[str, dict[str, Any]]:
        return {item["filename"]: item for item in self.api.get(f"deposit/depositions/{identifier}/files")}

    def _put(self, identifier: str, bucket: str, item: Item, progress: Progress) -> None:
        """Bring one file over, unless it is there; a name exists once, so that sending it again replaces it."""

        def act() -> None:
            there = self._files(identifier).get(item.name)
            if there is None or _md5(there) != item.md5:
                body = Body(item.path, 0, item.size, lambda n: None)
                answer = self.api.once("PUT", f"{bucket}/{quote(item.name)}", data=body if item.size else b"")
                if _md5(answer.json()) != item.md5:
                    raise Lost(f"Zenodo has another content of {item.name}", "try again later")

        self.api.repeat(act)
        progress(item.size)


def _md5(file: Mapping[str, Any]) -> str:
    return str(file.get("checksum", "")).removeprefix("md5:")
