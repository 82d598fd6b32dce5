import torch
from torch import nn

text = open("tinyshakespeare.txt").read()
letters = sorted(set(text))
index = {letter: number for number, letter in enumerate(letters)}
codes = torch.tensor([index[letter] for letter in text])
cut = int(0.9 * len(codes))


def windows(codes, batch=32, time=64):
    count = (len(codes) - 1) // batch // time * time
    inputs = codes[: batch * count].view(batch, count)
    targets = codes[1 : batch * count + 1].view(batch, count)
    return list(zip(inputs.split(time, 1), targets.split(time, 1)))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(letters), 64)
        self.lstm = nn.LSTM(64, 256, num_layers=2, dropout=0.2, batch_first=True)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(256, len(letters))

    def forward(self, x, state=None):
        h, state = self.lstm(self.embed(x), state)
        return self.head(self.drop(h)), state


training, validation = windows(codes[:cut]), windows(codes[cut:])
model = Model()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, 6 * len(training))
loss_fn = nn.CrossEntropyLoss()

for epoch in range(6):
    model.train()
    state = None
    for x, y in training:
        scores, state = model(x, state)
        state = [s.detach() for s in state]
        loss = loss_fn(scores.flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        scheduler.step()
    model.eval()
    state, total = None, 0
    with torch.no_grad():
        for x, y in validation:
            scores, state = model(x, state)
            total += loss_fn(scores.flatten(0, 1), y.flatten()).item()
    print(epoch, total / len(validation))
