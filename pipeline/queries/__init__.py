"""What a person asks of the tables: searches and activity of units. Functions here take keys."""
