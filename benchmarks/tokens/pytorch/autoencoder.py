import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

images, _ = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32).view(-1, 1, 8, 8)
train_x, val_x = train_test_split(images, train_size=0.8)
loader = DataLoader(TensorDataset(train_x), batch_size=32, shuffle=True)

encoder = nn.Sequential(
    nn.Conv2d(1, 16, 4, 2, 1),
    nn.ReLU(),
    nn.Conv2d(16, 32, 4, 2, 1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(128, 8),
)
decoder = nn.Sequential(
    nn.Linear(8, 128),
    nn.ReLU(),
    nn.Unflatten(1, (32, 2, 2)),
    nn.ConvTranspose2d(32, 16, 4, 2, 1),
    nn.ReLU(),
    nn.ConvTranspose2d(16, 1, 4, 2, 1),
)
model = nn.Sequential(encoder, decoder)
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30 * len(loader))
loss_fn = nn.MSELoss()

for epoch in range(30):
    for (x,) in loader:
        loss = loss_fn(model(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        drawn = model(val_x)
        print(epoch, loss_fn(drawn, val_x).item(), (drawn - val_x).abs().mean().item())
