#!/usr/bin/env bash
# Installs Debian packages, after saying which; none when none is named.
# usage: install-debian-packages.sh [PACKAGE…]
# One that the release does not have is said, and the others are installed.
set -euo pipefail

run_as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

has_package() {
  [ -n "$(apt-cache madison "$1")" ]
}

[ $# -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null; then
  echo "This machine has no apt-get. Install these of Debian by its own means: $*" >&2
  exit 1
fi
run_as_root apt-get update -qq
wanted=()
for package in "$@"; do
  case $package in
    python3) continue ;; # the release's own may be another version, and its venv's package brings the Python
    python3-venv) if has_package python3.12-venv; then package=python3.12-venv; else package=python3.11-venv; fi ;;
  esac
  if has_package "$package"; then wanted+=("$package")
  else echo "This release has no package $package: install that from elsewhere" >&2; fi
done
[ ${#wanted[@]} -gt 0 ] || exit 0
echo "Installing Debian packages: ${wanted[*]}"
run_as_root env DEBIAN_FRONTEND=noninteractive \
  apt-get install -qq -y --no-install-recommends "${wanted[@]}" >/dev/null
