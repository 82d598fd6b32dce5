import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(
    images.reshape(-1, 8, 8, 1) / 16, labels, train_size=0.8
)


class Positions(layers.Layer):
    def build(self, shape):
        self.weight = self.add_weight(
            shape=shape[1:], initializer=keras.initializers.RandomNormal(stddev=0.02)
        )

    def call(self, x):
        return x + self.weight


def transformer(x, heads, hidden, dropout=0.0, causal=False):
    width = x.shape[-1]
    h = layers.LayerNormalization()(x)
    h = layers.MultiHeadAttention(heads, width // heads, dropout=dropout)(
        h, h, use_causal_mask=causal
    )
    x = layers.Add()([x, layers.Dropout(dropout)(h)])
    h = layers.LayerNormalization()(x)
    h = layers.Dense(width)(layers.Dense(hidden, activation="gelu")(h))
    return layers.Add()([x, layers.Dropout(dropout)(h)])


image = keras.Input((8, 8, 1))
h = layers.Reshape((16, 64))(layers.Conv2D(64, 2, strides=2)(image))
h = Positions()(h)
for _ in range(2):
    h = transformer(h, 4, 128, 0.1)
h = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(h))
model = keras.Model(image, layers.Dense(10)(h))

rate = keras.optimizers.schedules.CosineDecay(0.003, 60 * len(train_x) // 32)
model.compile(
    keras.optimizers.AdamW(rate),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=32, epochs=60, validation_data=(val_x, val_y))
