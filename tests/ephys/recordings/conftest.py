"""How the recordings were made; not tests."""

collect_ignore_glob = ["*/make.py"]
