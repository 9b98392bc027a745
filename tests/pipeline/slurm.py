"""A Slurm cluster of two nodes on this machine, with a key and ports of its own."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo")
NODES = ("n1", "n2")
STARTUP = 60  # seconds

CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=main Nodes=ALL Default=YES State=UP
"""


PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> list[str]:
    """What of Debian's packages slurm-wlm and munge is not on this machine."""
    return [name for name in PROGRAMS if not shutil.which(name, path=PATH)]


class Cluster:
    """Its daemons run until `stop()`; with `environment`, sbatch and its like find them."""

    def __init__(self, folder: Path):
        self.folder, self.environment = folder, {"SLURM_CONF": str(folder / "slurm.conf")}
        (folder / "state").mkdir(parents=True)
        (folder / "munge.key").write_bytes(b"a key that protects nothing but a test " * 8)
        (folder / "munge.key").chmod(0o400)
        configuration = CONFIGURATION.format(user=getpass.getuser(), folder=folder, ports=free_ports(3))
        (folder / "slurm.conf").write_text(configuration)
        files = [f"--{name}-file={folder / 'munge'}.{name}" for name in ("key", "pid", "log", "seed")]
        munged = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files]
        commands = [munged, ["slurmctld", "-D"], *(["slurmd", "-D", "-N", node] for node in NODES)]
        self.log = open(folder / "daemons.log", "a")  # noqa: SIM115 (closed when they have ended)
        self.processes = [self.start(*command) for command in commands]

    def start(self, program: str, *options: str) -> subprocess.Popen:
        command = [str(shutil.which(program, path=PATH)), *options]
        environment = os.environ | self.environment
        return subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log, start_new_session=True)

    def wait(self) -> None:
        """Return when all nodes are idle."""
        end = time.monotonic() + STARTUP
        command = ["sinfo", "--noheader", "--states=idle", "--format=%D"]
        while (found := self.run(command)) != str(len(NODES)):
            assert time.monotonic() < end, f"idle nodes: {found!r}; {self.logs()}"
            time.sleep(0.5)

    def run(self, command: list[str]) -> str:
        environment = os.environ | self.environment
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=STARTUP)
        return done.stdout.strip()

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
