"""`graphql-jobs`: jobs from a terminal. docs/ref/command-line.md lists the commands and exit codes."""
