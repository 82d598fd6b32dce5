from collections import Counter

import keras
import pandas as pd
from keras import layers
from sklearn.model_selection import train_test_split

frame = pd.read_csv("reviews.csv")
texts = frame["words"].str.split()
counts = Counter(word for text in texts for word in text)
index = {word: number for number, (word, _) in enumerate(counts.most_common(9998), start=2)}
words = keras.utils.pad_sequences(
    [[index.get(word, 1) for word in text] for text in texts], padding="post"
)
labels = pd.factorize(frame["label"], sort=True)[0]
train_x, val_x, train_y, val_y = train_test_split(words, labels, train_size=0.9)
model = keras.Sequential(
    [
        layers.Embedding(10000, 32, mask_zero=True),
        layers.Dropout(0.5),
        layers.GlobalAveragePooling1D(),
        layers.Dropout(0.5),
        layers.Dense(2),
    ]
)
model.compile(
    keras.optimizers.Adam(0.004),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=32, epochs=12, validation_data=(val_x, val_y))
