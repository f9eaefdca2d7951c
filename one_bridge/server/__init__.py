"""The HTTP face of one_bridge: Alyx's REST interface on the tables, for the unmodified ONE client."""
