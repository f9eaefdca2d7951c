"""What the site and the HTTP server share: accounts, thread-safe reading, response caches."""
