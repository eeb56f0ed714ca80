"""How the scripts in Python call the others."""
import os
import subprocess
import sys

SCRIPTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def where(script, *args):
    """Returns the path that a script prints; ends if it fails."""
    done = subprocess.run([f"{SCRIPTS}/{script}", *args], check=False, text=True,
                          stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(done.returncode)   # it has said why
    return done.stdout.strip()
