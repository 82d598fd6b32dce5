import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

text = open("tinyshakespeare.txt").read()
letters = sorted(set(text))
index = {letter: number for number, letter in enumerate(letters)}
codes = torch.tensor([index[letter] for letter in text])
cut = int(0.9 * len(codes))


def windows(codes, time=64):
    count = (len(codes) - 1) // time * time
    return TensorDataset(codes[:count].view(-1, time), codes[1 : count + 1].view(-1, time))


class GPT(nn.Module):
    def __init__(self, width=128, time=64):
        super().__init__()
        self.embed = nn.Embedding(len(letters), width)
        self.positions = nn.Parameter(0.02 * torch.randn(time, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, 4 * width, 0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(
            layer, 4, nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.head = nn.Linear(width, len(letters))

        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(time))

    def forward(self, x):
        h = self.blocks(self.embed(x) + self.positions, mask=self.mask, is_causal=True)
        return self.head(h)


training = DataLoader(windows(codes[:cut]), batch_size=12, shuffle=True)
validation = DataLoader(windows(codes[cut:]), batch_size=12)
steps = 2 * len(training)
model = GPT()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.002)
scheduler = torch.optim.lr_scheduler.LambdaLR(
    optimizer, lambda step: min(1, (step + 1) / 100) * (1 - step / steps)
)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(2):
    model.train()
    for x, y in training:
        loss = loss_fn(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    model.eval()
    with torch.no_grad():
        losses = [loss_fn(model(x).flatten(0, 1), y.flatten()).item() for x, y in validation]
    print(epoch, sum(losses) / len(losses))
