"""From a graph in groups to a plan.

When each kernel runs, on which shards, and where values are stored.

scheduled a group on its way into a plan, and what it reads
sharing   how the shards share the work: by examples, or as a team by rows
phases    the phase of each group, between barriers, and the order within a phase
places    memory for each value
meetings  the values that travel if several processes share the work
plan      both together
"""
