"""`python -m exchange.capsule FOLDER` rebuilds the figures of a capsule and compares them."""

from exchange.capsule.check import main

main()
