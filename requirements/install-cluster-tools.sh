#!/usr/bin/env bash
# Installs on Debian and Ubuntu what `make cluster-up` needs: what check-prerequisites.sh misses and Debian packages
# have, among them a container engine and what makes its base image. Go is left to the person: Debian's is too old.
# What is there stays as it is.
set -euo pipefail

run_as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

has_package() {
  [ -n "$(apt-cache madison "$1")" ]
}

install() { # Debian packages
  local wanted=() package
  run_as_root apt-get update -qq
  for package in "$@"; do
    case $package in
      python3) continue ;; # the release's own may be another version, and its venv's package brings the Python
      python3-venv) if has_package python3.12-venv; then package=python3.12-venv; else package=python3.11-venv; fi ;;
    esac
    if has_package "$package"; then wanted+=("$package")
    else echo "This release has no package $package: install that from elsewhere" >&2; fi
  done
  if [ ${#wanted[@]} -gt 0 ]; then
    echo "Installing Debian packages: ${wanted[*]}"
    run_as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -qq -y --no-install-recommends "${wanted[@]}" >/dev/null
  fi
}

configure_podman() { # file of containers.conf.d, its text
  local file=/etc/containers/containers.conf.d/$1
  run_as_root mkdir -p "${file%/*}"
  printf '%s\n' "$2" | run_as_root tee "$file" >/dev/null
}

missing=$("${0%/*}/check-prerequisites.sh" --cluster --packages)
if [ "$missing" ]; then
  mapfile -t packages <<<"$missing"
  install "${packages[@]}"
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
  command -v runc >/dev/null || install runc
  echo "Having podman use runc instead of crun, which does not work with the control groups of this machine"
  configure_podman user-analytics-runtime.conf $'[engine]\nruntime = "runc"'
fi
