"""ONE on the tables: a Python class, an HTTP server and cache tables that give the same answers."""
