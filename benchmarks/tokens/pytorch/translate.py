import pandas as pd
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

training = pd.read_csv("numbers.csv", dtype=str)
validation = pd.read_csv("numbers_val.csv", dtype=str)

PAD, START = 0, 1


def vocabulary(texts):
    return {letter: number for number, letter in enumerate(sorted(set("".join(texts))), start=2)}


def encode(texts, index):
    return [torch.tensor([index[letter] for letter in text]) for text in texts]


figures, letters = vocabulary(training["figures"]), vocabulary(training["words"])


def rows(frame):
    return list(zip(encode(frame["figures"], figures), encode(frame["words"], letters)))


def collate(rows):
    sources, targets = zip(*rows)
    return pad_sequence(sources, batch_first=True), pad_sequence(targets, batch_first=True)


class Translate(nn.Module):
    def __init__(self):
        super().__init__()
        self.read = nn.Embedding(len(figures) + 2, 16, padding_idx=PAD)
        self.encoder = nn.LSTM(16, 128, batch_first=True)
        self.write = nn.Embedding(len(letters) + 2, 16)
        self.decoder = nn.LSTM(16, 128, batch_first=True)
        self.head = nn.Linear(128, len(letters) + 2)

    def forward(self, source, target):
        lengths = (source != PAD).sum(1)
        packed = pack_padded_sequence(
            self.read(source), lengths, batch_first=True, enforce_sorted=False
        )
        _, last = self.encoder(packed)
        previous = nn.functional.pad(target[:, :-1], (1, 0), value=START)
        steps, _ = self.decoder(self.write(previous), last)
        return self.head(steps)


loader = DataLoader(rows(training), batch_size=32, shuffle=True, collate_fn=collate)
val_loader = DataLoader(rows(validation), batch_size=256, collate_fn=collate)
model = Translate()
optimizer = torch.optim.Adam(model.parameters(), lr=0.004)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, 8 * len(loader))
loss_fn = nn.CrossEntropyLoss(ignore_index=PAD)

for epoch in range(8):
    for source, target in loader:
        loss = loss_fn(model(source, target).flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        scheduler.step()
    exact = 0
    with torch.no_grad():
        for source, target in val_loader:
            right = (model(source, target).argmax(2) == target) | (target == PAD)
            exact += right.all(1).sum().item()
    print(epoch, exact / len(validation))
