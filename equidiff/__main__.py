"""`python -m equidiff`."""

from equidiff.cli import main

main()
