//! `tandem accounts connect` and `disconnect`, and `tandem jobs run --sign-in`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

use anyhow::{Context as _, Result};

use crate::lab::{Lab, SOON, TENANT};

const SIGN_IN: &str = "\n[sign_in]\nclient_id = \"c0ffee00-0000-4000-8000-000000000002\"\n";

fn with_sign_in(lab: &Lab) -> Result<()> {
    let text = std::fs::read_to_string(lab.config())? + SIGN_IN;
    Ok(std::fs::write(lab.config(), text)?)
}

fn account(lab: &Lab, more: &str) -> Result<()> {
    let file = lab.accounts(&format!("[[account]]\nname = \"alpha\"\nlabel = \"Alpha\"\n{more}\n"))?;
    lab.good(&["accounts", "apply", &file]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_says_what_it_lacks() -> Result<()> {
    let lab = Lab::start().await?;
    account(&lab, "")?;
    let told = lab.bad(&["accounts", "connect", "alpha", "--no-browser"])?;
    assert!(told.contains("[sign_in]"), "{told}");
    with_sign_in(&lab)?;
    let told = lab.bad(&["accounts", "connect", "beta", "--no-browser"])?;
    assert!(told.contains("there is no account beta"), "{told}");
    let told = lab.bad(&["accounts", "connect", "alpha", "--no-browser", "--tenant", "nowhere.example"])?;
    assert!(told.contains("Microsoft knows no organisation nowhere.example"), "{told}");
    account(&lab, &format!("tenant = \"{TENANT}\""))?;
    let told = lab.bad(&["accounts", "connect", "alpha", "--no-browser", "--tenant", "stranger.example"])?;
    assert!(told.contains("is connected to the organisation"), "{told}");
    // nobody is asked to sign in where the token could not be sealed afterwards
    let ask = ["jobs", "run", "--account", "alpha", "--reason", "test", "--sign-in", "--no-browser"];
    let told = lab.bad(&ask)?;
    assert!(told.contains("vault.public_key_file"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_served_until_the_link_is_too_old() -> Result<()> {
    let lab = Lab::start().await?;
    account(&lab, "")?;
    with_sign_in(&lab)?;
    let arguments =
        ["accounts", "connect", "alpha", "--no-browser", "--timeout", "3s", "--tenant", "customer.example"];
    let mut child = lab.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let address = lines
        .find_map(|line| line.ok().filter(|line| line.trim().starts_with("http://localhost:")))
        .context("an address")?;
    let address: url::Url = address.trim().parse()?;
    let mut stream = TcpStream::connect(("127.0.0.1", address.port().context("a port")?))?;
    stream.set_read_timeout(Some(SOON))?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        address.path(),
        address.authority()
    );
    stream.write_all(request.as_bytes())?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("Connect Alpha"), "{page}");
    assert!(page.contains("customer.example"), "{page}");
    let output = child.wait_with_output()?;
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr)?;
    assert!(told.contains("nobody has connected the account; the link is closed"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_leaves_its_tenant() -> Result<()> {
    let lab = Lab::start().await?;
    account(&lab, &format!("tenant = \"{TENANT}\""))?;
    assert!(lab.good(&["accounts", "disconnect", "alpha"])?.contains("not connected any more"));
    let shown = lab.good(&["accounts", "show", "alpha", "--output", "json"])?;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    assert!(shown["authorization"].is_null(), "{shown}");
    assert!(lab.bad(&["accounts", "disconnect", "alpha"])?.contains("alpha has no tenant"));
    Ok(())
}
