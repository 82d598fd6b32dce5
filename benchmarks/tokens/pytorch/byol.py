import copy

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms

images, labels = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32).view(-1, 1, 8, 8)
labels = torch.tensor(labels)
train_x, val_x, train_y, val_y = train_test_split(images, labels, train_size=0.8)
loader = DataLoader(TensorDataset(train_x, train_y), batch_size=64, shuffle=True)

view = transforms.Compose(
    [
        transforms.RandomAffine(15, translate=(1 / 8, 1 / 8)),
        transforms.Lambda(lambda x: x + 0.1 * torch.randn_like(x)),
    ]
)


def views(images):
    return torch.stack([view(image) for image in images])


tower = nn.Sequential(
    nn.Conv2d(1, 32, 3, padding=1),
    nn.BatchNorm2d(32),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(32, 64, 3, padding=1),
    nn.BatchNorm2d(64),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
)
project = nn.Sequential(nn.Linear(256, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32))
predict = nn.Sequential(nn.Linear(32, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 32))
probe = nn.Linear(256, 10)
online = nn.Sequential(tower, project)
mean = copy.deepcopy(online).requires_grad_(False)
model = nn.ModuleList([online, predict, probe])
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20 * len(loader))


def apart(a, b):
    return 2 - 2 * nn.functional.cosine_similarity(a, b).mean()


for epoch in range(20):
    model.train()
    for x, y in loader:
        one, two = views(x), views(x)
        alike = apart(predict(online(one)), mean(two)) + apart(predict(online(two)), mean(one))
        loss = alike / 2 + nn.functional.cross_entropy(probe(tower(x).detach()), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        with torch.no_grad():
            for old, new in zip(mean.parameters(), online.parameters()):
                old.lerp_(new, 0.01)
    model.eval()
    with torch.no_grad():
        accuracy = (probe(tower(val_x)).argmax(1) == val_y).float().mean().item()
    print(epoch, accuracy)
