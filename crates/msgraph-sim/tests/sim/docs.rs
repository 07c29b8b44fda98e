//! `docs/simulator.md` names everything there is.

use serde_json::{Value, json};

use crate::client::Tester;

const DOC: &str = include_str!("../../../../docs/simulator.md");

/// The names in backquotes that a refusal offers.
fn offered(text: &str) -> Vec<String> {
    let (_, list) = text.split_once("expected one of").unwrap_or_else(|| panic!("{text}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The text under a heading.
fn section(heading: &str) -> &'static str {
    let (_, rest) = DOC.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    rest.split("\n## ").next().unwrap().split("\n### ").next().unwrap()
}

#[tokio::test]
async fn faults_kinds_and_captured_bodies_are_documented() {
    let t = Tester::start().await;
    let refusal = async |fault: Value| t.post("/_sim/faults", fault).await.text;
    let faults = section("### Faults");
    for action in offered(&refusal(json!({ "action": { "type": "explode" } })).await) {
        assert!(faults.contains(&format!("| `{action}` |")), "fault {action}");
    }
    let captured = refusal(json!({ "action": { "type": "captured", "name": "no_such" } })).await;
    for name in offered(&captured) {
        assert!(faults.contains(&format!("`{name}`")), "captured body {name}");
    }
    let (_, kinds) = faults.split_once("Kinds:").expect("a list of kinds");
    for kind in offered(&refusal(json!({ "kind": "no.such", "action": { "type": "truncate" } })).await) {
        assert!(kinds.contains(&format!("`{kind}`")), "kind {kind}");
    }
}

#[tokio::test]
async fn settings_are_documented() {
    let t = Tester::start().await;
    let text = section("### Settings");
    let settings = t.get("/_sim/settings").await.json;
    for (name, value) in settings.as_object().unwrap() {
        let inner = value.as_object().map(|inner| inner.keys().cloned().collect::<Vec<_>>());
        match inner {
            None => assert!(text.contains(&format!("`{name}`")), "setting {name}"),
            Some(inner) => {
                for part in inner {
                    let named =
                        text.contains(&format!("`{name}.{part}`")) || text.contains(&format!("`.{part}`"));
                    assert!(named, "setting {name}.{part}");
                }
            }
        }
    }
}

#[tokio::test]
async fn members_of_applications_and_users_are_documented() {
    let t = Tester::start().await;
    let text = section("## The world file");
    let app = t.get(&format!("/_sim/apps/{}", msgraph_sim::DEMO_APP)).await.json;
    let user = t.user("ana@contoso.example").await["spec"].clone();
    for name in app.as_object().unwrap().keys().chain(user.as_object().unwrap().keys()) {
        assert!(
            text.contains(&format!("`{name}`")) || text.contains(&format!("\"{name}\"")),
            "member {name}"
        );
    }
}

#[tokio::test]
async fn members_of_log_entries_are_documented() {
    let t = Tester::start().await;
    let entry = t.get("/_sim/requests").await.json["requests"][0].clone();
    let (_, text) = DOC.split_once("an entry has").unwrap();
    let text = text.split('\n').next().unwrap();
    for name in entry.as_object().unwrap().keys() {
        assert!(text.contains(&format!("`{name}`")), "member {name}");
    }
}
