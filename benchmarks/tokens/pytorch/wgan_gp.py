import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

images, _ = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32)

loader = DataLoader(TensorDataset(images), batch_size=64, shuffle=True)
maker = nn.Sequential(
    nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 64), nn.Sigmoid()
)
critic = nn.Sequential(
    nn.Linear(64, 128), nn.LeakyReLU(0.2), nn.Linear(128, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1)
)
critic_optimizer = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.0, 0.9))
maker_optimizer = torch.optim.Adam(maker.parameters(), lr=1e-4, betas=(0.0, 0.9))
step = 0

for epoch in range(100):
    for (image,) in loader:
        drawn = maker(torch.randn(len(image), 16))
        still = drawn.detach()
        between = still + torch.rand(len(image), 1) * (image - still)
        between.requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        distance = critic(image).mean() - critic(still).mean()
        critic_loss = 10 * (slope.norm(dim=1) - 1).square().mean() - distance
        critic_optimizer.zero_grad()
        critic_loss.backward()
        critic_optimizer.step()
        if step % 5 == 0:
            maker_loss = -critic(drawn).mean()
            maker_optimizer.zero_grad()
            maker_loss.backward()
            maker_optimizer.step()
        step += 1
    print(epoch, distance.item())
