import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

images, labels = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32).view(-1, 8, 8)
labels = torch.tensor(labels)
train_x, val_x, train_y, val_y = train_test_split(images, labels, train_size=0.8)
loader = DataLoader(TensorDataset(train_x, train_y), batch_size=32, shuffle=True)


class Causal(nn.Module):
    def __init__(self, inputs, filters, dilation):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConstantPad1d((dilation, 0), 0),
            nn.Conv1d(inputs, filters, 2, dilation=dilation),
            nn.ReLU(),
            nn.Dropout1d(0.1),
        )
        self.has_shortcut = inputs == filters

    def forward(self, x):
        return x + self.main(x) if self.has_shortcut else self.main(x)


class TCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(Causal(8, 64, 1), Causal(64, 64, 2), Causal(64, 64, 4))
        self.head = nn.Linear(64, 10)

    def forward(self, image):
        return self.head(self.layers(image.transpose(1, 2))[:, :, -1])


model = TCN()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 25 * len(loader))
loss_fn = nn.CrossEntropyLoss()

for epoch in range(25):
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
