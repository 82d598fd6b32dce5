"""The compiler's passes: each takes a graph and gives a graph (or a plan), and reads like its name."""
