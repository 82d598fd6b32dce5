"""The intermediate representation: types, ops, graphs, programs and plans, frozen and printable.

sizes      sizes of axes: integers, and polynomials over symbolic sizes
types      kind and shape of a value, and whether it varies over the batch
op         what an op must state about itself
graph      nodes, graphs, and how a pass rebuilds one
names      the names of a graph's outputs
program    a checked program: everything a file says about a model
pickled    programs in pickles
digest     a hash of values over nodes
stored     values in the cache folder, under the facts that they follow from
plan       groups, steps and memory, as the planner decides
sharing    how the shards of a plan share its work
show       graphs and programs as text
verify     the types of a graph, inferred anew
"""
