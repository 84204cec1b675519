"""`python -m aaa`: the command, for whoever has the interpreter and not the script on the PATH."""

from aaa.cli import main

main()
