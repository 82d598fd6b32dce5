"""From a graph in groups to a plan.

When each kernel runs, on which shards, and where values are stored.

phases    the phase of each group, between barriers, and the order within a phase
places    memory for each value
plan      both together
"""
