# The command `neurojoint` for a lab server; runs as a user without rights.
FROM python:3.12-slim

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
COPY exchange exchange
COPY compression compression
RUN pip install --no-cache-dir .

RUN install -d -o neurojoint -m 700 /home/neurojoint/.neurojoint

USER neurojoint
WORKDIR /home/neurojoint
ENV NEUROJOINT_HOME=/home/neurojoint/.neurojoint
CMD ["neurojoint", "--help"]
