"""Voilà with limits: how many visitors at once, for how long after they have left, under which names, sending how much.

Each visitor has a process, a Jupyter kernel. A few wait in Voilà's pool, so that the page opens at once.
"""

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from jupyter_client.manager import KernelManager
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import HTTPError, RequestHandler, authenticated
from traitlets import Integer, List, Unicode
from voila.app import Voila
from voila.request_info_handler import RequestInfoSocketHandler
from voila.tornado.handler import TornadoVoilaHandler

FULL = Path(__file__).with_name("full.html")
PATIENCE = 3  # seconds that a visitor waits for another to leave: somebody who reloads the page does both
LARGEST_BODY = 2**16  # bytes of a request; uploads come through the WebSocket, which has a limit of its own


class Kernels(AsyncMappingKernelManager):
    """No more processes than `limit`, those that wait included, and none for long that nobody is connected to.

    Voilà makes a subclass of this, which keeps the pool.
    """

    limit = Integer(10, config=True)
    waiting = 0  # starts for which there is no room yet
    # How often nobody was found connected, one time after the other.
    rounds_alone: ClassVar = WeakKeyDictionary[KernelManager, int]()

    async def start_kernel(self, **kwargs: Any) -> str:  # type: ignore[override]
        """Start a kernel as soon as there is room for one."""
        self.waiting += 1
        try:
            while self.count() >= self.limit:
                await asyncio.sleep(0.1)
        finally:
            self.waiting -= 1
        return await super().start_kernel(**kwargs)

    def count(self) -> int:
        """Kernels that run, start or are about to end."""
        return len({*self._kernels, *(key for key, task in self._pending_kernels.items() if not task.done())})

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """End a kernel that nobody has been connected to for a time; called for those outside of the pool.

        The original counts from the last message, and those of a kernel from the pool are old when its visitor comes.
        """
        kernel = self.get_kernel(kernel_id)
        connected = self._kernel_connections.get(kernel_id)
        self.rounds_alone[kernel] = rounds = 0 if connected else self.rounds_alone.get(kernel, 0) + 1
        if rounds * self.cull_interval > self.cull_idle_timeout:
            self.log.info("Ending kernel %s, which nobody is connected to", kernel_id)
            await self.shutdown_kernel(kernel_id, now=True)


class Page(TornadoVoilaHandler):
    """The page, or one that says that there are too many visitors."""

    @authenticated
    async def get(self, path: str = "") -> None:
        # Other sites may let a browser ask for the page, as a picture or a frame, and would fill it with visitors.
        if not self.check_origin() or self.request.headers.get("Sec-Fetch-Dest", "document") != "document":
            raise HTTPError(403)
        if path or await self.wait_for_kernel(self.kernel_manager):
            await super().get(path)
            RequestInfoSocketHandler._cache.clear()  # what this visitor's request was, for notebooks that ask for it
        else:
            self.set_status(503)
            self.set_header("Retry-After", "15")
            self.finish(FULL.read_text())

    async def wait_for_kernel(self, manager: Any) -> bool:
        """Wait for a kernel in the pool, but not long for somebody to leave; False if nobody did.

        The kernel is there until the next `await`.
        """
        pool = manager._pools[self.notebook_path]
        patience = 10 * PATIENCE
        while patience > 0:
            failed = [task for task in pool if task.done() and task.exception()]
            pool[:] = [task for task in pool if task not in failed]
            manager.fill_if_needed(delay=0, notebook_name=self.notebook_path)
            pool.sort(key=lambda task: not task.done())  # of those that wait for a place, any may have got it
            if pool[0].done():
                return True
            if failed or manager.waiting == len(pool):  # else one of them starts, which takes a busy machine longer
                patience -= 1
            await asyncio.sleep(0.1)
        return False

    def should_use_rendered_notebook(self, *arguments: Any) -> bool:
        """Yes, whatever the address asks for: another kernel would wait in vain while the pool has all the room."""
        return True


class Foreign(RequestHandler):
    """Refuses requests under another name: a site could give its own name this machine's address (DNS rebinding)."""

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain")
        self.finish("This page is not served under this name. Whoever serves it can add one: docs/presenting.md.\n")


class Server(Voila):
    """Voilà for one notebook, with the classes above."""

    hostnames = List(Unicode(), help="Names under which the page is served; if empty, all.", config=True)

    def init_handlers(self) -> list:
        """Voilà's routes, with our page, and without the socket that tells a notebook of its visitor's request."""
        routes = [route for route in super().init_handlers() if route[1] is not RequestInfoSocketHandler]
        routes = [(url, Page, *rest) if cls is TornadoVoilaHandler else (url, cls, *rest) for url, cls, *rest in routes]
        if not self.hostnames:
            return routes
        self.app.add_handlers(f"({'|'.join(map(re.escape, self.hostnames))})$", routes)
        return [(".*", Foreign)]

    def listen(self) -> None:
        self.app.listen = partial(self.app.listen, max_body_size=LARGEST_BODY)
        super().listen()
