"""What numba kernels here are made with: the decorator, unaligned 64-bit access, and a choice that never branches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """Compile with `nogil=True` and keep the machine code on disk.

    Numba keeps it beside the source, or in the user's cache folder when the place of installation is read-only; when
    neither can be written the function is compiled again in each process.
    """
    if function is None:
        return functools.partial(kernel, **options)
    options = {"nogil": True, "boundscheck": False, **options}
    compiled: Callable[..., Any]
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        compiled = numba.njit(**options)(function)
    return compiled


@intrinsic
def load64(typing_context, array, index):
    """The 64 bits that begin at `array[index]`, whatever their alignment; `index` is a uint64."""

    def generate(context, builder, signature, arguments):
        return _at(context, builder, signature, arguments, lambda pointer: builder.load(pointer, align=1))

    return types.uint64(array, types.uint64), generate


@intrinsic
def store64(typing_context, array, index, value):
    """Write 64 bits from `array[index]` on, whatever their alignment; `index` and `value` are uint64."""

    def generate(context, builder, signature, arguments):
        _at(context, builder, signature, arguments, lambda pointer: builder.store(arguments[2], pointer, align=1))
        return context.get_dummy_value()

    return types.void(array, types.uint64, types.uint64), generate


@intrinsic
def pick(typing_context, condition, yes, no):
    """`yes if condition else no` for values of one type, told to the compiler as unpredictable.

    LLVM otherwise turns such choices into jumps, which a processor cannot guess where the data are noise: the kernels
    that use this are twice as fast with it.
    """
    if yes != no:
        return None

    def generate(context, builder, signature, arguments):
        chosen = builder.select(*arguments)
        chosen.set_metadata("unpredictable", builder.module.add_metadata([]))
        return chosen

    return yes(types.boolean, yes, no), generate


def _at(context: Any, builder: Any, signature: Any, arguments: Any, act: Callable[[Any], Any]) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    pointer = builder.gep(array.data, [arguments[1]])
    return act(builder.bitcast(pointer, ir.IntType(64).as_pointer()))
