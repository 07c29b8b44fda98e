#!/usr/bin/env python3
"""Reads the set-up scripts of the snapshots with a grammar of PowerShell: check.py FOLDER.

A script must be free of syntax errors and may call the cmdlets of cmdlets.py and no others, with parameters that these
cmdlets have, each once, of the right type, none missing that is required, whatever the names in the script hold. No PowerShell
runs here: what a cmdlet does with a value that it should take, only a tenant can tell.
"""

import re
import sys
from pathlib import Path

import tree_sitter_powershell
from cmdlets import BLOCK, LIST, NUMBER, ONE_OF, PARAMETERS, SWITCH, TEXT, TRUTH
from tree_sitter import Language, Parser

PARSER = Parser(Language(tree_sitter_powershell.language()))
# the script's parameters, with their types
VARIABLES = {"$GatewayFqdn": TEXT, "$SipSignalingPort": NUMBER, "$true": TRUTH, "$false": TRUTH}


def nodes(node):
    yield node
    for child in node.children:
        yield from nodes(child)


def text(node):
    return node.text.decode()


def kind(node):
    """The type of an argument, as far as its form tells; `None` where only running it would."""
    written = text(node)
    if written in VARIABLES:
        return VARIABLES[written]
    inner = node
    while inner.child_count == 1:
        inner = inner.children[0]
    if inner.type in ("verbatim_string_characters", "generic_token") or re.match(r"\('(?:[^']|'')*' \+ ", written):
        return TEXT
    if inner.type in ("decimal_integer_literal", "integer_literal"):
        return NUMBER
    if written.startswith("@{ Add = "):
        return LIST
    return BLOCK if written.startswith("{") else None


def fits(wanted, node):
    if node is None:
        return wanted == SWITCH
    if isinstance(wanted, tuple):
        return text(node).strip("'") in wanted
    found = kind(node)
    # a list of one is written as the one; what is computed is a truth or a text that no form tells
    return found == wanted or (wanted == LIST and found == TEXT) or (found is None and wanted in (TEXT, TRUTH))


def arguments(command):
    """Parameters of a call with the argument behind each, and whether one stands alone."""
    found, alone = [], 0
    elements = [e for part in command.children if part.type == "command_elements" for e in part.children]
    for element in elements:
        if element.type == "command_argument_sep":
            continue
        if element.type == "command_parameter":
            found.append([text(element).lstrip("-"), None])
        elif found and found[-1][1] is None:
            found[-1][1] = element
        else:
            alone += 1
    return found, alone


def of_call(command):
    name = next((text(n) for n in command.children if n.type == "command_name"), None)
    if name is None:
        # the block that makes what is missing
        return [] if any(text(n) == "$Make" for n in command.children) else [f"calls {text(command)[:40]!r}"]
    known = PARAMETERS.get(name)
    if known is None:
        return [f"calls {name!r}"]
    wrong = []
    given, alone = arguments(command)
    names = [parameter for parameter, _ in given]
    for parameter, argument in given:
        if parameter not in known:
            wrong.append(f"{name} has no parameter -{parameter}")
        elif not fits(known[parameter], argument):
            told = "nothing" if argument is None else repr(text(argument)[:40])
            wrong.append(f"{name} -{parameter} takes no {told}")
    if len(set(names)) < len(names):
        wrong.append(f"{name} has a parameter twice")
    if alone and "-Cs" in name:
        wrong.append(f"{name} has an argument without a parameter")
    for group in ONE_OF.get(name, []):
        if sum(parameter in names for parameter in group) != 1:
            wrong.append(f"{name} needs one of {', '.join(group)}")
    return wrong


def mistakes(script):
    root = PARSER.parse(script.encode()).root_node
    found = []
    for node in nodes(root):
        line = node.start_point[0] + 1
        if node.type == "ERROR" or node.is_missing:
            found.append(f"line {line}: syntax error at {text(node)[:60]!r}")
        elif node.type == "command":
            found += [f"line {line}: {wrong}" for wrong in of_call(node)]
        elif node.type == "expandable_string_literal":
            found.append(f"line {line}: expands {text(node)!r}")
    if not any(node.type == "command_name" for node in nodes(root)):
        found.append("calls nothing at all")
    return found


# the checks themselves must be able to fail
BROKEN = [
    "if (", "Write-Output 'a", "Remove-Item x", 'Write-Output "$(Get-Date)"', "Write-Output 'a'; Stop-Computer", "& $Other",
    "New-CsOnlinePSTNGateway -Fqdn 'a' -SipSignallingPort 5061",
    "New-CsOnlinePSTNGateway -Fqdn 'a'",
    "New-CsOnlinePSTNGateway -Fqdn 'a' -Identity 'a' -SipSignalingPort 5061",
    "New-CsOnlinePSTNGateway -Fqdn 'a' -SipSignalingPort 'many'",
    "New-CsOnlinePSTNGateway -Fqdn 'a' -SipSignalingPort 5061 -Enabled 'yes'",
    "New-CsOnlinePSTNGateway -Fqdn 'a' -Fqdn 'b' -SipSignalingPort 5061",
    "Set-CsOnlinePstnUsage -Identity Local -Usage @{ Add = 'a' }",
    "New-CsVoiceNormalizationRule -Parent Global -Name 'a' -Pattern '^1$'",
    "New-CsTenantDialPlan -Identity 'a' -ExternalAccessPrefix '9'",
    "New-CsTeamsCallingPolicy -Identity 'a' -AllowVoicemail Never",
    "New-CsTeamsCallingPolicy 'a'",
    "Get-CsTenant -Identity 'a'",
]
SOUND = [
    "New-CsOnlinePSTNGateway -Fqdn $GatewayFqdn -SipSignalingPort $SipSignalingPort -Enabled $true",
    "$rule = New-CsVoiceNormalizationRule -Parent Global -Name 'a' -Pattern '^1$' -IsInternalExtension $false -InMemory",
    "New-CsOnlineVoiceRoutingPolicy -Identity ('a''b' + [char]0x000A) -OnlinePstnUsages 'a'",
]


def main():
    for broken in BROKEN:
        if not mistakes(broken):
            sys.exit(f"the check lets {broken!r} through")
    for sound in SOUND:
        if mistakes(sound):
            sys.exit(f"the check refuses {sound!r}: {mistakes(sound)}")
    scripts = sorted(Path(sys.argv[1]).glob("*.snap"))
    if len(scripts) < 3:
        sys.exit(f"there are only {len(scripts)} scripts in {sys.argv[1]}")
    wrong = []
    for path in scripts:
        script = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(), flags=re.DOTALL)
        wrong += [f"{path.name}: {mistake}" for mistake in mistakes(script)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(scripts)} scripts are sound PowerShell, and call cmdlets of the module MicrosoftTeams with parameters that they have")


if __name__ == "__main__":
    main()
