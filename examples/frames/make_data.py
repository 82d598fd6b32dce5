"""Write videos.npz and videos_val.npz: short videos of a square that moves, and how it moved.

python make_data.py [FOLDER]      # by default beside this file; the same ones each time

`video` is [n, 8 frames, 1, 10, 10] in grey, 0 to 255: a bright square of 2 x 2 on a noisy ground.
Before each frame but the first the square moves by one place or stays; `motion` [n, 8] is 0 where
it stayed (and in the first frame), 1 left, 2 right, 3 up, 4 down.
"""

import sys
from pathlib import Path

import numpy as np

FRAMES, SIZE, SQUARE = 8, 10, 2
MOVES = np.array([(0, 0), (0, -1), (0, 1), (-1, 0), (1, 0)])  # rows, columns
PARTS = {"videos.npz": 4000, "videos_val.npz": 1000}


def video(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The frames of one video, and the motion that led to each."""
    frames = rng.uniform(0, 80, (FRAMES, 1, SIZE, SIZE))
    motion = np.zeros(FRAMES, int)
    place = rng.integers(0, SIZE - SQUARE + 1, 2)
    brightness = rng.uniform(150, 255)
    for t in range(FRAMES):
        if t:
            # goes on as before, or turns; never out of the picture
            wanted = [motion[t - 1]] if rng.random() < 0.5 else []
            for move in [*wanted, *rng.permutation(len(MOVES))]:
                there = place + MOVES[move]
                if (there >= 0).all() and (there <= SIZE - SQUARE).all():
                    break
            motion[t], place = move, there
        row, column = place
        frames[t, 0, row : row + SQUARE, column : column + SQUARE] = brightness
    return frames.astype(np.uint8), motion


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    rng = np.random.default_rng(0)
    for name, count in PARTS.items():
        videos, motions = zip(*(video(rng) for _ in range(count)), strict=True)
        np.savez_compressed(folder / name, video=np.stack(videos), motion=np.stack(motions))
