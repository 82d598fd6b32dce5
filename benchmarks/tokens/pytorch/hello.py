import pandas as pd
import torch
from torch import nn

torch.manual_seed(0)

frame = pd.read_csv("hello.csv", dtype=str)
letters = sorted(set("".join(frame["letter"] + frame["following"])))
index = {letter: number for number, letter in enumerate(letters)}


def encode(texts):
    return torch.tensor([[index[letter] for letter in text] for text in texts])


class RNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(len(letters), 8, batch_first=True)
        self.head = nn.Linear(8, len(letters))

    def forward(self, x):
        one_hot = nn.functional.one_hot(x, len(letters)).float()
        return self.head(self.rnn(one_hot)[0])


x, y = encode(frame["letter"]), encode(frame["following"])
model = RNN()
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(50):
    scores = model(x)
    loss = loss_fn(scores.flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(epoch, loss.item(), (scores.argmax(2) == y).float().mean().item())
