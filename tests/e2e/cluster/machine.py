"""What is on the machine that a cluster there may leave behind, as the engine and the kernel tell it.

`python -m tests.e2e.cluster.machine` prints it, one thing a line. With a file that holds what this printed before there
was a cluster it prints what is left of that cluster, and ends with 1 if anything is.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from user_analytics.cluster.engine import engine, run

CLEAN_UP_SECONDS = 60
# CNI's own, not ours: made with the first container that needs them, shared by all, and never removed.
SHARED_MOUNTS = {"/run/netns"}
SHARED_CHAIN = r"CNI-(?:ADMIN|FORWARD|HOSTPORT-(?:DNAT|MASQ|SETMARK))"
SHARED_RULE = re.compile(
    rf":{SHARED_CHAIN} -"
    rf"|-A (?:FORWARD|CNI-FORWARD) -j {SHARED_CHAIN}"
    rf"|-A (?:PREROUTING|OUTPUT) -m addrtype --dst-type LOCAL -j {SHARED_CHAIN}"
    rf"|-A POSTROUTING -j {SHARED_CHAIN}"
    rf"|-A {SHARED_CHAIN} (?:-m mark --mark \S+ )?-j (?:MASQUERADE|MARK --set-xmark \S+)"
)
EMPTY_TABLE = re.compile(r":[A-Z]+ ACCEPT")
COMMENT = re.compile(r' -m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+)')
COUNTERS = re.compile(r" \[\d+:\d+\]")


def can_tell() -> bool:
    """Whether `there_is` can be asked here: its programs are there, and podman's networks are CNI's."""
    programs = all(shutil.which(name) for name in ("ip", "iptables-save", "ip6tables-save"))
    backend = "{{.Host.NetworkBackend}}"
    return programs and engine() == "podman" and run("info", "--format", backend).stdout.strip() == "cni"


def left_of(brought: set[str]) -> set[str]:
    """What is still there of it, once what podman clears up by itself has had time to go."""
    deadline = time.monotonic() + CLEAN_UP_SECONDS
    while (left := there_is() & brought) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


def there_is() -> set[str]:
    """Containers, volumes, networks, interfaces, mounts, routes and packet filter rules: what it is, and its name."""
    listed = {
        # also those of builds
        "container": run("ps", "--all", "--external", "--format", "{{.Names}}").stdout.splitlines(),
        "volume": run("volume", "ls", "--quiet").stdout.splitlines(),
        "network": run("network", "ls", "--format", "{{.Name}}").stdout.splitlines(),
        "interface": [each.name for each in Path("/sys/class/net").iterdir()],
        "mount": _mounts(),
        "route": [line.strip() for line in _said("ip", "route").splitlines()],
        # without root's rights neither the engine nor this can have any
        "rule": [*_rules("iptables-save"), *_rules("ip6tables-save")] if os.geteuid() == 0 else [],
    }
    return {f"{kind} {name}" for kind, names in listed.items() for name in names}


def _mounts() -> set[str]:
    return {line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()} - SHARED_MOUNTS


def _rules(command: str) -> Iterator[str]:
    """Chains and rules, each with its table, without counters and comments."""
    table = ""
    for line in _said(command).splitlines():
        if line.startswith("*"):
            table = line
        rule = COUNTERS.sub("", COMMENT.sub("", line))
        if rule.startswith((":", "-A")) and not (SHARED_RULE.fullmatch(rule) or EMPTY_TABLE.fullmatch(rule)):
            yield f"{command}{table} {rule}"


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main(arguments: Sequence[str]) -> int:
    """Print what there is, or what is left of what the named file does not list."""
    if not can_tell():
        sys.stderr.write("what a cluster leaves is not looked at: that takes podman with CNI, ip and iptables-save\n")
        return 0
    found = there_is()
    if not arguments:
        sys.stdout.writelines(f"{each}\n" for each in sorted(found))
        return 0
    left = left_of(found - set(Path(arguments[0]).read_text().splitlines()))
    sys.stderr.writelines(f"left by the cluster: {each}\n" for each in sorted(left))
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
