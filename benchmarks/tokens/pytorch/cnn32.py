import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

data = np.load("images.npz")
images = torch.tensor(data["image"], dtype=torch.float32)
labels = torch.tensor(data["label"])
train_x, val_x, train_y, val_y = train_test_split(images, labels, train_size=0.9)
loader = DataLoader(TensorDataset(train_x, train_y), batch_size=128, shuffle=True)
steps = 30 * len(loader)


def stage(inputs, filters):
    return [
        nn.Conv2d(inputs, filters, 3, padding=1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
        nn.Conv2d(filters, filters, 3, padding=1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
    ]


model = nn.Sequential(
    *stage(3, 32),
    nn.MaxPool2d(2),
    nn.Dropout(0.1),
    *stage(32, 64),
    nn.MaxPool2d(2),
    nn.Dropout(0.2),
    *stage(64, 128),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Dropout(0.5),
    nn.Linear(128, 10),
)
optimizer = torch.optim.SGD(
    model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3
)
scheduler = torch.optim.lr_scheduler.LambdaLR(
    optimizer, lambda step: min(1, 10 * step / steps) * (1 - step / steps)
)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(30):
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
