"""How connections to the metadata database notice that its server is gone, whose pod answers no more."""

# libpq: without them a connection waits for a quarter of an hour
SYNC = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# asyncpg
ASYNC = {"timeout": 10, "command_timeout": 30}
