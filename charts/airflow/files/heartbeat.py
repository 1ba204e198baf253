"""Whether this pod's component told the database lately that it is alive; as a probe. Arguments: its job, seconds."""

import os
import socket
import sys

import psycopg2

job, seconds = sys.argv[1:]
# As airflow.utils.net.get_host_ip_address, by which the component calls itself.
host = socket.gethostbyname(socket.getfqdn())
address = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2://", "postgresql://")
connection = psycopg2.connect(address, connect_timeout=5)
with connection, connection.cursor() as cursor:
    cursor.execute(
        "select count(*) from job where job_type = %s and hostname = %s and state = 'running'"
        " and latest_heartbeat > now() - %s * interval '1 second'",
        (job, host, int(seconds)),
    )
    (alive,) = cursor.fetchone()
if not alive:
    sys.exit(f"no heartbeat of a {job} of {host} for {seconds} seconds")
