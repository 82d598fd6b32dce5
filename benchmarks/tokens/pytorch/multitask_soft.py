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
    )


class Multitask(nn.Module):
    def __init__(self):
        super().__init__()
        self.left = nn.Linear(64, 64)
        self.right = nn.Linear(64, 64)
        self.digit = nn.Linear(64, 10)
        self.odd = nn.Linear(64, 1)

    def forward(self, image):
        left, right = self.left(image).relu(), self.right(image).relu()
        return self.digit(left), self.odd(right)[:, 0]


loader = DataLoader(TensorDataset(*arrays("tasks.npz")), batch_size=32, shuffle=True)
image, digit, odd = arrays("tasks_val.npz")
model = Multitask()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40 * len(loader))
cross_entropy, binary = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss()

for epoch in range(40):
    for x, y_digit, y_odd in loader:
        scores, oddness = model(x)
        apart = (model.left.weight - model.right.weight).square().sum()
        loss = cross_entropy(scores, y_digit) + binary(oddness, y_odd) + 0.01 * apart
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        scores, oddness = model(image)
        digit_right = (scores.argmax(1) == digit).float().mean().item()
        print(epoch, digit_right, ((oddness > 0) == odd.bool()).float().mean().item())
