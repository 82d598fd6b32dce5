import keras
import torch
from keras import layers, ops
from sklearn.datasets import load_digits

images, _ = load_digits(return_X_y=True)
images = (images / 16).astype("float32")


class GAN(keras.Model):
    def __init__(self):
        super().__init__()
        self.maker = keras.Sequential(
            [
                layers.Dense(128),
                layers.LeakyReLU(0.2),
                layers.Dense(128),
                layers.LeakyReLU(0.2),
                layers.Dense(64, activation="sigmoid"),
            ]
        )
        self.critic = keras.Sequential(
            [
                layers.Dense(128),
                layers.LeakyReLU(0.2),
                layers.Dropout(0.3),
                layers.Dense(128),
                layers.LeakyReLU(0.2),
                layers.Dropout(0.3),
                layers.Dense(1),
            ]
        )
        self.maker.build((None, 16))
        self.critic.build((None, 64))
        self.built = True

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
        real = ops.softplus(-self.critic(image, training=True))
        fake = ops.softplus(self.critic(drawn.detach(), training=True))
        critic_loss = ops.mean(real) + ops.mean(fake)
        self.update(critic_loss, self.critic, self.critic_optimizer)
        maker_loss = ops.mean(ops.softplus(-self.critic(drawn, training=True)))
        self.update(maker_loss, self.maker, self.maker_optimizer)
        return {"critic_loss": critic_loss, "maker_loss": maker_loss}


model = GAN()
model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), keras.optimizers.Adam(2e-4, beta_1=0.5))
model.fit(images, batch_size=64, epochs=200)
