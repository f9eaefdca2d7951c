"""The addresses of calendars that programs read which cannot sign in."""

from __future__ import annotations

import hashlib
import hmac

from dashboard.site import Site
from pipeline.policy import secret


def calendar_key(site: Site, lab: str, user: str) -> str:
    """The secret part of the address of a person's calendar of a lab."""
    digest = hmac.new(secret.of(site.home), f"calendar\0{lab}\0{user}".encode(), hashlib.sha256)
    return digest.hexdigest()[:40]
