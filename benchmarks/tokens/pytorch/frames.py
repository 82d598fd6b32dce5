import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)


def arrays(path):
    data = np.load(path)
    return torch.tensor(data["video"] / 255, dtype=torch.float32), torch.tensor(data["motion"])


class Frames(nn.Module):
    def __init__(self):
        super().__init__()
        self.see = nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(128, 48),
            nn.ReLU(),
        )
        self.gru = nn.GRU(48, 64, batch_first=True)
        self.head = nn.Linear(64, 5)

    def forward(self, video):
        seen = self.see(video.flatten(0, 1)).unflatten(0, video.shape[:2])
        return self.head(self.gru(seen)[0])


loader = DataLoader(TensorDataset(*arrays("videos.npz")), batch_size=32, shuffle=True)
val_x, val_y = arrays("videos_val.npz")
model = Frames()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 15 * len(loader))
loss_fn = nn.CrossEntropyLoss()

for epoch in range(15):
    for x, y in loader:
        loss = loss_fn(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        right = model(val_x).argmax(2) == val_y
        print(epoch, right.float().mean().item(), right.all(1).float().mean().item())
