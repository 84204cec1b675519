"""What each command of the CLI does; `aaa/cli.py` declares them. Data on stdout, prose on stderr."""
