import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)


def arrays(path):
    data = np.load(path)
    return (
        torch.tensor(data["image"] / 16, dtype=torch.float32),
        torch.tensor(data["digit"]),
        torch.tensor(data["odd"], dtype=torch.float32),
        torch.tensor(data["ink"] / 16, dtype=torch.float32),
    )


class Multitask(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
        self.digit = nn.Linear(64, 10)
        self.odd = nn.Linear(64, 1)
        self.ink = nn.Linear(64, 1)

    def forward(self, image):
        features = self.trunk(image)
        return self.digit(features), self.odd(features)[:, 0], self.ink(features)[:, 0]


loader = DataLoader(TensorDataset(*arrays("tasks.npz")), batch_size=32, shuffle=True)
image, digit, odd, ink = arrays("tasks_val.npz")
model = Multitask()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60 * len(loader))
cross_entropy, binary, mse = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss(), nn.MSELoss()

for epoch in range(60):
    for x, y_digit, y_odd, y_ink in loader:
        scores, oddness, amount = model(x)
        loss = (
            cross_entropy(scores, y_digit) + 0.5 * binary(oddness, y_odd) + 10 * mse(amount, y_ink)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        scores, oddness, amount = model(image)
        digit_right = (scores.argmax(1) == digit).float().mean().item()
        odd_right = ((oddness > 0) == odd.bool()).float().mean().item()
        print(epoch, digit_right, odd_right, (amount - ink).abs().mean().item())
