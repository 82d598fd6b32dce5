import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

columns = ["area", "rooms", "age", "distance"]


def table(path):
    frame = pd.read_csv(path)
    x = torch.tensor(frame[columns].values, dtype=torch.float32)
    return x, torch.tensor(frame["price"].values, dtype=torch.float32)


loader = DataLoader(TensorDataset(*table("houses.csv")), batch_size=32, shuffle=True)
val_x, val_y = table("houses_clean.csv")
model = nn.Linear(4, 1)
nn.init.zeros_(model.weight)
nn.init.zeros_(model.bias)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60 * len(loader))
loss_fn = nn.MSELoss()

for epoch in range(60):
    for x, y in loader:
        loss = loss_fn(model(x)[:, 0], y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        error = model(val_x)[:, 0] - val_y
        print(epoch, error.abs().mean().item(), error.square().mean().sqrt().item())
