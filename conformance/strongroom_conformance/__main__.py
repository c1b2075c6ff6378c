"""`python -m strongroom_conformance`."""

from strongroom_conformance.cli import main

main()
