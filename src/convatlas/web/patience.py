"""A request has to say what it wants in so many seconds and bytes: uvicorn alone waits and keeps for as long as a client likes."""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SECONDS, BYTES = 10.0, 1 << 16  # of a request's address and headers


class Patient(HttpToolsProtocol):
    """Closes connections whose next headers do not come to an end."""

    timer: TimerHandle | None = None
    coming = True  # headers, not a body
    told = 0  # bytes of headers so far

    def connection_made(self, transport: Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]: as uvicorn's own
        super().connection_made(transport)
        self.wait()

    def wait(self) -> None:
        self.timer = self.timer or self.loop.call_later(SECONDS, self.transport.close)

    def known(self) -> None:
        """There is nothing to wait for: the headers are there, or the client has gone."""
        if self.timer:
            self.timer.cancel()
        self.timer, self.told = None, 0

    def data_received(self, data: bytes) -> None:
        if self.coming:
            self.wait()
            self.told += len(data)
        super().data_received(data)
        if self.told > BYTES:
            self.transport.close()

    def on_headers_complete(self) -> None:
        self.known()
        self.coming = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.coming = True
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.known()
        super().connection_lost(exc)
