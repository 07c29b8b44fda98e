//! The wanted state of one user.

use tandem_domain::plan::Code;
use tandem_domain::policy::{Condition, PolicyRule, PolicyType, Service};
use tandem_domain::wanted::{AccountSettings, Mapping, WantedNumber, wanted_user};
use tandem_domain::{Number, NumberError, Profile};

use crate::tenant::{CALLING, number, oid, user};

fn settings() -> AccountSettings {
    let rule = |when, policy_type: &str, services| PolicyRule {
        when,
        policy_type: policy_type.into(),
        policy_name: "by-rule".into(),
        services,
    };
    AccountSettings {
        voice_routing_policy: Some("routing".into()),
        dial_plan: Some("dial-plan".into()),
        shared_number: Some(Number::parse("+442079460100").unwrap()),
        location_id: Some("location".into()),
        rules: vec![
            rule(Condition::Set { field: "voicemail_enabled".into() }, CALLING, vec![Service::Voice]),
            rule(Condition::Set { field: "dnd".into() }, PolicyType::DIAL_PLAN, vec![]),
            rule(Condition::Always, "TeamsAppSetupPolicy", vec![Service::App]),
        ],
    }
}

fn profile(dids: &[&str], extension: Option<&str>) -> Profile {
    Profile {
        did_numbers: dids.iter().map(|did| (*did).to_owned()).collect(),
        extension: extension.map(str::to_owned),
        enabled: true,
        ..Profile::default()
    }
}

fn mapping(service: Service, chosen: Option<u8>) -> Mapping {
    Mapping { user: user(1), oid: oid(1), service, number: chosen.map(number) }
}

#[test]
fn the_chosen_number_goes_before_the_first_usable_one_and_the_shared_one() {
    let wants = |chosen, dids: &[&str], ext| {
        wanted_user(&mapping(Service::Voice, chosen), &profile(dids, ext), &settings()).number
    };
    let one = |text: &str| WantedNumber::Number(Number::parse(text).unwrap());
    let dids = ["2125550100", "+12125550102", "+12125550101"];
    assert_eq!(wants(Some(2), &dids, Some("1001")), one("+12125550102"));
    assert_eq!(wants(Some(7), &dids, Some("1001")), one("+12125550101"));
    assert_eq!(wants(None, &[], Some("1001")), one("+442079460100;ext=1001"));
    assert_eq!(wants(None, &[], None), WantedNumber::None);
    // a number that is there, but unusable, is said, not papered over with the shared one
    let unusable = |text: &str, why| WantedNumber::Unusable { text: text.to_owned(), why };
    assert_eq!(wants(None, &dids[..1], Some("1001")), unusable("2125550100", NumberError::NoPlus));
    assert_eq!(wants(None, &[], Some("10*1")), unusable("+442079460100;ext=10*1", NumberError::Extension));
}

#[test]
fn rules_go_before_the_accounts_own_policies_and_services_differ() {
    let policies = |service, profile: &Profile| {
        let wanted = wanted_user(&mapping(service, None), profile, &settings());
        let named = wanted.policies.iter().map(|(kind, name)| format!("{kind}={name}"));
        (wanted.number.number().is_some(), named.collect::<Vec<_>>())
    };
    let mut user = profile(&["+12125550101"], Some("1001"));
    let voice = ["OnlineVoiceRoutingPolicy=routing", "TenantDialPlan=dial-plan"].map(str::to_owned).to_vec();
    assert_eq!(policies(Service::Voice, &user), (true, voice));
    (user.dnd, user.voicemail_enabled) = (true, true);
    let ruled = ["OnlineVoiceRoutingPolicy=routing", "TeamsCallingPolicy=by-rule", "TenantDialPlan=by-rule"];
    assert_eq!(policies(Service::Voice, &user), (true, ruled.map(str::to_owned).to_vec()));
    user.dnd = false;
    assert_eq!(policies(Service::App, &user), (false, vec!["TeamsAppSetupPolicy=by-rule".to_owned()]));
    user.enabled = false;
    assert_eq!(policies(Service::Voice, &user), (false, vec![]));
    assert_eq!(policies(Service::App, &user), (false, vec![]));
}

#[test]
fn codes_are_unique_and_speak_one_name() {
    let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    for code in Code::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        assert_eq!(code.to_string(), code.as_str());
    }
}
