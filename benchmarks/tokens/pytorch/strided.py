import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

images, labels = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32).view(-1, 1, 8, 8)
labels = torch.tensor(labels)
train_x, val_x, train_y, val_y = train_test_split(images, labels, train_size=0.8)
loader = DataLoader(TensorDataset(train_x, train_y), batch_size=64, shuffle=True)


def unit(inputs, filters, stride=1):
    return nn.Sequential(
        nn.Conv2d(inputs, filters, 3, stride, padding=1), nn.BatchNorm2d(filters), nn.ReLU()
    )


class Shortcut(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.main = nn.Sequential(
            unit(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x):
        return torch.relu(x + self.main(x))


model = nn.Sequential(
    unit(1, 16),
    Shortcut(16),
    unit(16, 32, 2),
    Shortcut(32),
    unit(32, 64, 2),
    Shortcut(64),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(64, 10),
)

optimizer = torch.optim.SGD(
    model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3
)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, 8 * len(loader))
loss_fn = nn.CrossEntropyLoss()

for epoch in range(8):
    model.train()
    for x, y in loader:
        loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    model.eval()
    with torch.no_grad():
        scores = model(val_x)
        val_loss = loss_fn(scores, val_y).item()
        accuracy = (scores.argmax(1) == val_y).float().mean().item()
    print(epoch, val_loss, accuracy)
