"""What the pages ask the tables: functions that return plain rows and know nothing of the site."""
