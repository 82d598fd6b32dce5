import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

images, labels = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32)
labels = torch.tensor(labels)
train_x, val_x, train_y, val_y = train_test_split(images, labels, train_size=0.8)
loader = DataLoader(TensorDataset(train_x, train_y), batch_size=32, shuffle=True)


class TwoLosses(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
        self.decoder = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 64))
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        z = self.encoder(x)
        return self.head(z), self.decoder(z)


model = TwoLosses()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30 * len(loader))
cross_entropy, mse = nn.CrossEntropyLoss(), nn.MSELoss()

for epoch in range(30):
    for x, y in loader:
        scores, drawn = model(x)
        loss = cross_entropy(scores, y) + 0.5 * mse(drawn, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        scores, drawn = model(val_x)
        accuracy = (scores.argmax(1) == val_y).float().mean().item()
        print(epoch, accuracy, (drawn - val_x).abs().mean().item())
