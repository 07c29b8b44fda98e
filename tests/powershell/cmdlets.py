"""What the set-up scripts may call, with which parameters: name -> (parameters, required ones, parameters that exclude each other).

From Microsoft's reference of the module MicrosoftTeams, learn.microsoft.com/powershell/module/microsoftteams, one page for
each cmdlet. Of a cmdlet only those parameters are listed that a set-up script has any business with; a value is a type or the
values that the page allows. A cmdlet that reads is called without parameters but where one is listed.
"""

TEXT, NUMBER, TRUTH, SWITCH, LIST, BLOCK = "text", "number", "truth", "switch", "list", "block"

USAGES = {"Identity": TEXT, "Description": TEXT, "OnlinePstnUsages": LIST}

PARAMETERS = {
    "New-CsOnlinePSTNGateway": {
        "Fqdn": TEXT, "Identity": TEXT, "SipSignalingPort": NUMBER, "Enabled": TRUTH, "Description": TEXT, "MaxConcurrentSessions": NUMBER,
        "MediaBypass": TRUTH, "ForwardCallHistory": TRUTH, "ForwardPai": TRUTH, "SendSipOptions": TRUTH,
    },
    "Get-CsOnlinePstnUsage": {"Identity": ("Global",)},
    "Set-CsOnlinePstnUsage": {"Identity": ("Global",), "Usage": LIST},
    "New-CsOnlineVoiceRoute": {**USAGES, "Name": TEXT, "NumberPattern": TEXT, "OnlinePstnGatewayList": LIST, "Priority": NUMBER},
    "New-CsOnlineVoiceRoutingPolicy": USAGES,
    "New-CsVoiceNormalizationRule": {
        "Identity": TEXT, "Parent": TEXT, "Name": TEXT, "Description": TEXT, "Pattern": TEXT, "Translation": TEXT,
        "IsInternalExtension": TRUTH, "Priority": NUMBER, "InMemory": SWITCH,
    },
    "New-CsTenantDialPlan": {"Identity": TEXT, "Description": TEXT, "SimpleName": TEXT, "NormalizationRules": LIST},
    "New-CsTeamsCallingPolicy": {
        "Identity": TEXT, "Description": TEXT, "AllowVoicemail": ("AlwaysEnabled", "AlwaysDisabled", "UserOverride"),
        "AllowCallForwardingToUser": TRUTH, "AllowCallForwardingToPhone": TRUTH,
    },
    # read without parameters
    **{f"Get-Cs{noun}": {} for noun in [
        "Tenant", "OnlinePSTNGateway", "OnlineVoiceRoute", "OnlineVoiceRoutingPolicy", "TenantDialPlan", "TeamsCallingPolicy",
        "CallingLineIdentity", "ExternalAccessPolicy", "TeamsAppPermissionPolicy", "TeamsAppSetupPolicy", "TeamsCallParkPolicy",
        "TeamsChannelsPolicy", "TeamsEmergencyCallRoutingPolicy", "TeamsEmergencyCallingPolicy", "TeamsMeetingPolicy",
        "TeamsMessagingPolicy", "TeamsUpdateManagementPolicy", "TeamsUpgradePolicy",
    ]},
    # the script's own functions, and what every PowerShell has
    "New-Missing": {"What": TEXT, "Exists": TRUTH, "Make": BLOCK},
    "Test-Named": {}, "Test-Lacks": {}, "Set-StrictMode": {"Version": ("Latest",)}, "Out-Null": {}, "Write-Output": {}, "Write-Warning": {},
}

# one parameter of each group has to be there, and no second one
ONE_OF = {
    "New-CsOnlinePSTNGateway": [("Fqdn", "Identity"), ("SipSignalingPort",)],
    "Set-CsOnlinePstnUsage": [("Usage",)],
    "New-CsOnlineVoiceRoute": [("Identity", "Name")],
    "New-CsOnlineVoiceRoutingPolicy": [("Identity",)],
    # for Teams a rule is made in memory only, and has a scope and a name of its own
    "New-CsVoiceNormalizationRule": [("Identity", "Parent"), ("Identity", "Name"), ("InMemory",)],
    "New-CsTenantDialPlan": [("Identity",)],
    "New-CsTeamsCallingPolicy": [("Identity",)],
    "New-Missing": [("What",), ("Exists",), ("Make",)],
}
