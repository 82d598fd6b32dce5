"""Drive the car of make_data.py with the actions that a run judges best.

python drive.py RUN [TRIES]

Each try starts in the valley, without speed. It prints how many of them come to the top within 200
steps, and after how many steps on average.
"""

import sys

import numpy as np
from make_data import driven, scaled

import specc

MOST = 200

net = specc.open(sys.argv[1], which="last")
tries = int(sys.argv[2]) if len(sys.argv) > 2 else 100
position = np.random.default_rng(1).uniform(-0.6, -0.4, tries)
speed = np.zeros(tries)
steps = np.full(tries, MOST)
is_there = np.zeros(tries, bool)
for step in range(MOST):
    place = scaled(position, speed)
    values = net.forward(place=place)["values"]
    position, speed, at_top = driven(position, speed, values.argmax(1))
    steps[at_top & ~is_there] = step + 1
    is_there |= at_top
print(f"reached {is_there.mean():.2f}")
print(f"steps {steps.mean():.0f}")
