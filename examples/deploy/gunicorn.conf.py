"""The settings that gunicorn reads when it is started in this folder."""

import os

wsgi_app = "app:create_app()"
# Only the proxy may reach this port: clients that bypass it can choose the address they count as.
bind = os.environ.get("BIND", "127.0.0.1:8000")

workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
# Threads mostly wait for the mail server and for MongoDB.
threads = 8
# Safe, since each worker connects to MongoDB by itself, after the fork.
preload_app = True

# More than a request may take: OTP_AUTH_SEND_TIMEOUT plus four times OTP_AUTH_DB_TIMEOUT.
timeout = 30
graceful_timeout = 30
# Longer than nginx keeps idle connections, so that it never uses one that is being closed.
keepalive = 75

# Nothing here needs the socket through which a running server can be controlled.
control_socket_disable = True

# The access log contains neither bodies nor tokens.
accesslog = "-"
