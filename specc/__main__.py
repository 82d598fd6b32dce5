"""`python -m specc`: the command line."""

from specc.cli.main import main

main()
