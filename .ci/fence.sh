#!/usr/bin/env bash
# Keeps traffic for the cluster's Services and pods on this machine, whether or not the cluster is there.
# usage: fence.sh up|down
# Both ranges live inside the node. A packet for one that is not there would leave by the default route; pods and
# forwarded ports do not use the routes set here.
set -euo pipefail

ranges=(10.96.0.0/16 10.244.0.0/16)
case "${1:-}" in
  up)
    for range in "${ranges[@]}"; do ip route replace unreachable "$range"; done
    ;;
  down)
    for range in "${ranges[@]}"; do ip route del unreachable "$range" 2>/dev/null || true; done
    ;;
  *)
    sed -n 's/^# \(usage: .*\)/\1/p' "$0" >&2
    exit 2
    ;;
esac
