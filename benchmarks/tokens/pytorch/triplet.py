import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)


def arrays(path):
    data = np.load(path)
    return (
        torch.tensor(data["anchor"] / 16, dtype=torch.float32),
        torch.tensor(data["positive"] / 16, dtype=torch.float32),
        torch.tensor(data["negative"] / 16, dtype=torch.float32),
    )


margin = 0.2
loader = DataLoader(TensorDataset(*arrays("triplets.npz")), batch_size=32, shuffle=True)
validation = arrays("triplets_val.npz")
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


def distances(anchor, positive, negative):
    a, p, n = (nn.functional.normalize(tower(x)) for x in (anchor, positive, negative))
    return (a - p).square().sum(1), (a - n).square().sum(1)


for epoch in range(20):
    for batch in loader:
        near, far = distances(*batch)
        loss = (near - far + margin).clamp(min=0).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        near, far = distances(*validation)
        print(epoch, (near < far).float().mean().item())
