"""Print the table of README.md."""

from benchmarks.tokens import table

print(table(), end="")
