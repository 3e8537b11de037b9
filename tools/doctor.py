"""What this machine has, what is broken and how to mend it: python tools/doctor.py"""

import argparse
import sys

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Examine this machine. rc 0 if nothing that every run needs is broken, else 1."
    )
    parser.add_argument("--full", action="store_true", help="also try torch.compile, which can take a minute")
    parser.add_argument("--json", action="store_true", help="for programs: everything that was found, as JSON")
    arguments = parser.parse_args()

    from linearsr.core.doctor import examine, healthy, print_report, report_json

    findings = examine(arguments.full)
    if arguments.json:
        print(report_json(findings))
    else:
        print_report(findings)
    sys.exit(0 if healthy(findings) else 1)


if __name__ == "__main__":
    run_command(main)
