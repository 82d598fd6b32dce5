"""How entries are divided among shards."""

from __future__ import annotations

import pytest

from specc.backend.contraction.tiling import Part, even_part


@pytest.mark.parametrize("size", [0, 1, 5, 16, 17])
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_parts_follow_each_other_without_gap_or_overlap(size, parts):
    found = [even_part(size, Part(number, parts)) for number in range(parts)]
    assert [each for start, end in found for each in range(start, end)] == list(range(size))
    lengths = [end - start for start, end in found]
    assert max(lengths) - min(lengths) <= 1
