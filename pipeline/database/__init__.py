"""The database: connection, activation, rows by the thousand. The only room that asks which backend it is."""
