"""Benchmarks of specc against other frameworks, and against the machine's limit: see README.md."""
