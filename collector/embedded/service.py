"""A service that a child process provides, and how it is started: prepared, run, awaited until ready."""

import asyncio
from typing import Final, Protocol

from collector.embedded.child import Child, Program, ending

_POLL_SECONDS: Final = 0.05


class Service(Protocol):
    """Something that a child process provides."""

    @property
    def name(self) -> str:
        """What people and logs call it."""
        ...

    async def prepare(self) -> Program:
        """What to run; makes what is missing first."""
        ...

    async def is_ready(self, child: Child) -> bool:
        """Whether it serves by now. Answers within a few seconds and raises nothing."""
        ...


class NotStarted(Exception):  # noqa: N818 - a state of the world
    """A child ended, or did not get ready in time. `status` is its exit status, if it has one."""

    def __init__(self, service: Service, child: Child, status: int | None) -> None:
        self.status = status
        self.log = child.log
        self.last_lines = child.last_lines()
        self.reason = "not ready in time" if status is None else ending(status)
        super().__init__(f"{service.name}: {self.reason}; see {child.log}")


async def start_service(service: Service, timeout_seconds: float = 300) -> Child:
    """A child that serves. Raises NotStarted when it ends or takes too long; nothing is left running then."""
    child = Child.start(await service.prepare())
    try:
        async with asyncio.timeout(timeout_seconds):
            await until_ready(service, child)
    except BaseException as error:
        await child.stop()
        if isinstance(error, TimeoutError):
            raise NotStarted(service, child, None) from None
        raise
    return child


async def until_ready(service: Service, child: Child) -> None:
    """Return when it is ready. Raises NotStarted when it ends before."""
    while not await service.is_ready(child):
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                status = await child.wait()
        except TimeoutError:
            continue
        raise NotStarted(service, child, status)
