import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)


def arrays(path):
    data = np.load(path)
    return (
        torch.tensor(data["a"] / 16, dtype=torch.float32),
        torch.tensor(data["b"] / 16, dtype=torch.float32),
        torch.tensor(data["same"]),
    )


margin = 1
loader = DataLoader(TensorDataset(*arrays("pairs.npz")), batch_size=32, shuffle=True)
val_a, val_b, val_same = arrays("pairs_val.npz")
tower = nn.Sequential(
    nn.Conv2d(1, 16, 3),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(144, 32),
    nn.ReLU(),
    nn.Linear(32, 8),
)
optimizer = torch.optim.Adam(tower.parameters(), lr=0.003)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20 * len(loader))

for epoch in range(20):
    for a, b, same in loader:
        gap = nn.functional.pairwise_distance(tower(a), tower(b))
        loss = torch.where(same, gap**2, (margin - gap).clamp(min=0) ** 2).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        gap = nn.functional.pairwise_distance(tower(val_a), tower(val_b))
        print(epoch, ((gap < margin / 2) == val_same).float().mean().item())
