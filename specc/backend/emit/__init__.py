"""A plan as calls of kernels: a group of nodes becomes loops, register tiles or an op's own kernel.

calls         a call of a kernel and its arguments: numbers and addresses
shard         one shard of a plan: the addresses of values, and its part of shared work
access        the arrays that a nest reads and writes, and its formulas
loops         the loops of a nest as a tree
nest          loops around elementwise formulas, sums, maxima and placements
body          the accesses and formulas of a nest, collected node by node
feed          the kernels that read data and settings, and write outputs and records
ports         the calls of these kernels
own           the calls of ops that have a kernel of their own
products      a contraction of the plan as calls of register tiles
emit          the calls of one shard, in order
sharing       copies of operands that several shards share
"""
