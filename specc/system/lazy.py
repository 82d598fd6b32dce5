"""Properties that are computed at their first use.

The `cached_property` of Python 3.11 holds a lock of the class during the computation. A child that
is forked at that moment would wait for the lock for ever. From Python 3.12 on, two threads may
get different objects.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    cached_property = functools.cached_property
else:

    class cached_property(functools.cached_property):
        """A property that is computed once, without a lock.

        Several threads may compute it at the same time; all get the same object.
        """

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            known = instance.__dict__
            if self.attrname in known:
                return known[self.attrname]
            return known.setdefault(self.attrname, self.func(instance))
