"""People are told: checks of what is due, the outbox and its delivery by mail, digest and the site's inbox."""
