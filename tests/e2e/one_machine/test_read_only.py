"""Scoring where nothing may be written: the installed package on a read-only root, under another user.

So it runs in a pod whose root file system is read-only. (That the kernel runs on another processor than the one it was
built on is the compiler's `-mcpu=baseline` in hatch_build.py.)
"""

import os
import subprocess
from pathlib import Path

import pytest

import user_analytics
from tests.fixtures.command_line import CommandLine

NOBODY = 65534
PACKAGE = Path(user_analytics.__file__).parent

# In a mount namespace of its own: every file system read-only, then another user that may read all and write nothing.
AS_IN_A_POD = f"""
mount --make-rprivate /
findmnt --noheadings --list --output TARGET | while read -r target; do
  mount -o remount,bind,ro "$target" 2>/dev/null || :
done
exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --no-new-privs \\
  --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search "$@"
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a read-only root")


def in_a_pod(command_line: CommandLine, *command: str | Path, text: str) -> subprocess.CompletedProcess[str]:
    nowhere = {"HOME": "/nonexistent", "TMPDIR": "/nonexistent"}
    return subprocess.run(
        ["unshare", "--mount", "sh", "-euc", AS_IN_A_POD, "sh", *command],
        env={**command_line.environment, **nowhere},
        cwd="/",
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def nowhere_to_write(tmp_path: Path) -> CommandLine:
    command_line = CommandLine(tmp_path)
    folders = [PACKAGE, PACKAGE / "sentiment", Path("/tmp"), Path("/var/tmp"), Path("/"), tmp_path]  # noqa: S108
    tried = 'id -u; for folder; do ! touch "$folder/written" 2>/dev/null || echo "$folder"; done'
    done = in_a_pod(command_line, "sh", "-c", tried, "sh", *folders, text="")
    assert done.stdout.split() == [str(NOBODY)], done
    return command_line


def test_a_text_is_scored_where_nothing_may_be_written(nowhere_to_write: CommandLine) -> None:
    scored = in_a_pod(nowhere_to_write, *nowhere_to_write.command(["score", "-"]), text="not good\nexcellent\n")

    assert scored.returncode == 0, scored.stderr
    assert [row.rsplit(",", 1)[1] for row in scored.stdout.splitlines()] == ['"positive_review"', "false", "true"]
