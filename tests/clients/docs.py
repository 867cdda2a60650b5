#!/usr/bin/env python3
"""Checks that docs/bots/*.md show the same drop-ins that stand beside them as files, and that every Python block parses.

Standard library only. Prints what differs, exit 1.
"""
import pathlib
import re
import sys

BOTS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "bots"
SHOWN = {"ccxt.md": ["signvault_ccxt.py", "signvault_client.py"], "python-okx.md": ["signvault_okx.py", "signvault_client.py"],
         "plain.md": []}


def blocks(page):
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```$", (BOTS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def differences():
    """One sentence per thing that is wrong."""
    wrong = []
    for page, files in SHOWN.items():
        found = blocks(page)
        wrong += [f"{page} does not show {name} as it is" for name in files if (BOTS / name).read_text(encoding="utf-8") not in found]
        for number, block in enumerate(found, start=1):
            try:
                compile(block, page, "exec")
            except SyntaxError as error:
                wrong.append(f"{page}, Python block {number}: {error}")
    return wrong


if __name__ == "__main__":
    problems = differences()
    print("\n".join(problems) or "docs/bots shows its files as they are")
    sys.exit(bool(problems))
