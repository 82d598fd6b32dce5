"""Values that an object computes when they are first asked for.

Python 3.11's own `cached_property` holds a lock of the class while it computes. A child that is
forked at that moment, while another thread compiles, would wait for the lock for ever; from Python
3.12 on, two threads may each keep a value of their own.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    cached_property = functools.cached_property
else:

    class cached_property(functools.cached_property):
        """A property that is computed once, without a lock.

        Threads that ask at the same time may compute it side by side; all get the same object.
        """

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            known = instance.__dict__
            if self.attrname in known:
                return known[self.attrname]
            return known.setdefault(self.attrname, self.func(instance))
