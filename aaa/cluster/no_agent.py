"""Stands in for Ray's agents on a machine of our own: says that they have no port, and ends with the raylet.

A raylet starts an agent for its dashboard and one that prepares runtime environments, and ends with them. AAA
uses neither; each costs 1.3 s of CPU time and 100 MiB. This needs neither site-packages nor more than 10 MiB.

    python -I -S no_agent.py PORT_NAME[,PORT_NAME] … --session-dir=… --node-id=…
"""

import os
import sys
import time

NO_PORT = "-1"


def main(names: str, *options: str) -> None:
    """Write a file for each port, as Ray's own agents do, then wait for the parent's end."""
    said = dict(option[2:].split("=", 1) for option in options if "=" in option)
    for name in names.split(","):
        path = os.path.join(said["session-dir"], f"{name}_{said['node-id']}")  # noqa: PTH118
        with open(f"{path}.new", "w") as file:  # noqa: PTH123
            file.write(NO_PORT)
        os.replace(f"{path}.new", path)  # noqa: PTH105
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
