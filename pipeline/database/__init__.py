"""The database: the only room that knows which backend it is."""
