"""What runs on the cluster: `python -m pipeline.submit.job ID NONCE [ARGUMENTS of dvc repro]`.

Ray's job runner starts it in the folder that was shipped. The exit code is that of DVC; results go
beside the cache however DVC ended, unless the job was stopped.
"""

import os
import subprocess
import sys
from pathlib import Path

from pipeline.engine.command import run_main
from pipeline.engine.side_store import side_store
from pipeline.errors import ClusterError
from pipeline.params.environment import variable
from pipeline.submit.results import store_results


def main() -> None:
    """Run `dvc repro`, store the results, exit with DVC's code."""
    job_id, nonce, *arguments = sys.argv[1:]
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        raise ClusterError("RAY_ADDRESS is not set: this is started by Ray, see `lipforge submit`")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    surroundings = {**os.environ, variable("ray_address"): address, "PATH": path}
    command = [sys.executable, "-m", "dvc", "repro", *arguments]
    code = subprocess.run(command, env=surroundings, check=False).returncode
    store_results(side_store(), job_id, nonce, code)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    run_main(main, takes_arguments=True)
