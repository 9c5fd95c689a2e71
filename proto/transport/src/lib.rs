//! The only place that knows sockets: serve, connect, keepalive, back-off, status codes, shutdown.
