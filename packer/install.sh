#!/usr/bin/env bash
# Installs an agent's host: Docker, Nginx, nftables, conntrack, Node 24 and Berth under /opt/berth. Run as root.
# busybox is what `berth host probe` makes its image of; zstd and PostgreSQL's client are what backups are made with.
set -euo pipefail

# Cloud-init may still hold apt's lock, or be about to rewrite the sources.
command -v cloud-init >/dev/null && cloud-init status --wait >/dev/null || true

export DEBIAN_FRONTEND=noninteractive
apt-get update -q -o DPkg::Lock::Timeout=120
apt-get upgrade -y -q -o DPkg::Lock::Timeout=120
apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120 \
  docker.io iptables nginx nftables conntrack iproute2 busybox-static zstd postgresql-client ca-certificates curl

install -d -m 0755 /opt/berth/node/bin /opt/berth/dist /etc/berth
install -m 0755 /tmp/berth/node/bin/node /opt/berth/node/bin/node
install -m 0644 /tmp/berth/dist/* /opt/berth/dist/
install -m 0644 /tmp/berth/systemd/*.service /tmp/berth/systemd/*.mount /etc/systemd/system/
/opt/berth/node/bin/node --version

# The agent starts once user data has made /etc/berth/agent.json of it. A join token comes with user data too, never with
# the image.
install -m 0644 /tmp/berth/systemd/agent.example.json /etc/berth/agent.example.json
if [ -n "${COORDINATOR_URL:-}" ]; then
  sed -i "s|https://berth.example.com|$COORDINATOR_URL|" /etc/berth/agent.example.json
fi

# The distribution's own Nginx would hold port 80; Berth's has a unit of its own.
systemctl disable --now nginx.service
systemctl enable docker.service berth-network.service berth-secrets.service berth-nginx.service berth-agent.service \
  var-lib-berth-agent-nginx-requests.mount
systemctl daemon-reload

# Containers' logs must not fill the disk, and what they listen on is reached through Nginx only.
install -d -m 0755 /etc/docker
cat >/etc/docker/daemon.json <<'JSON'
{
  "log-driver": "json-file",
  "log-opts": { "max-size": "10m", "max-file": "3" },
  "userland-proxy": false
}
JSON

rm -rf /tmp/berth
