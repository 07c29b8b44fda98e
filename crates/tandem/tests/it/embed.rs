//! `tandem accounts embed-link`.

use std::io::Write as _;

use anyhow::Result;

use crate::lab::{Lab, secret};

#[tokio::test(flavor = "multi_thread")]
async fn a19_an_address_for_the_pbx_is_printed_for_accounts_that_there_are() -> Result<()> {
    let lab = Lab::start().await?;
    let file = lab.accounts("[[account]]\nname = \"alpha\"\n")?;
    lab.good(&["accounts", "apply", &file])?;
    assert!(lab.bad(&["accounts", "embed-link", "alpha"])?.contains("no section [portal]"));
    let mut config = std::fs::OpenOptions::new().append(true).open(lab.config())?;
    writeln!(config, "[portal]\nbase = \"https://portal.example\"")?;
    writeln!(config, "[portal.embed]\nkey_file = \"embed.key\"\norigins = [\"https://voice.example\"]")?;
    let key = lab.dir.path().join("embed.key");
    secret(&key, "too short\n")?;
    assert!(lab.bad(&["accounts", "embed-link", "alpha"])?.contains("fewer than 32 characters"));
    secret(&key, "0123456789abcdef0123456789abcdef\n")?;
    let link = lab.good(&["accounts", "embed-link", "alpha"])?;
    assert!(link.starts_with("https://portal.example/embed/alpha?expires="), "{link}");
    assert!(!link.contains("0123456789abcdef"), "{link}");
    assert!(lab.bad(&["accounts", "embed-link", "nobody"])?.contains("there is no account nobody"));
    assert!(
        lab.bad(&["accounts", "embed-link", "alpha", "--life", "11m"])?.contains("portal.embed.max_life")
    );
    Ok(())
}
