"""What gunicorn reads when it is started in this folder."""

import os

wsgi_app = "app:create_app()"
# Only the proxy may reach this port: who can ask past it chooses the address to be counted by.
bind = os.environ.get("BIND", "127.0.0.1:8000")

workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
# A thread waits for the mail server and for MongoDB; the processor does little.
threads = 8
# The connection to MongoDB is made in each worker, after the fork.
preload_app = True

# More than a request may take: OTP_AUTH_SEND_TIMEOUT, and a few times OTP_AUTH_DB_TIMEOUT.
timeout = 30
graceful_timeout = 30
# Longer than nginx keeps an idle connection, so that it never writes into one that is closing.
keepalive = 75

# Nobody has to steer a running server through a socket.
control_socket_disable = True

# Neither bodies nor tokens are in it.
accesslog = "-"
