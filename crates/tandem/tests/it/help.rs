//! What `--help` says is an interface.

use crate::lab::tandem;

#[test]
fn help_texts() {
    for command in [
        "",
        "run",
        "migrate",
        "config",
        "config check",
        "config roles",
        "config openapi",
        "doctor",
        "accounts",
        "accounts apply",
        "accounts app-credential",
        "accounts app-credential set",
        "accounts app-credential remove",
        "accounts connect",
        "accounts disconnect",
        "accounts embed-link",
        "accounts list",
        "accounts show",
        "accounts users",
        "accounts coverage",
        "accounts ledger",
        "jobs",
        "jobs list",
        "jobs show",
        "jobs run",
        "jobs preview",
        "jobs held",
        "jobs approve",
        "jobs reject",
        "jobs undo",
        "jobs watch",
        "jobs replay",
        "jobs cancel",
        "login",
        "keys",
        "keys new",
        "keys list",
        "keys reseal",
        "audit",
        "audit verify",
        "audit show",
        "people",
        "people list",
        "people disable",
        "people enable",
        "sources",
        "sources list",
        "sources read",
        "sources release-deletions",
        "tenant",
        "tenant setup-script",
        "up",
    ] {
        let mut words: Vec<&str> = command.split_whitespace().collect();
        words.push("--help");
        let output = tandem(&words).output().unwrap();
        assert!(output.status.success(), "{command}");
        let name = if command.is_empty() { "tandem".to_owned() } else { command.replace(' ', "_") };
        insta::assert_snapshot!(name, String::from_utf8(output.stdout).unwrap());
    }
}
