"""`python -m ftc`"""

from ftc.cli import main

main(prog_name="ftc")
