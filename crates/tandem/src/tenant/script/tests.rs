use super::*;
use tandem_domain::policy::Service;
use uuid::uuid;

fn rule(when: Condition, kind: &str, name: &str) -> PolicyRule {
    PolicyRule { when, policy_type: kind.into(), policy_name: name.to_owned(), services: vec![] }
}

fn set(field: &str) -> Condition {
    Condition::Set { field: field.to_owned() }
}

fn tenant() -> Option<TenantId> {
    Some(TenantId(uuid!("7e4a0000-0000-4000-8000-00000000aaaa")))
}

fn plain() -> AccountSettings {
    AccountSettings {
        voice_routing_policy: Some("Provider-US".to_owned()),
        dial_plan: Some("Tag:Provider-Dial".to_owned()),
        rules: vec![
            rule(set("voicemail_enabled"), "TeamsCallingPolicy", "Tandem-PBX-Voicemail"),
            rule(set("forward_all"), "TeamsCallingPolicy", "Tandem-PBX-Voicemail"),
            rule(Condition::Always, "teamscallingpolicy", "Tandem-Plain"),
            PolicyRule {
                services: vec![Service::App],
                ..rule(Condition::Always, "TeamsAppSetupPolicy", "Provider-App")
            },
            rule(Condition::Always, "TeamsIPPhonePolicy", "Provider-Phone"),
            rule(set("dnd"), "OnlineVoiceRoutingPolicy", "Provider-International"),
            rule(set("follow_me"), "TeamsCallingPolicy", "Global"),
        ],
        ..AccountSettings::default()
    }
}

fn extensions(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn the_script_of_an_account() {
    let extensions = extensions(&["101", "1001", "front-desk", ""]);
    let setup = Setup::new(
        "alpha",
        tenant(),
        &plain(),
        &extensions,
        Some("sbc.provider.example".to_owned()),
        5061,
        None,
    );
    insta::assert_snapshot!(setup.script());
}

#[test]
fn without_a_gateway_the_script_asks_for_it() {
    let settings = AccountSettings { rules: vec![], dial_plan: None, ..plain() };
    let setup = Setup::new("alpha", None, &settings, &[], None, 5067, Some("Other".to_owned()));
    insta::assert_snapshot!(setup.script());
}

#[test]
fn names_stay_names() {
    let nasty = "x'; Remove-Item C:\\ -Recurse #\n$(Stop-Computer) \u{2019}; `\"\u{1f600}";
    let settings = AccountSettings {
        voice_routing_policy: Some(nasty.to_owned()),
        dial_plan: Some(nasty.to_owned()),
        rules: ["TeamsCallingPolicy", "TeamsAppSetupPolicy", nasty]
            .map(|kind| rule(Condition::Always, kind, nasty))
            .into(),
        ..AccountSettings::default()
    };
    let setup = Setup::new(nasty, tenant(), &settings, &[], None, 5061, Some(nasty.to_owned()));
    let script = setup.script();
    assert!(script.bytes().all(|b| b == b'\n' || (0x20..0x7f).contains(&b)), "{script}");
    insta::assert_snapshot!(script);
}

#[test]
fn nothing_named_is_nothing_to_make() {
    let settings = AccountSettings {
        rules: vec![rule(Condition::Always, "TeamsCallingPolicy", "Tag:Global")],
        ..AccountSettings::default()
    };
    assert!(Setup::new("alpha", None, &settings, &[], None, 5061, None).is_empty());
}

#[test]
fn policies_only_need_no_gateway() {
    let settings = AccountSettings {
        rules: vec![rule(set("follow_me"), "TeamsCallingPolicy", "P")],
        ..AccountSettings::default()
    };
    let script = Setup::new("alpha", None, &settings, &[], None, 5061, None).script();
    assert!(!script.contains("Gateway") && script.contains("-AllowCallForwardingToPhone $false"), "{script}");
}

#[test]
fn host_names() {
    assert_eq!(host_name("SBC1.provider.example").as_deref(), Ok("sbc1.provider.example"));
    for wrong in ["", "sbc", "sbc..example", "-a.example", "a b.example", "a'.example", "a.example."] {
        assert!(host_name(wrong).is_err(), "{wrong}");
    }
}
