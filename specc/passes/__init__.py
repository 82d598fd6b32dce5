"""The compiler's passes: functions from a graph to a graph, and at last to a plan.

`specc.pipeline` lists them in the order in which they run.
"""
