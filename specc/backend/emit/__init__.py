"""A plan as calls of kernels: a group of nodes becomes loops, register tiles or an op's own kernel.

calls         a call of a kernel: its arguments, addresses in spaces that are filled in later
shard         one shard of a plan: the addresses of values, its part of what the shards divide
access        what a nest reads and writes, and the formulas between
loops         the loops of a nest as a tree
nest          loops around elementwise formulas, sums, maxima and placements
body          what a nest reads, computes and writes, collected node by node
feed          the kernels between a program and the world: data in, outputs and records out
ports         the calls of these kernels
own           the calls of ops that have a kernel of their own
products      a contraction of the plan as calls of register tiles
emit          the calls of one shard, in order
sharing       copies of operands that all shards make together
"""
