#!/usr/bin/env bash
# Installs on Debian and Ubuntu what `make cluster-up` needs beside Python and Java: a container engine, what makes its
# base image, git and Maven. Go is left to the person: Debian's is too old. What is there stays as it is.
set -euo pipefail

run_as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

packages=()
# docker's client alone does not make a container
if ! command -v podman >/dev/null && ! docker info >/dev/null 2>&1; then
  packages+=(podman runc containernetworking-plugins iptables)
fi
command -v debootstrap >/dev/null || packages+=(debootstrap)
command -v git >/dev/null || packages+=(git)
command -v mvn >/dev/null || packages+=(maven)
if [ ${#packages[@]} -gt 0 ]; then
  echo "Installing Debian packages: ${packages[*]}"
  run_as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive run_as_root apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
fi

# kind mounts it into its nodes, and a machine whose kernel has no modules lacks it.
[ -d /lib/modules ] || run_as_root mkdir -p /lib/modules

# podman asks for a million open files for each container. Where it may not have them, no container starts.
limits=/etc/containers/containers.conf.d/user-analytics.conf
hard=$(ulimit -Hn)
if command -v podman >/dev/null && [ "$hard" != unlimited ] && [ "$hard" -lt 1048576 ] && [ ! -e "$limits" ]; then
  echo "Limiting containers to what this machine allows, in $limits"
  run_as_root mkdir -p "${limits%/*}"
  printf '[containers]\ndefault_ulimits = ["nofile=%s:%s", "nproc=32768:32768"]\n' "$hard" "$hard" \
    | run_as_root tee "$limits" >/dev/null
fi
