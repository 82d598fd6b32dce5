import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

images, _ = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32)

loader = DataLoader(TensorDataset(images), batch_size=64, shuffle=True)
maker = nn.Sequential(
    nn.Linear(16, 128),
    nn.LeakyReLU(0.2),
    nn.Linear(128, 128),
    nn.LeakyReLU(0.2),
    nn.Linear(128, 64),
    nn.Sigmoid(),
)
critic = nn.Sequential(
    nn.Linear(64, 128),
    nn.LeakyReLU(0.2),
    nn.Dropout(0.3),
    nn.Linear(128, 128),
    nn.LeakyReLU(0.2),
    nn.Dropout(0.3),
    nn.Linear(128, 1),
)
critic_optimizer = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
maker_optimizer = torch.optim.Adam(maker.parameters(), lr=2e-4, betas=(0.5, 0.999))
softplus = nn.functional.softplus

for epoch in range(200):
    for (image,) in loader:
        drawn = maker(torch.randn(len(image), 16))
        critic_loss = softplus(-critic(image)).mean() + softplus(critic(drawn.detach())).mean()
        critic_optimizer.zero_grad()
        critic_loss.backward()
        critic_optimizer.step()
        maker_loss = softplus(-critic(drawn)).mean()
        maker_optimizer.zero_grad()
        maker_loss.backward()
        maker_optimizer.step()
    print(epoch, critic_loss.item(), maker_loss.item())
