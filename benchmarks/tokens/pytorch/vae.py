import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

images, _ = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32)

train_x, val_x = train_test_split(images, train_size=0.8)
loader = DataLoader(TensorDataset(train_x), batch_size=32, shuffle=True)


class VAE(nn.Module):
    def __init__(self, code=8):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU())
        self.mean = nn.Linear(128, code)
        self.spread = nn.Linear(128, code)
        self.decoder = nn.Sequential(nn.Linear(code, 128), nn.ReLU(), nn.Linear(128, 64))

    def forward(self, x):
        h = self.encoder(x)
        mean, spread = self.mean(h), self.spread(h)
        z = mean + torch.exp(spread / 2) * torch.randn_like(mean)
        return self.decoder(z), mean, spread


def losses(x):
    scores, mean, spread = model(x)
    code_length = 0.5 * (mean**2 + spread.exp() - spread - 1).sum(1).mean()
    pixels = nn.functional.binary_cross_entropy_with_logits(scores, x, reduction="sum") / len(x)
    return code_length, pixels


model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40 * len(loader))

for epoch in range(40):
    for (x,) in loader:
        loss = sum(losses(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        code_length, pixels = losses(val_x)
        print(epoch, code_length.item(), pixels.item())
