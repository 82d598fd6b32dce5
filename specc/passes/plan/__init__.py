"""From a graph in groups to a plan: when and on which shards each kernel runs, and all memory.

scheduled   a group that is being scheduled, and the values that it reads
sharing     how the shards share the work: data parallelism, or tensor parallelism
phases      the phase of each group, between barriers, and the order within a phase
allocation  memory for each value
meetings    the values that travel if several processes share the work
plan        the whole way
"""
