import keras
import torch
from keras import layers, ops
from sklearn.datasets import load_digits

images, _ = load_digits(return_X_y=True)
images = (images / 16).astype("float32")


class WGAN(keras.Model):
    def __init__(self):
        super().__init__()
        self.maker = keras.Sequential(
            [
                layers.Dense(128, activation="relu"),
                layers.Dense(128, activation="relu"),
                layers.Dense(64, activation="sigmoid"),
            ]
        )
        self.critic = keras.Sequential(
            [
                layers.Dense(128),
                layers.LeakyReLU(0.2),
                layers.Dense(128),
                layers.LeakyReLU(0.2),
                layers.Dense(1),
            ]
        )
        self.maker.build((None, 16))
        self.critic.build((None, 64))
        self.built = True
        self.steps = 0

    def compile(self, critic_optimizer, maker_optimizer):
        super().compile()
        self.critic_optimizer = critic_optimizer
        self.maker_optimizer = maker_optimizer

    def update(self, loss, network, optimizer):
        self.zero_grad()
        loss.backward()
        gradients = [weight.value.grad for weight in network.trainable_weights]
        with torch.no_grad():
            optimizer.apply(gradients, network.trainable_weights)

    def train_step(self, image):
        drawn = self.maker(keras.random.normal((len(image), 16)))
        still = drawn.detach()
        between = still + keras.random.uniform((len(image), 1)) * (image - still)
        between.requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        distance = ops.mean(self.critic(image)) - ops.mean(self.critic(still))
        critic_loss = 10 * ops.mean((ops.norm(slope, axis=1) - 1) ** 2) - distance
        self.update(critic_loss, self.critic, self.critic_optimizer)
        if self.steps % 5 == 0:
            self.update(-ops.mean(self.critic(drawn)), self.maker, self.maker_optimizer)
        self.steps += 1
        return {"distance": distance}


model = WGAN()
model.compile(
    keras.optimizers.Adam(1e-4, beta_1=0, beta_2=0.9),
    keras.optimizers.Adam(1e-4, beta_1=0, beta_2=0.9),
)
model.fit(images, batch_size=64, epochs=100)
