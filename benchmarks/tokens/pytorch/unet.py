import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

images, _ = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32).view(-1, 1, 8, 8)

train_x, val_x = train_test_split(images, train_size=0.8)
loader = DataLoader(TensorDataset(train_x), batch_size=32, shuffle=True)


def twice(inputs, filters):
    return nn.Sequential(
        nn.Conv2d(inputs, filters, 3, padding=1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
        nn.Conv2d(filters, filters, 3, padding=1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
    )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = twice(1, 16)
        self.second = twice(16, 32)
        self.third = twice(32, 64)
        self.pool = nn.MaxPool2d(2)
        self.up_half = nn.ConvTranspose2d(64, 32, 2, stride=2)
        self.back = twice(64, 32)
        self.up_whole = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.up = twice(32, 16)
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x):
        whole = self.first(x)
        half = self.second(self.pool(whole))
        quarter = self.third(self.pool(half))
        back = self.back(torch.cat([half, self.up_half(quarter)], 1))
        return self.head(self.up(torch.cat([whole, self.up_whole(back)], 1)))


model = UNet()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 15 * len(loader))
loss_fn = nn.BCEWithLogitsLoss()

for epoch in range(15):
    model.train()
    for (image,) in loader:
        ink = image > 0.5
        loss = loss_fn(model(image + 0.4 * torch.randn_like(image)), ink.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    model.eval()
    with torch.no_grad():
        ink, seen = val_x > 0.5, val_x + 0.4 * torch.randn_like(val_x)
        pixels = ((model(seen) > 0) == ink).float().mean().item()
        print(epoch, pixels, ((seen > 0.5) == ink).float().mean().item())
