"""The system calls a locked worker may use, by name, and their numbers by architecture.

Pure values. Never: installs anything; `seccomp` assembles the filter.

The list was found by running the interpreter, not by guessing: a rare path that needs a call that
is missing here kills an innocent program (dify-sandbox #274 lost 0.1 % of its runs that way), so
the tests run the whole benign corpus behind the filter on every supported Python.
"""

from typing import Final

ALLOWED: Final = (
    # Most used first: the filter is a linear list.
    "setitimer",
    "recvfrom",
    "sendto",
    "rt_sigreturn",
    "munmap",
    "madvise",
    "brk",
    "mremap",
    "futex",
    "getrandom",
    "clock_gettime",  # usually answered without the kernel, but not on every machine
    "clock_getres",
    "gettimeofday",
    "read",
    "write",
    "pread64",  # the worker reads its own size when it loads
    "close",
    "rt_sigprocmask",
    "gettid",
    "getpid",
    "restart_syscall",
    "exit",
    "exit_group",
)
"""Allowed with any argument."""

NOT_EXECUTABLE: Final = ("mmap", "mprotect")
"""Allowed unless the memory is to be executable."""

REFUSED: Final = (
    "open",
    "openat",
    "openat2",
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getcwd",
    "getdents64",
    "ioctl",
    "fcntl",
    "lseek",
    "sysinfo",
    "uname",
)
"""Answered EPERM: ordinary library code tries these and copes. Everything else kills."""

NUMBERS: Final = {
    "x86_64": {
        "access": 21,
        "brk": 12,
        "clock_getres": 229,
        "clock_gettime": 228,
        "close": 3,
        "exit": 60,
        "exit_group": 231,
        "faccessat": 269,
        "faccessat2": 439,
        "fcntl": 72,
        "fstat": 5,
        "futex": 202,
        "getcwd": 79,
        "getdents64": 217,
        "getpid": 39,
        "getrandom": 318,
        "gettid": 186,
        "gettimeofday": 96,
        "ioctl": 16,
        "lseek": 8,
        "lstat": 6,
        "madvise": 28,
        "mmap": 9,
        "mprotect": 10,
        "mremap": 25,
        "munmap": 11,
        "newfstatat": 262,
        "open": 2,
        "openat": 257,
        "openat2": 437,
        "pread64": 17,
        "prlimit64": 302,
        "read": 0,
        "readlink": 89,
        "readlinkat": 267,
        "recvfrom": 45,
        "restart_syscall": 219,
        "rt_sigprocmask": 14,
        "rt_sigreturn": 15,
        "sendto": 44,
        "setitimer": 38,
        "stat": 4,
        "statx": 332,
        "sysinfo": 99,
        "tgkill": 234,
        "uname": 63,
        "write": 1,
    },
    "aarch64": {
        "brk": 214,
        "clock_getres": 114,
        "clock_gettime": 113,
        "close": 57,
        "exit": 93,
        "exit_group": 94,
        "faccessat": 48,
        "faccessat2": 439,
        "fcntl": 25,
        "fstat": 80,
        "futex": 98,
        "getcwd": 17,
        "getdents64": 61,
        "getpid": 172,
        "getrandom": 278,
        "gettid": 178,
        "gettimeofday": 169,
        "ioctl": 29,
        "lseek": 62,
        "madvise": 233,
        "mmap": 222,
        "mprotect": 226,
        "mremap": 216,
        "munmap": 215,
        "newfstatat": 79,
        "openat": 56,
        "openat2": 437,
        "pread64": 67,
        "prlimit64": 261,
        "read": 63,
        "readlinkat": 78,
        "recvfrom": 207,
        "restart_syscall": 128,
        "rt_sigprocmask": 135,
        "rt_sigreturn": 139,
        "sendto": 206,
        "setitimer": 103,
        "statx": 291,
        "sysinfo": 179,
        "tgkill": 131,
        "uname": 160,
        "write": 64,
    },
}
"""From asm/unistd_64.h and asm-generic/unistd.h; aarch64 never had open, stat and their kin."""

AUDIT_ARCH: Final = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
