#!/usr/bin/env bash
# Installs on Debian and Ubuntu what `make cluster-up` needs: what check-prerequisites.sh misses and Debian packages
# have, among them a container engine and what makes its base image. Go is left to the person: Debian's is too old.
# What is there stays as it is.
set -euo pipefail

run_as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

configure_podman() { # file of containers.conf.d, its text
  local file=/etc/containers/containers.conf.d/$1
  run_as_root mkdir -p "${file%/*}"
  printf '%s\n' "$2" | run_as_root tee "$file" >/dev/null
}

here=${0%/*}
missing=$("$here/check-prerequisites.sh" --cluster --packages)
if [ "$missing" ]; then
  mapfile -t packages <<<"$missing"
  "$here/install-debian-packages.sh" "${packages[@]}"
fi

# kind mounts it into its nodes, and a machine whose kernel has no modules lacks it.
[ -d /lib/modules ] || run_as_root mkdir -p /lib/modules

command -v podman >/dev/null || exit 0

# podman asks for a million open files for each container. Where it may not have them, no container starts.
limits=user-analytics.conf
hard=$(ulimit -Hn)
if [ "$hard" != unlimited ] && [ "$hard" -lt 1048576 ] && [ ! -e "/etc/containers/containers.conf.d/$limits" ]; then
  echo "Limiting podman's containers to what this machine allows"
  configure_podman "$limits" $'[containers]\ndefault_ulimits = ["nofile='"$hard:$hard"'", "nproc=32768:32768"]'
fi

# crun, which podman prefers where it is installed, refuses control groups of versions 1 and 2 side by side.
if [ "$(stat -fc %T /sys/fs/cgroup/unified 2>/dev/null)" = cgroup2fs ] \
  && [ "$(podman info --format '{{.Host.OCIRuntime.Name}}')" = crun ]; then
  command -v runc >/dev/null || "$here/install-debian-packages.sh" runc
  echo "Having podman use runc instead of crun, which does not work with the control groups of this machine"
  configure_podman user-analytics-runtime.conf $'[engine]\nruntime = "runc"'
fi
