# The command `neurojoint` for a lab server; runs as a user without rights.
FROM python:3.12-slim AS base

# The owner of the data folder on the host: docker compose build --build-arg UID=$(id -u)
ARG UID=1000
RUN useradd --create-home --uid ${UID} neurojoint

WORKDIR /opt/neurojoint
COPY setup.py pyproject.toml README.md LICENSE ./
COPY neurojoint neurojoint
COPY pipeline pipeline
COPY ingest ingest
COPY one_bridge one_bridge
COPY exchange exchange
COPY dashboard dashboard
COPY compression compression
RUN pip install --no-cache-dir .

RUN install -d -o neurojoint -m 700 /home/neurojoint/.neurojoint

# A JupyterHub, which starts a server for each person as an account of its own (docs/hub.md): as root, in a container.
FROM base AS hub
RUN apt-get update && apt-get install --no-install-recommends --yes nodejs npm \
    && npm install --global configurable-http-proxy && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir '.[hub,notebook]'
COPY docs/jupyterhub_config.py /etc/jupyterhub/jupyterhub_config.py
ENV NEUROJOINT_HOME=/srv/neurojoint
WORKDIR /srv/jupyterhub
CMD ["jupyterhub", "-f", "/etc/jupyterhub/jupyterhub_config.py"]

FROM base AS program
USER neurojoint
WORKDIR /home/neurojoint
ENV NEUROJOINT_HOME=/home/neurojoint/.neurojoint
CMD ["neurojoint", "--help"]
