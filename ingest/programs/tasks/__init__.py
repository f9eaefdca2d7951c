"""What the kinds of `pipeline.tasks.builtin` run: each a function of a `Job`, without a database."""
