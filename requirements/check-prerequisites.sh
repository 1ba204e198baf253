#!/usr/bin/env bash
# Checks what this machine must have, and lists all that is missing or of a wrong version at once.
# usage: check-prerequisites.sh [--run | --tests | --cluster]    (default --run; also what only the tests, or the
# cluster, need)
# Prints the Python to use on stdout; problems go to stderr with exit code 1.
# With a second argument, --packages, it prints instead the Debian packages that would mend them; with --installed, what
# is left when they have been installed, it names no command.
set -euo pipefail

missing=() packages=() except=

problem() { # what, Debian packages if they have it
  missing+=("$1")
  packages+=("${@:2}")
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.12 python3.11 python3}; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
}

python=$(find_python)
[ -n "$python" ] || problem "Python 3.11 or 3.12 with venv${PYTHON:+ (PYTHON=$PYTHON is not one)}" python3 python3-venv

# Spark 3.5 with Hadoop 3.3 runs on Java 17 and breaks on newer ones.
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
if ! version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'); then version=; fi
if [ -z "$version" ]; then
  problem "Java 17${JAVA_HOME:+ (JAVA_HOME=$JAVA_HOME has none: unset it, or set it to a Java 17)}" openjdk-17-jre-headless
elif [ "$version" != 17 ]; then
  problem "Java 17 ($java is Java $version; set JAVA_HOME to a Java 17)" openjdk-17-jre-headless
fi

command -v mvn >/dev/null || problem "Maven (fetches the BigQuery connector)" maven

if [ "${1:-}" = --tests ] || [ "${1:-}" = --cluster ]; then
  # From 1.21 on, Go fetches by itself the newer version that a module asks for.
  if ! version=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p'); then version=; fi
  if [ "${version:-0}" -lt 21 ]; then
    problem "Go 1.21 or later, from https://go.dev/dl (builds MinIO and what else is written in Go)"
    except=" (all but Go)"
  fi
  command -v git >/dev/null || problem "git" git
fi

if [ "${1:-}" = --cluster ]; then
  # docker's client alone does not make a container
  if ! command -v podman >/dev/null && ! docker info >/dev/null 2>&1; then
    problem "podman, or docker with its engine running" podman runc containernetworking-plugins iptables
  fi
  if [ -z "${BASE_IMAGE:-}" ] && ! command -v debootstrap >/dev/null; then
    problem "debootstrap (makes the images' base; or BASE_IMAGE=debian:bookworm-slim where a registry can be reached)" debootstrap
  fi
  [ -d /lib/modules ] || problem "the folder /lib/modules, which kind mounts (\`make cluster-tools\` makes it)"
fi

if [ "${2:-}" = --packages ]; then
  [ ${#packages[@]} = 0 ] || printf '%s\n' "${packages[@]}"
  exit
fi
if [ ${#missing[@]} -gt 0 ]; then
  {
    echo "This machine lacks:"
    printf '  - %s\n' "${missing[@]}"
    if [ ${#packages[@]} = 0 ] || [ "${2:-}" = --installed ]; then :
    elif [ "${1:-}" = --cluster ]; then echo "On Debian or Ubuntu: make cluster-tools$except"
    else echo "On Debian or Ubuntu: sudo apt-get install ${packages[*]}"; fi
  } >&2
  exit 1
fi
echo "$python"
