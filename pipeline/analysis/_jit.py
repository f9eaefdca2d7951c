"""One `njit` for all kernels: numba is imported when the first is called, and compiled code is cached on disk."""

import functools
from collections.abc import Callable
from typing import Any


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """Compile with numba without the interpreter lock, at the first call.

    Importing numba takes a third of a second, and most commands and pages compute nothing. Dividing by zero gives inf
    or NaN as in numpy. Options are numba's, as in `@njit(parallel=True)`.
    """
    if function is None:
        return functools.partial(njit, **options)
    return functools.wraps(function)(_Kernel(function, {"nogil": True, "error_model": "numpy", **options}))


class _Kernel:
    """A function that is compiled when it is first called, with the kernels of its module that it calls."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self._function, self._options = function, options

    def __call__(self, *arguments: Any) -> Any:
        return self.compiled(*arguments)

    @functools.cached_property
    def compiled(self) -> Callable[..., Any]:
        """Numba's function.

        numba refuses to define a cached function when neither ``__pycache__`` nor the user's cache folder can be
        written (a read-only installation run by a service without a home); such a process compiles again instead.
        """
        import numba

        compiled: Callable[..., Any]
        try:
            compiled = numba.njit(cache=True, **self._options)(self._function)
        except RuntimeError:
            compiled = numba.njit(**self._options)(self._function)
        names = self._function.__globals__
        for name in self._function.__code__.co_names:
            if isinstance(called := names.get(name), _Kernel):
                names[name] = compiled if called is self else called.compiled  # numba calls only what it compiled
        return compiled
