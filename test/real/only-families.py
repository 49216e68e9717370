# Runs a program as a unit with RestrictAddressFamilies= does: socket() for any other family fails with EAFNOSUPPORT.
#
#   python3 only-families.py "AF_INET AF_UNIX" PROGRAM ARGUMENT…
#
# A seccomp filter of our own, since the tests cannot count on a running systemd. 77 when this machine has no such thing.
import ctypes
import errno
import os
import platform
import socket
import struct
import sys

MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}  # AUDIT_ARCH_*, the number of socket()
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EAFNOSUPPORT

families = [getattr(socket, name) for name in sys.argv[1].split()]
if platform.machine() not in MACHINES:
    sys.exit(77)
architecture, number = MACHINES[platform.machine()]

# struct seccomp_data: the number at 0, the architecture at 4, the first argument at 16.
program = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, ALLOW)]
program += [(LOAD, 0, 0, 0), (EQUAL, 1, 0, number), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, 16)]
for family in families:
    program += [(EQUAL, 0, 1, int(family)), (RETURN, 0, 0, ALLOW)]
program.append((RETURN, 0, 0, REFUSE))

code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
header = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header) != 0:
    sys.exit(77)
os.execvp(sys.argv[2], sys.argv[2:])
