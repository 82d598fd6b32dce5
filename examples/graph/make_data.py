"""Write graphs whose nodes belong to groups: graphs.npz with links, about and group.

python make_data.py [FOLDER] [COUNT]      # by default beside this file, 600 graphs

Nodes of one group are linked more often than others (a stochastic block model; Holland, Laskey and
Leinhardt, 1983). What is known about a node is the mean of its group with much noise.
"""

import sys
from pathlib import Path

import numpy as np

NODES, GROUPS, FEATURES = 40, 4, 8
WITHIN, BETWEEN = 0.5, 0.03
NOISE = 1.0

folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
count = int(sys.argv[2]) if len(sys.argv) > 2 else 600
rng = np.random.default_rng(0)
group = rng.integers(0, GROUPS, (count, NODES))
is_same = group[:, :, None] == group[:, None, :]
draws = np.triu(rng.random((count, NODES, NODES)), 1)
chosen = (draws > 0) & (draws < np.where(is_same, WITHIN, BETWEEN))
links = (chosen | chosen.transpose(0, 2, 1)).astype("float32")
middle = np.eye(GROUPS, FEATURES)
about = middle[group] + NOISE * rng.normal(size=(count, NODES, FEATURES))
np.savez(folder / "graphs.npz", links=links, about=about.astype("float32"), group=group)
