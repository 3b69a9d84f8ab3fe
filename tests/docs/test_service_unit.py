"""The unit file of the how-to is one that systemd takes."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/how-to/service.md"
ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(ANALYZE is None, reason="this machine has no systemd-analyze")
@pytest.mark.parametrize(("change", "fits"), [(("", ""), True), (("Type=exec", "Type=daemon"), False)])
def test_systemd_takes_the_unit(tmp_path, change, fits):
    (unit,) = re.findall(r"^```ini\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    file = tmp_path / "aura.service"
    file.write_text(unit.replace(*change))
    command = [ANALYZE, "verify", "--user", "--man=no", str(file)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    about = [line for line in (found.stdout + found.stderr).splitlines() if "aura.service" in line]
    assert (not about) is fits, found.stderr
