//! Mistakes are told all at once, samples are read.

use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("/etc/tandem/tandem.toml"), Path::new("/etc/tandem"))
}

fn told(text: &str) -> Vec<String> {
    let errors =
        parse(text).err().map(|errors| errors.iter().cloned().collect::<Vec<_>>()).unwrap_or_default();
    errors.into_iter().map(|error| format!("{}: {}", error.key, error.problem)).collect()
}

const GOOD: &str = "[database]\npasswords_dir = \"passwords\"\n[bus]\ncreds_file = \"nats.creds\"\n";

#[test]
fn little_is_enough() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.environment, Environment::Production);
    assert!(config.microsoft.is_none());
    assert_eq!(longest_max_wait(&config), std::time::Duration::from_secs(350));
}

#[test]
fn samples_are_fine() {
    for name in ["basic", "advanced"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/samples/{name}.toml"));
        let config = Config::load(&file).unwrap();
        assert!(config.microsoft.is_some(), "{name}");
    }
}

/// The advanced sample shows every key with its default, but for those that describe a place.
#[test]
fn the_advanced_sample_names_the_defaults() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/samples/advanced.toml");
    let (sample, plain) = (Config::load(&file).unwrap(), parse(GOOD).unwrap());
    let text = |config: &Config| {
        let mut teams_sync = config.teams_sync.clone();
        teams_sync.worker = String::new();
        format!("{:?} {teams_sync:?} {:?}", config.debouncer, config.sync_log)
    };
    assert_eq!(text(&sample), text(&plain));
}

#[test]
fn every_mistake_is_told_by_key() {
    let text = "environment = \"production\"\ncolour = 1\n[databse]\n[database]\nhost = \"db.example\"\nport = \"hunter2\"\n\
                [bus]\nurl = \"nats://user:hunter2@nats.example\"\nprefix = \"Ü\"\n[microsoft]\n\
                authority = \"https://login.microsoftonline.us\"\nsecret_file = \"x\"\n\
                [debouncer]\nquiet = \"5m\"\nsweep = \"soon\"\n[teams_sync]\nlease_margin = \"10s\"\nladder_speed = 3\n";
    let told = told(text);
    for part in [
        "colour: is not a key",
        "databse: is no section",
        "database.port",
        "bus.url: holds credentials",
        "bus.url: is not on this machine",
        "bus.prefix",
        "bus: names no credentials",
        "microsoft.client_id: is missing",
        "microsoft.secret_file: a client secret is accepted only",
        "national cloud",
        "debouncer.sweep",
        "teams_sync.lease_margin: must be longer than microsoft.request_timeout",
        "teams_sync.ladder_speed",
    ] {
        assert!(told.iter().any(|line| line.contains(part)), "{part} is not in {told:#?}");
    }
    assert!(!told.iter().any(|line| line.contains("hunter2")), "{told:#?}");
}

#[test]
fn a_sum_above_ten_minutes_is_refused_in_words() {
    for environment in ["production", "development"] {
        let text = format!("environment = \"{environment}\"\n{GOOD}[debouncer]\nmax_wait = \"9m\"\n");
        let told = told(&text);
        assert_eq!(told.len(), 1, "{told:?}");
        let expected = "debouncer.max_wait: a job might start 790 s after the save, but 600 s are promised: poll 0 + second look 10 \
                        + max wait 540 + sweep 60 + max(hand-over 60, lease 60 + wait-out 60) + claim 60";
        assert_eq!(told[0], expected);
    }
}

#[test]
fn relative_paths_start_at_the_file() {
    let text = format!(
        "{GOOD}[[detector.sources]]\nname = \"a\"\nurl_file = \"a.url\"\nmapping = \"mappings/mine.toml\"\n\
         [[detector.sources]]\nname = \"b\"\nurl_file = \"/run/b.url\"\nmapping = \"fusionpbx\"\n"
    );
    let sources = parse(&text).unwrap().detector.sources;
    assert_eq!(sources[0].url_file, Path::new("/etc/tandem/a.url"));
    assert_eq!(sources[0].mapping, "/etc/tandem/mappings/mine.toml");
    assert_eq!(sources[1].url_file, Path::new("/run/b.url"));
    assert_eq!(sources[1].mapping, "fusionpbx");
}

#[test]
fn a_page_for_the_pbx_names_origins_and_lives_shortly() {
    let text = |embed: &str| {
        format!(
            "{GOOD}[portal]\nbase = \"https://portal.example\"\n[portal.embed]\nkey_file = \"k\"\n{embed}"
        )
    };
    assert!(parse(&text("origins = [\"https://voice.example\"]\n")).is_ok());
    for (embed, problem) in [
        ("origins = []\n", "portal.embed.origins: are none"),
        ("origins = [\"https://voice.example/page\"]\n", "is no origin of a site"),
        ("origins = [\"http://voice.example\"]\n", "is no origin of a site"),
        ("origins = [\"https://voice.example\"]\nmax_life = \"2h\"\n", "portal.embed.max_life"),
    ] {
        let told = told(&text(embed));
        assert!(told.len() == 1 && told[0].contains(problem), "{embed}: {told:?}");
    }
}
