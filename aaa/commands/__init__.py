"""What each command of the CLI does; `aaa/cli/` declares them. Data on stdout, prose on stderr."""
