import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

PAD, START = 0, 1


def vocabulary(texts):
    return {letter: number for number, letter in enumerate(sorted(set("".join(texts))), start=2)}


def encode(texts, index):
    return [torch.tensor([index[letter] for letter in text]) for text in texts]


def rows(path):
    data = np.load(path)
    pictures = torch.tensor(data["picture"] / 16, dtype=torch.float32)
    return list(zip(pictures[:, None], encode(data["name"], letters)))


def collate(rows):
    pictures, names = zip(*rows)
    return torch.stack(pictures), pad_sequence(names, batch_first=True)


class Caption(nn.Module):
    def __init__(self):
        super().__init__()
        self.see = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(128, 64),
            nn.Tanh(),
        )
        self.embed = nn.Embedding(len(letters) + 2, 16)
        self.gru = nn.GRU(16, 64, batch_first=True)
        self.head = nn.Linear(64, len(letters) + 2)

    def forward(self, picture, name):
        previous = nn.functional.pad(name[:, :-1], (1, 0), value=START)
        steps, _ = self.gru(self.embed(previous), self.see(picture)[None])
        return self.head(steps)


letters = vocabulary(np.load("captions.npz")["name"])
training, validation = rows("captions.npz"), rows("captions_val.npz")
loader = DataLoader(training, batch_size=32, shuffle=True, collate_fn=collate)
val_loader = DataLoader(validation, batch_size=256, collate_fn=collate)
model = Caption()
optimizer = torch.optim.Adam(model.parameters(), lr=0.004)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, 15 * len(loader))
loss_fn = nn.CrossEntropyLoss(ignore_index=PAD)

for epoch in range(15):
    model.train()
    for picture, name in loader:
        loss = loss_fn(model(picture, name).flatten(0, 1), name.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        scheduler.step()
    model.eval()
    exact = 0
    with torch.no_grad():
        for picture, name in val_loader:
            right = (model(picture, name).argmax(2) == name) | (name == PAD)
            exact += right.all(1).sum().item()
    print(epoch, exact / len(validation))
