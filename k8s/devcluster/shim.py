"""Parent of one container's process; outlives the kubelet, so that a restarted kubelet finds containers and exit codes.

    python shim.py run FOLDER        run what FOLDER/spec.json says; writes state.json, error.json or exit.json, and the log
    python shim.py exec PID FOLDER   run the command in $SHIM_ARGV as the container with this process does
    python shim.py probe FOLDER      exit code 0 when this machine allows mount namespaces to unprivileged users

It holds a lock on FOLDER/lock for its life: who can take the lock knows that the shim is gone. SIGTERM is passed on to the
container's process group; SIGUSR1 kills all that descends from it, whatever session it moved to. Standard library only, and
little of that, because each container pays for it.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import sys
import time
from typing import Any

LINUX = sys.platform == "linux"
ROTATE = 5 * 1024 * 1024  # bytes of log before it is moved to <log>.1
PIECE = 16 * 1024  # a longer line is written in pieces, as container runtimes do
NEWNS, NEWUSER = 0x20000, 0x10000000
RDONLY, REMOUNT, BIND, REC, PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000


def libc() -> ctypes.CDLL:
    """The C library, for what Python has no call for."""
    return ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    """Raise OSError where a call of the C library failed."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def stamp() -> str:
    """The present, as container runtimes write it."""
    nanoseconds = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanoseconds // 10**9)) + f".{nanoseconds % 10**9:09d}Z"


def write(path: str, value: dict[str, Any]) -> None:
    """A file that is there whole or not at all."""
    with open(path + ".new", "w") as file:
        json.dump(value, file)
    os.rename(path + ".new", path)


class Log:
    """Lines with a time stamp and F (full) or P (partial), rotated once."""

    def __init__(self, path: str) -> None:
        self.path, self.rest = path, b""
        self.file = open(path, "ab")  # noqa: SIM115

    def feed(self, data: bytes) -> None:
        """Take in what the container wrote."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.line(line, b"F")
        while len(self.rest) >= PIECE:
            self.line(self.rest[:PIECE], b"P")
            self.rest = self.rest[PIECE:]
        self.file.flush()
        if self.file.tell() > ROTATE:
            self.file.close()
            os.replace(self.path, self.path + ".1")
            self.file = open(self.path, "ab")  # noqa: SIM115

    def line(self, text: bytes, flag: bytes) -> None:
        """Write one line."""
        self.file.write(stamp().encode() + b" " + flag + b" " + text + b"\n")

    def close(self) -> None:
        """Write what has no line end yet."""
        if self.rest:
            self.line(self.rest, b"F")
        self.file.close()


class Root:
    """A root folder of its own for one container: the host's, read-only, with the pod's volumes where they belong."""

    def __init__(self, root: str) -> None:
        self.root, self.libc, self.ours = root, libc(), {"/"}

    def mount(
        self, source: str | None, target: str, flags: int, kind: str | None = None, data: str | None = None
    ) -> None:
        """mount(2). Raises OSError."""
        encoded = [value and value.encode() for value in (source, target, kind, data)]
        check(self.libc.mount(encoded[0], encoded[1], encoded[2], flags, encoded[3]), f"mount {target}")

    def tmpfs(self, target: str) -> None:
        """Mount an empty folder in memory."""
        self.mount("tmpfs", target, 0, "tmpfs", "mode=755")

    def bind(self, source: str, target: str) -> None:
        """Mount a folder or file in a second place."""
        self.mount(source, target, BIND | REC)

    def copy(self, folder: str) -> None:
        """Make `folder` a tmpfs of ours in which everything of the host's folder is bound."""
        self.tmpfs(self.root + folder)
        for name in os.listdir(folder):
            host = os.path.join(folder, name)
            target = self.root + host
            if os.path.islink(host):
                os.symlink(os.readlink(host), target)
                continue
            try:
                if os.path.isdir(host):
                    os.mkdir(target)
                else:
                    os.close(os.open(target, os.O_CREAT, 0o644))
                self.bind(host, target)
                if not host.startswith(("/proc", "/dev", "/sys")):
                    self.read_only(target)
            except OSError:
                continue  # what cannot be bound (a socket gone, no right to see it) is not there for the pod
        self.ours.add(folder)

    def read_only(self, target: str) -> None:
        """Make a mount and all below it read-only."""
        attributes = (ctypes.c_uint64 * 4)(RDONLY, 0, 0, 0)
        # mount_setattr(2) has the same number everywhere; a kernel before 5.12 leaves the host writable, which is no worse
        # than a pod without a namespace.
        self.libc.syscall(442, -100, target.encode(), 0x8000, attributes, 32)

    def place(self, target: str, directory: bool) -> None:
        """Make the mount point exist, copying no more of the host's folders than needed."""
        path = ""
        *parents, last = target.strip("/").split("/")
        for name in [*parents, last]:
            parent, path = path or "/", f"{path}/{name}"
            if not os.path.lexists(self.root + path):
                if parent not in self.ours:
                    self.copy(parent)
                if name is last and not directory:
                    os.close(os.open(self.root + path, os.O_CREAT, 0o644))
                else:
                    os.mkdir(self.root + path)
                self.ours.add(path)

    def within(self, target: str, directory: bool) -> None:
        """Make a mount point below a mount that is there already, in that volume itself."""
        os.makedirs(target if directory else os.path.dirname(target), exist_ok=True)
        if not directory:
            os.close(os.open(target, os.O_CREAT, 0o644))

    def build(self, mounts: list[list[Any]]) -> None:
        """Mounts are [source or None to hide, target, read-only]."""
        self.mount(None, "/", REC | PRIVATE)
        self.copy("/")
        mounts = sorted(([source, os.path.realpath(target), ro] for source, target, ro in mounts), key=lambda m: m[1])
        targets = [target for _, target, _ in mounts]
        nested = {t for t in targets if any(t.startswith(other + "/") for other in targets)}
        for source, target, _ in mounts:
            if target not in nested:
                self.place(target, source is None or os.path.isdir(source))
        for source, target, ro in mounts:
            if target in nested:
                self.within(self.root + target, source is None or os.path.isdir(source))
            if source is None:
                self.tmpfs(self.root + target)
                continue
            self.bind(source, self.root + target)
            if ro:
                self.read_only(self.root + target)
        os.chdir(self.root)
        check(self.libc.pivot_root(b".", b"."), "pivot_root")
        check(self.libc.umount2(b".", 2), "umount of the old root")
        os.chdir("/")


def enter_namespaces(space: dict[str, Any]) -> None:
    """A user namespace (one user: uid `space["uid"]` stands for ours) and a mount namespace of its own."""
    uid, gid = os.getuid(), os.getgid()
    check(libc().unshare(NEWUSER | NEWNS), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{space['uid']} {uid} 1"),
        ("gid_map", f"{space['gid']} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    Root(space["root"]).build(space["mounts"])


def start_error(error: BaseException, command: str) -> str:
    """The wording of a container runtime for a command that cannot be run."""
    if isinstance(error, FileNotFoundError) and "/" not in command:
        text = f'exec: "{command}": executable file not found in $PATH'
    elif isinstance(error, FileNotFoundError):
        text = f'exec: "{command}": stat {command}: no such file or directory'
    elif isinstance(error, PermissionError):
        text = f'exec: "{command}": permission denied'
    else:
        text = f'exec: "{command}": {error}'
    return (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
        f"unable to start container process: error during container init: {text}"
    )


def child(spec: dict[str, Any], output: int, report: int) -> None:
    """Become the container's command; never returns."""
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.umask(0o022)
        if spec.get("namespace"):
            enter_namespaces(spec["namespace"])
        if LINUX:
            libc().prctl(1, signal.SIGKILL, 0, 0, 0)  # die with the shim
        try:
            os.chdir(spec["cwd"])
        except OSError:
            os.chdir("/")
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606
    except BaseException as error:
        os.write(report, start_error(error, spec["argv"][0]).encode())
    os._exit(128)


def descendants(pid: int) -> list[int]:
    """All processes below this one."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                for one in map(int, file.read().split()):
                    found += [one, *descendants(one)]
    return found


def kill_all(main: int) -> None:
    """SIGKILL to everything below the shim, until nothing is left (each round can find what the last one orphaned)."""
    for _ in range(20):
        below = descendants(os.getpid())
        for pid in below:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not below:
            break
        time.sleep(0.01)
        reap()
    if not LINUX:
        with contextlib.suppress(OSError):
            os.killpg(main, signal.SIGKILL)


#: Wait status by process id of what has ended.
STATUS: dict[int, int] = {}


def reap() -> None:
    """Collect what has ended, orphans that came to us included."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        STATUS[pid] = status


def supervise(main: int, log: Log, output: int, wake: int) -> int:
    """Copy output to the log until the main process has ended and all below it is gone; its wait status."""
    os.set_blocking(output, False)
    while True:
        ready, _, _ = select.select([output, wake], [], [], 5.0)
        if wake in ready:
            for number in os.read(wake, 512):
                if number == signal.SIGTERM:
                    with contextlib.suppress(OSError):
                        os.killpg(main, signal.SIGTERM)
                elif number == signal.SIGUSR1:
                    kill_all(main)
        if output in ready:
            drain(output, log, 64)
        reap()
        if main in STATUS:
            kill_all(main)
            drain(output, log, 100_000)
            return STATUS[main]


def drain(output: int, log: Log, times: int) -> None:
    """Read what is there to the log, at most `times` pieces of it."""
    for _ in range(times):
        try:
            data = os.read(output, 65536)
        except BlockingIOError:
            return
        if not data:
            return
        log.feed(data)


def run(folder: str) -> None:
    """Run the container of a folder; returns when it is over."""
    with open(folder + "/spec.json") as file:
        spec = json.load(file)
    lock = os.open(folder + "/lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if LINUX:
        libc().prctl(36, 1, 0, 0, 0)  # orphans below come to us, not to init
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wake, wake_in = os.pipe()
    os.set_blocking(wake_in, False)
    for handled in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(handled, lambda *_: None)
    signal.set_wakeup_fd(wake_in)
    output, output_in = os.pipe()
    report, report_in = os.pipe()
    log = Log(spec["log"])
    main = os.fork()
    if main == 0:
        child(spec, output_in, report_in)
    os.close(output_in)
    os.close(report_in)
    error = os.read(report, 65536).decode(errors="replace")
    if error:
        os.waitpid(main, 0)
        write(folder + "/error.json", {"message": error, "finishedAt": stamp()})
        return
    write(folder + "/state.json", {"shim": os.getpid(), "pid": main, "startedAt": stamp()})
    status = supervise(main, log, output, wake)
    log.close()
    code = os.waitstatus_to_exitcode(status)
    number = max(0, -code)
    write(
        folder + "/exit.json", {"exitCode": 128 + number if number else code, "signal": number, "finishedAt": stamp()}
    )


def execute(pid: str, folder: str) -> None:
    """Run $SHIM_ARGV with the environment, the folder and the namespaces of a running container."""
    argv = json.loads(os.environ["SHIM_ARGV"])
    with open(folder + "/spec.json") as file:
        spec = json.load(file)
    if spec.get("namespace"):
        spaces = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in ("user", "mnt")]
        for space in spaces:
            check(libc().setns(space, 0), "setns")
    try:
        os.chdir(spec["cwd"])
        os.execvpe(argv[0], argv, spec["env"])  # noqa: S606
    except OSError as error:
        sys.stderr.write(start_error(error, argv[0]))
        sys.exit(126 if error.errno == errno.EACCES else 127)


def probe(folder: str) -> None:
    """Try what a container would need, in a child; raises or exits with an error when it does not work."""
    os.makedirs(folder + "/root", exist_ok=True)
    os.makedirs(folder + "/volume", exist_ok=True)
    mounts = [[folder + "/volume", "/etc/devcluster/probe", False]]
    enter_namespaces({"uid": 1000, "gid": 1000, "root": folder + "/root", "mounts": mounts})
    with open("/etc/devcluster/probe/file", "w") as file:
        file.write("ok")


if __name__ == "__main__":
    if sys.argv[1] == "run":
        run(sys.argv[2])
    elif sys.argv[1] == "exec":
        execute(sys.argv[2], sys.argv[3])
    else:
        probe(sys.argv[2])
