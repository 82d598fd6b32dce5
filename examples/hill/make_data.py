"""Write random steps of a car between two hills: steps.npz with place, action, next_ and done.

python make_data.py [FOLDER] [COUNT]      # by default beside this file, 20,000 steps

The car's engine is too weak for the right hill: it has to swing (Moore, Efficient memory-based
learning for robot control, 1990, with the constants of Sutton and Barto, 1998). Each step starts
anywhere. A place is position and speed, each scaled to -1 to 1.
"""

import sys
from pathlib import Path

import numpy as np

LEFT, RIGHT, TOP, FASTEST = -1.2, 0.6, 0.5, 0.07


def scaled(position: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """Return places as the model sees them, [n, 2]."""
    middle, half = (LEFT + RIGHT) / 2, (RIGHT - LEFT) / 2
    return np.stack([(position - middle) / half, speed / FASTEST], axis=-1).astype("float32")


def driven(position: np.ndarray, speed: np.ndarray, action: np.ndarray) -> tuple:
    """Return position and speed a step later, and whether the car is at the top."""
    speed = speed + 0.001 * (action - 1) - 0.0025 * np.cos(3 * position)
    speed = np.clip(speed, -FASTEST, FASTEST)
    position = position + speed
    speed = np.where((position < LEFT) & (speed < 0), 0.0, speed)
    position = np.clip(position, LEFT, RIGHT)
    return position, speed, position >= TOP


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    rng = np.random.default_rng(0)
    position = rng.uniform(LEFT, TOP, count)
    speed = rng.uniform(-FASTEST, FASTEST, count)
    action = rng.integers(0, 3, count)
    after, faster, done = driven(position, speed, action)
    np.savez(
        folder / "steps.npz",
        place=scaled(position, speed),
        action=action,
        next_=scaled(after, faster),
        done=done,
    )
