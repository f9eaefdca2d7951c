"""Articles of figshare: files go over in parts, of which the service says which it has."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from exchange.releases.uploads import service
from exchange.releases.uploads.service import Api, Body, Item, Lost, Progress, Published, Refused

API = "https://api.figshare.com/v2"
CHECKS = 240


class Figshare:
    """Articles of the account whose token is in force."""

    def __init__(self) -> None:
        base = os.environ.get("NEUROJOINT_FIGSHARE_API", API)
        self.api = Api("figshare", base, {"Authorization": f"token {service.token('figshare')}"})

    def open(self, row: Mapping[str, Any], identifier: str = "", previous: str = "") -> str:
        """See `Deposit.open`."""
        if identifier:
            return identifier
        title = f"{row['release_title']} (version {row['release_version']})"
        mark = row["manifest_hash"].strip()
        body = {
            "title": title,
            "description": f"{row['release_description'] or row['release_title']}<p>Manifest SHA-256: {mark}</p>",
            "defined_type": "dataset",
            "keywords": ["neurophysiology", "ALF"],
            "authors": [{"name": _natural(release_author)} for release_author in row["release_authors"]],
        }

        def find() -> str | None:
            for page in range(1, 1000):
                articles = self.api.get("account/articles", params={"page": page, "page_size": 100})
                for article in articles:
                    if article["title"] == title and mark in self._article(article["id"]).get("description", ""):
                        return str(article["id"])
                if len(articles) < 100:
                    return None
            return None

        return self.api.ensure(find, lambda: self.api.once("POST", "account/articles", json=body))

    def put(self, identifier: str, items: list[Item], progress: Progress) -> None:
        """See `Deposit.put`."""
        wanted = {item.name for item in items}
        for file in self._files(identifier):
            if file["name"] not in wanted:
                self._delete(identifier, file)
        for item in items:
            self._put(identifier, item, progress)

    def publish(self, identifier: str) -> Published:
        """See `Deposit.publish`."""

        def act() -> Published:
            article = self._article(identifier)
            if not article.get("published_date"):
                self.api.once("POST", f"account/articles/{identifier}/publish")
                article = self._article(identifier)
            return Published(article.get("url_public_html", ""), article.get("doi", ""))

        return self.api.repeat(act)

    def _article(self, identifier: str) -> dict[str, Any]:
        return self.api.get(f"account/articles/{identifier}")

    def _files(self, identifier: str) -> list[dict[str, Any]]:
        return self.api.get(f"account/articles/{identifier}/files", params={"page_size": 1000})

    def _delete(self, identifier: str, file: Mapping[str, Any]) -> None:
        def act() -> None:
            try:
                self.api.once("DELETE", f"account/articles/{identifier}/files/{file['id']}")
            except Refused as error:
                if error.status != 404:
                    raise

        self.api.repeat(act)

    def _put(self, identifier: str, item: Item, progress: Progress) -> None:
        """Bring one file over; what an earlier try left is used."""
        for _ in range(service.TRIES):
            file = self._only(identifier, item)
            if file["status"] == "created":
                if not self._send_parts(file, item, progress):
                    self._delete(identifier, file)  # its upload expired
                    continue
                self._complete(identifier, file)
            if self._arrived(identifier, file["id"], item):
                return
            self._delete(identifier, file)
        raise Lost(f"figshare does not take {item.name} as it is", "try again later")

    def _only(self, identifier: str, item: Item) -> dict[str, Any]:
        """The one entry of a file, made if there is none; others of its name go."""

        def find() -> dict[str, Any] | None:
            same = [file for file in self._files(identifier) if file["name"] == item.name]
            fits = [entry for entry in same if entry["supplied_md5"] == item.md5 and entry["size"] == item.size]
            fits.sort(key=lambda one: one["status"] != "available")
            for entry in same:
                if not fits or entry["id"] != fits[0]["id"]:
                    self._delete(identifier, entry)
            return self.api.get(f"account/articles/{identifier}/files/{fits[0]['id']}") if fits else None

        body = {"name": item.name, "md5": item.md5, "size": item.size}
        return self.api.ensure(find, lambda: self.api.once("POST", f"account/articles/{identifier}/files", json=body))

    def _send_parts(self, file: Mapping[str, Any], item: Item, progress: Progress) -> bool:
        """Send the parts that the service lacks; False where it no longer knows the upload."""
        try:
            upload = self.api.get(file["upload_url"])
            for part in upload["parts"]:
                start, end = part["startOffset"], part["endOffset"] + 1
                if part["status"] == "COMPLETE":
                    progress(end - start)
                    continue
                address = f"{file['upload_url']}/{part['partNo']}"

                def send(address: str = address, start: int = start, end: int = end) -> None:
                    self.api.once("PUT", address, data=Body(item.path, start, end, lambda n: None))

                self.api.repeat(send)
                progress(end - start)
        except Refused as error:
            if error.status in (404, 410):
                return False
            raise
        return upload.get("status") != "ABORTED"

    def _complete(self, identifier: str, file: Mapping[str, Any]) -> None:
        path = f"account/articles/{identifier}/files/{file['id']}"

        def act() -> None:
            if self.api.get(path)["status"] == "created":
                self.api.once("POST", path)

        self.api.repeat(act)

    def _arrived(self, identifier: str, number: int, item: Item) -> bool:
        """Wait until the service has hashed the file."""
        for turn in range(CHECKS):
            file = self.api.get(f"account/articles/{identifier}/files/{number}")
            if file.get("computed_md5"):
                return file["computed_md5"] == item.md5
            time.sleep(min(service._wait_s * (turn + 1), 10))
        raise Lost(f"figshare has not checked {item.name} yet", "run the same command later: it goes on")


def _natural(name: str) -> str:
    """`Given family`.

    >>> _natural("Curie, Marie")
    'Marie Curie'
    """
    family, _, given = name.partition(",")
    return f"{given.strip()} {family.strip()}".strip()
