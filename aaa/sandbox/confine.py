"""Confinement: what a child takes from itself before it runs code that nobody trusts. Standard library only.

Three layers of Linux, none of which needs root or a container:

- resource limits: CPU time, address space, size and number of files, no core dump;
- seccomp: an allow-list of system calls. There is no way to another program, process, network or signal;
  threads, files, time and one's own memory remain. Everything else fails with "operation not permitted";
- Landlock: of files, only Python's own and the shared libraries can be read, only one folder written. A
  kernel without Landlock opens no file at all, after the modules of `PRELOADED` have been imported.

Where one of the first two cannot be had, `confine` raises: there is no weaker mode. Left out: containers,
virtual machines, and attacks on the kernel itself.
"""

import ctypes
import importlib
import os
import platform
import resource
import signal
import struct
import sys
from typing import Literal, NamedTuple

Files = Literal["landlock", "none"]
"""`landlock`: one folder to write, Python's own to read; `none`: no file can be opened."""

PRELOADED = """
abc array ast base64 bisect calendar cmath codecs collections collections.abc contextlib copy dataclasses
datetime decimal difflib enum fractions functools hashlib heapq hmac inspect io itertools json keyword
locale math numbers operator pprint queue random re secrets statistics string struct textwrap threading
time types typing unicodedata uuid weakref zlib
""".split()
"""What code can import where it cannot open files."""


class Limits(NamedTuple):
    """What a child may use, and whose child it is."""

    parent: int
    """Process id; a child whose parent has ended ends too."""
    cpu_s: int
    memory_mib: int
    file_mib: int = 4
    open_files: int = 64


def confine(folder: str, limits: Limits, landlock: bool = True) -> Files:
    """Give up everything but `limits` and `folder`, for good. Raises `OSError` where that is not possible."""
    if sys.platform != "linux" or platform.machine() not in _ARCHITECTURES:
        raise OSError(f"needs Linux on {' or '.join(_ARCHITECTURES)}, this is {platform.machine()}")
    _prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != limits.parent:  # it ended before it could be watched
        os._exit(1)
    _prctl(_DUMPABLE, 0)
    _prctl(_NO_NEW_PRIVS, 1)
    _limit(limits)
    files: Files = "landlock" if landlock and _only_files_in(folder) else "none"
    if files == "none":
        for name in PRELOADED:
            importlib.import_module(name)
    _filter_calls(files)
    return files


def _limit(limits: Limits) -> None:
    """The soft CPU limit ends the process with a signal that says so; the hard one cannot be survived."""
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_mib * 2**20),
        (resource.RLIMIT_FSIZE, limits.file_mib * 2**20),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


# --- Linux's own numbers, from its public headers ---

_PDEATHSIG, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVS = 1, 4, 22, 38
_LIBC = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, value: int, pointer: ctypes.c_void_p | None = None) -> None:
    arguments = (ctypes.c_ulong(value), pointer, ctypes.c_ulong(0), ctypes.c_ulong(0))
    _checked(_LIBC.prctl(option, *arguments), f"prctl {option}")


# --- Landlock ---

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_ALL_BY_ABI = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
"""Version of Landlock -> every kind of access to files that it knows."""


def _only_files_in(folder: str) -> bool:
    """Restrict this process to a folder and Python's own files; `False` where the kernel has no Landlock."""
    abi = _LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if abi < 1:
        return False
    everything = _ALL_BY_ABI[min(abi, 5)]
    handled = struct.pack("=Q", everything)
    ruleset = _checked(
        _LIBC.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), 0), "Landlock"
    )
    for path in _readable():
        _allow(ruleset, path, _READ_FILE | _READ_DIR)
    _allow(ruleset, "/dev/null", _READ_FILE | _WRITE_FILE)
    _allow(ruleset, "/dev/urandom", _READ_FILE)
    _allow(ruleset, folder, everything & ~_EXECUTE)
    _checked(_LIBC.syscall(_RESTRICT_SELF, ruleset, 0), "Landlock")
    os.close(ruleset)
    return True


def _readable() -> set[str]:
    """Folders of the standard library, shared libraries and time zones."""
    python = os.path.dirname(os.__file__)  # noqa: PTH120 (as above)
    return {python, "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo"}


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(path):  # noqa: PTH112 (pathlib costs start-up time)
        access &= _READ_FILE | _WRITE_FILE | _EXECUTE
    rule = struct.pack("=Qi", access, place)
    _checked(_LIBC.syscall(_ADD_RULE, ruleset, 1, rule, 0), f"Landlock {path}")
    os.close(place)


# --- seccomp ---

_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""Machine -> (its number in a filter, its column below)."""

_HARMLESS = {
    "brk": (12, 214), "clock_getres": (229, 114), "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115), "close": (3, 57), "dup": (32, 23), "dup2": (33, None),
    "dup3": (292, 24), "epoll_create": (213, None), "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21), "epoll_pwait": (281, 22), "epoll_pwait2": (441, 441),
    "epoll_wait": (232, None), "eventfd2": (290, 19), "exit": (60, 93), "exit_group": (231, 94),
    "fdatasync": (75, 83), "flock": (73, 32), "fstat": (5, 80), "fsync": (74, 82),
    "ftruncate": (77, 46), "futex": (202, 98), "getcwd": (79, 17), "getegid": (108, 177),
    "geteuid": (107, 175), "getgid": (104, 176), "getitimer": (36, 102), "getpid": (39, 172),
    "getppid": (110, 173), "getrandom": (318, 278), "getrlimit": (97, 163), "getrusage": (98, 165),
    "getsockname": (51, 204), "getsockopt": (55, 209), "gettid": (186, 178),
    "gettimeofday": (96, 169), "getuid": (102, 174), "lseek": (8, 62), "madvise": (28, 233),
    "mmap": (9, 222), "mprotect": (10, 226), "mremap": (25, 216), "munmap": (11, 215),
    "nanosleep": (35, 101), "pause": (34, None), "pipe": (22, None), "pipe2": (293, 59),
    "poll": (7, None), "ppoll": (271, 73), "pread64": (17, 67), "pselect6": (270, 72),
    "pwrite64": (18, 68), "read": (0, 63), "readv": (19, 65), "recvfrom": (45, 207),
    "recvmsg": (47, 212), "restart_syscall": (219, 128), "rseq": (334, 293),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123), "sched_yield": (24, 124), "select": (23, None),
    "sendmsg": (46, 211), "sendto": (44, 206), "set_robust_list": (273, 99),
    "set_tid_address": (218, 96), "setitimer": (38, 103), "setsockopt": (54, 208),
    "shutdown": (48, 210), "sigaltstack": (131, 132), "sysinfo": (99, 179), "time": (201, None),
    "times": (100, 153), "uname": (63, 160), "write": (1, 64), "writev": (20, 66),
}  # fmt: skip
"""System call -> its number on x86-64 and on arm64. None reaches out of the process."""

_OF_FILES = {
    "access": (21, None), "chdir": (80, 49), "faccessat": (269, 48), "faccessat2": (439, 439),
    "getdents": (78, None), "getdents64": (217, 61), "lstat": (6, None), "mkdir": (83, None),
    "mkdirat": (258, 34), "newfstatat": (262, 79), "open": (2, None), "openat": (257, 56),
    "readlink": (89, None), "readlinkat": (267, 78), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "rmdir": (84, None), "stat": (4, None), "statx": (332, 291),
    "unlink": (87, None), "unlinkat": (263, 35),
}  # fmt: skip
"""Those that take a path: Landlock keeps them in bounds, or they tell of a file but not what is in it."""

_CLONE, _CLONE3, _FCNTL, _IOCTL = (56, 220), (435, 435), (72, 25), (16, 29)
_KILL, _TGKILL, _PRLIMIT, _SOCKETPAIR = (62, 129), (234, 131), (302, 261), (53, 199)

_ALLOW, _DENY, _NO_SUCH_CALL = 0x7FFF0000, 0x00050001, 0x00050026  # EPERM, ENOSYS
_LOAD, _RETURN, _EQUAL, _AT_LEAST, _HAS_BIT = 0x20, 0x06, 0x15, 0x35, 0x45
_NUMBER, _ARCHITECTURE = 0, 4  # places in what a filter sees of a call

Instruction = tuple[int, int, int, int]
"""(code, where to jump if true, if false, operand), as classic BPF has them."""


def _filter_calls(files: Files) -> None:
    program = _program(files)
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code)
    header = struct.pack("@HP", len(program), ctypes.addressof(held))
    pointer = ctypes.cast(ctypes.create_string_buffer(header), ctypes.c_void_p)
    _prctl(_SECCOMP, 2, pointer)


def _program(files: Files) -> list[Instruction]:
    architecture, column = _ARCHITECTURES[platform.machine()]
    allowed = _HARMLESS | (_OF_FILES if files == "landlock" else {})
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _DENY),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for numbers in allowed.values():
        number = numbers[column]
        if number is not None:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for numbers, conditions in _conditional():
        program += [(_EQUAL, 0, len(conditions), numbers[column]), *conditions]
    return [*program, (_RETURN, 0, 0, _DENY)]


def _conditional() -> list[tuple[tuple[int, int], list[Instruction]]]:
    """Calls that are harmless with some arguments only, each with instructions that end it."""
    yes, no = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _DENY)

    def argument(place: int, half: int = 0) -> Instruction:
        return (_LOAD, 0, 0, 16 + 8 * place + 4 * half)

    own = [argument(0), (_EQUAL, 0, 1, os.getpid()), yes, no]
    return [
        (_CLONE, [argument(0), (_HAS_BIT, 0, 1, 0x10000), yes, no]),  # threads only
        (_CLONE3, [(_RETURN, 0, 0, _NO_SUCH_CALL)]),  # hides its flags; libc then takes `clone`
        (_KILL, own),
        (_TGKILL, own),
        (_SOCKETPAIR, [argument(0), (_EQUAL, 0, 1, 1), yes, no]),  # event loops wake themselves so
        # what `fcntl` and `ioctl` do to descriptors, but not that they send signals to a process
        (_FCNTL, [argument(1), (_EQUAL, 1, 0, 1030), (_AT_LEAST, 1, 0, 8), yes, no]),
        (_IOCTL, [
            argument(1), (_EQUAL, 3, 0, 0x5401), (_EQUAL, 2, 0, 0x5421),
            (_EQUAL, 1, 0, 0x5450), (_EQUAL, 0, 1, 0x5451), yes, no,
        ]),
        # limits may be read, not set
        (_PRLIMIT, [
            argument(2), (_EQUAL, 0, 3, 0), argument(2, 1), (_EQUAL, 0, 1, 0), yes, no,
        ]),
    ]  # fmt: skip
