"""`python -m shelfwise.cli` is the command `shelfwise`."""

from shelfwise.cli.app import main

main()
