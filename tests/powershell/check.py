#!/usr/bin/env python3
"""Reads the set-up scripts of the snapshots with a grammar of PowerShell: check.py FOLDER.

A script must be free of syntax errors and may call the commands below and no others, whatever the names in it hold.
"""

import re
import sys
from pathlib import Path

import tree_sitter_powershell
from tree_sitter import Language, Parser

ALLOWED = {
    "Set-StrictMode", "Get-CsTenant", "New-Missing", "Test-Named", "Test-Lacks", "Out-Null", "Write-Output", "Write-Warning",
    "Get-CsOnlinePSTNGateway", "New-CsOnlinePSTNGateway", "Get-CsOnlinePstnUsage", "Set-CsOnlinePstnUsage",
    "Get-CsOnlineVoiceRoute", "New-CsOnlineVoiceRoute",
    "Get-CsOnlineVoiceRoutingPolicy", "New-CsOnlineVoiceRoutingPolicy",
    "Get-CsTenantDialPlan", "New-CsTenantDialPlan", "New-CsVoiceNormalizationRule",
    "Get-CsTeamsCallingPolicy", "New-CsTeamsCallingPolicy", "Get-CsTeamsAppSetupPolicy",
    # the block that makes what is missing
    "$Make",
}
PARSER = Parser(Language(tree_sitter_powershell.language()))


def nodes(node):
    yield node
    for child in node.children:
        yield from nodes(child)


def text(node):
    return node.text.decode()


def mistakes(script):
    root = PARSER.parse(script.encode()).root_node
    found = []
    for node in nodes(root):
        line = node.start_point[0] + 1
        if node.type == "ERROR" or node.is_missing:
            found.append(f"line {line}: syntax error at {text(node)[:60]!r}")
        elif node.type in ("command_name", "command_name_expr") and text(node) not in ALLOWED:
            found.append(f"line {line}: calls {text(node)!r}")
        elif node.type == "expandable_string_literal":
            found.append(f"line {line}: expands {text(node)!r}")
    if not any(node.type == "command_name" for node in nodes(root)):
        found.append("calls nothing at all")
    return found


def main():
    # the checks themselves must be able to fail
    for broken in ["if (", "Write-Output 'a", "Remove-Item x", 'Write-Output "$(Get-Date)"', "Write-Output 'a'; Stop-Computer"]:
        if not mistakes(broken):
            sys.exit(f"the check lets {broken!r} through")
    scripts = sorted(Path(sys.argv[1]).glob("*.snap"))
    if len(scripts) < 3:
        sys.exit(f"there are only {len(scripts)} scripts in {sys.argv[1]}")
    wrong = []
    for path in scripts:
        script = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(), flags=re.DOTALL)
        wrong += [f"{path.name}: {mistake}" for mistake in mistakes(script)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(scripts)} scripts are sound PowerShell and call nothing unexpected")


if __name__ == "__main__":
    main()
