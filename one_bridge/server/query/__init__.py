"""The grammar of lists: `parse` reads the query string, `resolve` looks up what it names, `sql` restricts the tables.

They are used in this order only. `evaluate` compares in Python what the backends would compare differently.
"""
