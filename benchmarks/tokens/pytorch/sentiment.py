from collections import Counter

import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

frame = pd.read_csv("reviews.csv")
texts = frame["words"].str.split()
counts = Counter(word for text in texts for word in text)
index = {word: number for number, (word, _) in enumerate(counts.most_common(9998), start=2)}
reviews = [torch.tensor([index.get(word, 1) for word in text]) for text in texts]
labels = torch.tensor(pd.factorize(frame["label"], sort=True)[0])
training, validation = train_test_split(list(zip(reviews, labels)), train_size=0.9)


def collate(rows):
    words, labels = zip(*rows)
    return pad_sequence(words, batch_first=True), torch.stack(labels)


class Sentiment(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10000, 32, padding_idx=0)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(32, 2)

    def forward(self, words):
        count = (words > 0).sum(1, keepdim=True)
        return self.head(self.drop(self.drop(self.embed(words)).sum(1) / count))


loader = DataLoader(training, batch_size=32, shuffle=True, collate_fn=collate)
val_loader = DataLoader(validation, batch_size=256, collate_fn=collate)
model = Sentiment()
optimizer = torch.optim.Adam(model.parameters(), lr=0.004)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(12):
    model.train()
    for x, y in loader:
        loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        right = sum((model(x).argmax(1) == y).sum().item() for x, y in val_loader)
    print(epoch, right / len(validation))
