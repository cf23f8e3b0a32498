"""Health and metrics over HTTP."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from workers.failure import Stop
from workers.health import Health
from workers.metrics import Metrics

EVERY_INTERFACE = "0.0.0.0"  # noqa: S104 - probes come from outside the container


class HttpServer:
    """`/health/live`, `/health/ready` and `/metrics`, on all interfaces: probes come from outside the container."""

    def __init__(self, health: Health, metrics: Metrics, port: int) -> None:
        self._health = health
        self._metrics = metrics
        self._port = port
        app = web.Application()
        app.router.add_get("/health/live", self._live)
        app.router.add_get("/health/ready", self._ready)
        app.router.add_get("/metrics", self._scrape)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def start(self) -> int:
        """Listen; the port (a free one when the setting is 0). Raises Stop when somebody else has it."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, EVERY_INTERFACE, self._port).start()
        except OSError as error:
            message = f"port {self._port} cannot be listened on ({error.strerror}); set SILTSTONE_HTTP_PORT"
            raise Stop(message) from error
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _live(self, _request: web.Request) -> web.Response:
        return _answer(await self._health.problems())

    async def _ready(self, _request: web.Request) -> web.Response:
        return _answer(self._health.unready())

    async def _scrape(self, _request: web.Request) -> web.Response:
        await self._health.refresh()
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(faults: list[str]) -> web.Response:
    return web.json_response({"ok": not faults, "because": faults}, status=503 if faults else 200)
