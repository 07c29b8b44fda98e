//! NATS and its security settings.

use tandem_bus::{Bus, Probe, probe_anonymous};
use tandem_runtime::config::ConfigErrors;
use tandem_runtime::{Ctx, chain};
use tandem_wire::settings;

use super::findings::{Findings, Severity};
use crate::config::Config;

const AREA: &str = "nats";

pub(super) async fn look(ctx: &Ctx, config: &Config, findings: &mut Findings) {
    let mut errors = ConfigErrors::new();
    let bus_config = config.bus.config("tandem-doctor", &mut errors);
    if !errors.is_empty() {
        // told already
        return;
    }
    match probe_anonymous(&bus_config).await {
        Probe::Refused => findings.ok(AREA, "clients without credentials are refused".to_owned()),
        Probe::Admitted => {
            let severity =
                if config.environment.is_development() { Severity::Warning } else { Severity::Error };
            let text =
                "clients without credentials are admitted: anybody who reaches the broker reads everything";
            let remedy =
                "put every user inside an account of the server's configuration and give each a password";
            findings.add(AREA, severity, text.to_owned(), Some(remedy.to_owned()));
        }
        Probe::Unreachable(why) => {
            let remedy =
                "start it, or correct [bus]; until then jobs start by sweeps, a minute later than usual";
            findings.error(AREA, format!("the broker cannot be reached: {why}"), remedy);
            return;
        }
    }
    let subjects = match config.bus.subjects() {
        Ok(subjects) => subjects,
        Err(error) => return findings.error(AREA, format!("{error:#}"), "correct bus.prefix"),
    };
    let streams = settings::all_streams(&subjects, config.bus.replicas());
    let bus = match Bus::connect(ctx, bus_config, streams.clone()).await {
        Ok(bus) => bus,
        Err(error) => {
            return findings.error(AREA, chain(&error), "run nats-server 2.12 or newer; correct [bus]");
        }
    };
    let Some(facts) = bus.server_info().filter(|_| bus.connected()) else {
        let remedy = "check the credentials of [bus]";
        return findings.error(AREA, "the broker does not let this client in".to_owned(), remedy);
    };
    findings.ok(AREA, format!("nats-server {} ({})", facts.version, facts.name));
    if !facts.jetstream {
        findings.error(AREA, "JetStream is off".to_owned(), "switch jetstream on, with a store on disk");
    }
    match bus.heal().await {
        Ok(()) => {
            let names: Vec<String> = streams.into_iter().map(|stream| stream.name).collect();
            findings.ok(AREA, format!("the streams are there: {}", names.join(", ")));
        }
        Err(error) => {
            let remedy = "let the user of [bus] manage its streams; bus.replicas must not exceed the servers";
            findings.error(AREA, format!("the streams: {}", chain(&error)), remedy);
        }
    }
    if config.bus.replicas() == 1 && !config.environment.is_development() {
        let text = "streams are kept on one server only".to_owned();
        findings.note(AREA, text, "with a cluster of three servers, set bus.replicas = 3");
    }
}
