"""Read by the suite's Python at its start, whatever its version, when this folder is on PYTHONPATH.

Two things make the suite's own servers usable behind a gateway: they refuse a Host whose port is not theirs, and a
gateway rightly passes on the one that the client named; and they listen on every address, where loopback is meant.
Nothing of the suite is changed on disk. Without autobahn or twisted this file does nothing.
"""


def _any_port(factory_class):
    settle = factory_class.setSessionParameters

    def settle_without_port(self, *arguments, **named):
        settle(self, *arguments, **named)
        self.externalPort = None

    factory_class.setSessionParameters = settle_without_port


def _loopback_only(port_class):
    begin = port_class.__init__

    def begin_on_loopback(self, port, factory, backlog=50, interface="", reactor=None):
        begin(self, port, factory, backlog, interface or "127.0.0.1", reactor)

    port_class.__init__ = begin_on_loopback


try:
    from autobahn.websocket.protocol import WebSocketServerFactory
    from twisted.internet.tcp import Port
except ImportError:
    pass
else:
    _any_port(WebSocketServerFactory)
    _loopback_only(Port)
