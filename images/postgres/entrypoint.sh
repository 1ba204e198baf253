#!/usr/bin/env bash
# Makes the cluster of databases in $PGDATA when there is none, then becomes what is asked for.
#   POSTGRES_USER            superuser (default: postgres)
#   POSTGRES_PASSWORD_FILE   file with the superuser's password
#   POSTGRES_INITDB_ARGS     further options of initdb
set -euo pipefail

if [ "${1:-}" = postgres ] && [ ! -e "$PGDATA/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD_FILE:?names no file with the password of a new superuser}"
  # Whole or not at all: what a killed one left is begun anew.
  new=$PGDATA.new
  rm -rf "$new"
  read -ra options <<<"${POSTGRES_INITDB_ARGS:-}"
  initdb --pgdata="$new" --username="${POSTGRES_USER:-postgres}" --pwfile="$POSTGRES_PASSWORD_FILE" "${options[@]}"
  sync
  mv --no-target-directory "$new" "$PGDATA"
fi
exec "$@"
