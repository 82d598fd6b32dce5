"""A plan as calls of kernels: every group of nodes becomes loops, register tiles or an op's own kernel.

calls         a call of a kernel: its arguments, addresses in spaces that are filled in later
nest          loops around elementwise formulas, sums, maxima and placements
feed          the kernels between a program and the world: data in, outputs and records out
products      a contraction of the plan as calls of register tiles
emit          the calls of one shard, in order
"""
