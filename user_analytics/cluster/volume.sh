#!/usr/bin/env bash
# What `make backup` and `make restore` have done to volumes, which are folders of the node, inside the node.
# FOLDER.new is to take FOLDER's place; FOLDER.old had it before, and is called FOLDER.gone once it is to be deleted.
#   send FOLDER       the folder as a tar archive on stdout; the archive's SHA-256 is the last line of stderr
#   receive FOLDER    FOLDER.new from a tar archive on stdin; the archive's SHA-256 is the last line of stderr
#   place FOLDER…     each FOLDER.new takes its folder's place, all or, once `settle` has looked at them, none
#   undo FOLDER…      each folder that was replaced gets its place back, unless `settle` has begun to delete them
#   settle FOLDER…    brings whatever was interrupted to an end and leaves the folders alone
#   state FOLDER…     what there is to settle, in a word: `nothing`; `old`, or received ones, to delete; `placed`, which
#                     can be undone or settled; `torn`, where some folders may have been replaced and others not
#   look FOLDER…      the state without a wait: `busy` while one of the others is at work on them
# The servers are stopped meanwhile, but for `state` and `look`, and for `settle` of what is not torn.
set -euo pipefail
LOCK_SECONDS=600

digested() { # passes stdin on to a command, and says the SHA-256 of what passed
  local directory sum
  directory=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$directory'" EXIT
  mkfifo "$directory/copy"
  sha256sum <"$directory/copy" >"$directory/sum" &
  sum=$!
  tee "$directory/copy" | "$@"
  wait "$sum"
  cut -d ' ' -f 1 "$directory/sum" >&2
}

send() {
  tar --create --format posix --sort name --numeric-owner --directory "$1" . | digested cat
}

receive() {
  rm -rf "$1.new"
  mkdir "$1.new"
  digested tar --extract --numeric-owner --same-owner --preserve-permissions --directory "$1.new"
  sync --file-system "$1.new"
}

place() {
  local folder
  for folder; do
    [ -d "$folder.new" ] || { echo "$folder.new is missing: nothing was replaced" >&2 && exit 1; }
  done
  for folder; do
    mv --no-target-directory "$folder" "$folder.old"
    mv --no-target-directory "$folder.new" "$folder"
  done
  sync --file-system "$1"
}

any() { # whether one of the folders has that ending
  local folder ending=$1
  for folder in "${@:2}"; do
    [ ! -e "$folder$ending" ] || return 0
  done
  return 1
}

all() { # whether each of the folders has that ending
  local folder ending=$1
  for folder in "${@:2}"; do
    [ -e "$folder$ending" ] || return 1
  done
}

state() {
  if ! all '' "$@" || { any .new "$@" && any .old "$@"; }; then
    echo torn
  elif all .old "$@"; then
    echo placed
  elif any .new "$@" || any .old "$@" || any .gone "$@"; then
    echo old
  else
    echo nothing
  fi
}

look() {
  exec 9<"$(dirname "$1")"
  # shared: two that look are not in each other's way
  if flock --shared --nonblock 9; then state "$@"; else echo busy; fi
}

undo() {
  local folder
  any .new "$@" || all .old "$@" || return 0
  for folder; do
    [ -e "$folder.old" ] || continue
    if [ -e "$folder.new" ]; then
      rm -rf "$folder" # not what was restored: something else made it
    else
      mv --no-target-directory "$folder" "$folder.new"
    fi
    mv --no-target-directory "$folder.old" "$folder"
  done
}

settle() {
  local folder
  if any .new "$@"; then # one that has not got its place yet: then none has
    undo "$@"
  fi
  for folder; do
    # the only copy there is has never been replaced
    [ -e "$folder" ] || [ ! -e "$folder.old" ] || mv --no-target-directory "$folder.old" "$folder"
    rm -rf "$folder.new" "$folder.gone"
    # what is deleted in part must not get its place back
    [ ! -e "$folder.old" ] || mv --no-target-directory "$folder.old" "$folder.gone"
    rm -rf "$folder.gone"
  done
}

case $1 in
  send | look) "$@" ;;
  receive | place | undo | settle | state)
    # whoever began one may be killed while it goes on here
    exec 9<"$(dirname "$2")"
    flock --timeout "$LOCK_SECONDS" 9 || {
      echo "the node is still at work on the volumes after $LOCK_SECONDS s: try again once it has ended" >&2
      exit 1
    }
    "$@"
    ;;
  *)
    echo "$1 is none of send, receive, place, undo, settle, state, look" >&2
    exit 2
    ;;
esac
