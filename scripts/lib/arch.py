"""The machine that $ARCH names, as scripts/data/arches.ini describes it."""
import configparser
import os

SCRIPTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ARCH = os.environ.get("ARCH") or "x86_64"
SUFFIX = "" if ARCH == "x86_64" else f"-{ARCH}"     # of what is built for that machine

_ARCHES = configparser.ConfigParser()
_ARCHES.read(f"{SCRIPTS}/data/arches.ini")


def about(name):
    """Returns what arches.ini says about the machine."""
    return _ARCHES[ARCH][name]


def image(kbuild):
    """Returns the kernel that QEMU boots, in the directory of a build."""
    return f"{kbuild}/arch/{about('srcarch')}/boot/{about('image')}"
