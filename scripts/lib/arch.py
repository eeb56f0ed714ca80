"""The machine that $ARCH names, as scripts/data/arches.ini describes it."""
import configparser
import os

SCRIPTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ARCH = os.environ.get("ARCH") or "x86_64"
TOOLCHAIN = os.environ.get("TOOLCHAIN")
# Of what is built for another machine, or by another toolchain.
SUFFIX = ("" if ARCH == "x86_64" else f"-{ARCH}") + (f"-{TOOLCHAIN}" if TOOLCHAIN else "")

_ARCHES = configparser.ConfigParser()
_ARCHES.read(f"{SCRIPTS}/data/arches.ini")


def about(name):
    """Returns what arches.ini says about the machine."""
    return _ARCHES[ARCH][name]


def image(kbuild):
    """Returns the kernel that QEMU boots, in the directory of a build."""
    return f"{kbuild}/arch/{about('srcarch')}/boot/{about('image')}"
