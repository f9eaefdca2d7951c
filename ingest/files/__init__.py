"""Reads session folders: scanning, hashing and checking files. No database."""
