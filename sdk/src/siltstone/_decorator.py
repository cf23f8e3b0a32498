"""`@siltstone.recorded`: each call of a function is a run, or a node of the run that it is called in."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast, overload

from siltstone._handles import Node, Run, current_run, run

P = ParamSpec("P")
R = TypeVar("R")


@overload
def recorded(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def recorded(*, name: str | None = None, **started: Any) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def recorded(function: Callable[..., Any] | None = None, /, *, name: str | None = None, **started: Any) -> Any:
    """Record each call of a function, sync or async; started are fields of `run.started`, whose kind is `function`.

    Arguments and results are not recorded: they may hold anything. Raises TypeError for a generator, whose call ends
    before its work begins.
    """

    def decorate(decorated: Callable[P, R]) -> Callable[P, R]:
        called = name or str(getattr(decorated, "__qualname__", type(decorated).__name__))
        if inspect.isgeneratorfunction(decorated) or inspect.isasyncgenfunction(decorated):
            raise TypeError(
                f"{called} is a generator: its work is not done when a call of it ends; use siltstone.run in it"
            )

        def scope() -> Run | Node:
            outer = current_run()
            return outer.node(called) if outer else run(**{"kind": "function", "external_ref": called[:640], **started})

        if inspect.iscoroutinefunction(decorated):

            @functools.wraps(decorated)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with scope():
                    return await decorated(*args, **kwargs)

            return cast("Callable[P, R]", awaited)

        @functools.wraps(decorated)
        def plain(*args: P.args, **kwargs: P.kwargs) -> R:
            with scope():
                return decorated(*args, **kwargs)

        return plain

    return decorate if function is None else decorate(function)
