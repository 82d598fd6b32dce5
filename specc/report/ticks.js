"use strict";
// Multiples of 1, 2 or 5 times a power of ten from `low` to `high`, at most `most`, as in specc/plots/ticks.py.
const ticks = (low, high, most) => {
  if (!(high > low)) return [low];
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough * (1 - 1e-9));
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k <= Math.floor(high / step + 1e-9); k++) found.push(k * step);
  return found;
};
