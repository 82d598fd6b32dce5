"""The command line: the only part that prints or exits. A file for each group of commands."""
