import copy

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = np.load("steps.npz")
names = ("place", "action", "next_", "done")
dataset = TensorDataset(*(torch.tensor(data[name]) for name in names))
loader = DataLoader(dataset, batch_size=64, shuffle=True)
value = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
judge = copy.deepcopy(value).requires_grad_(False)
optimizer = torch.optim.Adam(value.parameters(), lr=0.001)
loss_fn = nn.HuberLoss()

for epoch in range(60):
    for place, action, next_, done in loader:
        after = torch.where(done, 0, judge(next_).max(1).values)
        chosen = value(place).gather(1, action[:, None])[:, 0]
        loss = loss_fn(chosen, 0.98 * after - 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for old, new in zip(judge.parameters(), value.parameters()):
                old.lerp_(new, 0.01)
    print(epoch, loss.item())
