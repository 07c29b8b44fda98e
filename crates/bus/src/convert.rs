//! Our headers, settings and versions to the client library's and back.

use std::{str::FromStr, time::Duration};

use async_nats::{
    HeaderMap, HeaderName, HeaderValue,
    jetstream::{consumer, stream},
};
use tandem_runtime::BoxError;
use tandem_wire::{ConsumerSettings, Headers, StreamSettings};

/// Headers for sending. Fails on a name or value that would break the protocol's lines.
pub(crate) fn header_map(headers: &Headers) -> Result<HeaderMap, BoxError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        map.insert(HeaderName::from_str(name)?, HeaderValue::from_str(value)?);
    }
    Ok(map)
}

/// Headers as received; of several values the last counts.
pub(crate) fn headers(map: Option<&HeaderMap>) -> Headers {
    map.into_iter()
        .flat_map(HeaderMap::iter)
        .filter_map(|(name, values)| Some((name.to_string(), values.last()?.to_string())))
        .collect()
}

/// A stream as the client library wants it.
pub(crate) fn stream_config(settings: &StreamSettings) -> stream::Config {
    stream::Config {
        name: settings.name.clone(),
        description: Some(settings.description.clone()),
        subjects: settings.subjects.clone(),
        retention: stream::RetentionPolicy::Limits,
        discard: stream::DiscardPolicy::Old,
        storage: stream::StorageType::File,
        max_age: settings.max_age,
        max_bytes: settings.max_bytes,
        max_message_size: settings.max_message_bytes,
        num_replicas: settings.replicas,
        duplicate_window: settings.duplicate_window,
        ..stream::Config::default()
    }
}

/// The first setting of a stream that is not as it should be.
pub(crate) fn stream_difference(wanted: &stream::Config, found: &stream::Config) -> Option<&'static str> {
    [
        ("subjects", wanted.subjects == found.subjects),
        ("retention", wanted.retention == found.retention),
        ("discard", wanted.discard == found.discard),
        ("storage", wanted.storage == found.storage),
        ("max_age", wanted.max_age == found.max_age),
        ("max_bytes", wanted.max_bytes == found.max_bytes),
        ("max_msg_size", wanted.max_message_size == found.max_message_size),
        ("num_replicas", wanted.num_replicas == found.num_replicas),
        ("duplicate_window", wanted.duplicate_window == found.duplicate_window),
        ("description", wanted.description == found.description),
    ]
    .into_iter()
    .find_map(|(setting, same)| (!same).then_some(setting))
}

/// A consumer as the client library wants it.
pub(crate) fn consumer_config(settings: &ConsumerSettings) -> consumer::pull::Config {
    consumer::pull::Config {
        durable_name: Some(settings.name.clone()),
        description: Some(settings.description.clone()),
        deliver_policy: consumer::DeliverPolicy::All,
        ack_policy: consumer::AckPolicy::Explicit,
        ack_wait: settings.ack_wait,
        max_deliver: settings.max_deliver,
        filter_subject: settings.filter_subject.clone(),
        max_ack_pending: settings.max_ack_pending,
        backoff: settings.backoff.clone(),
        ..consumer::pull::Config::default()
    }
}

/// The first setting of a consumer that is not as it should be.
pub(crate) fn consumer_difference(
    wanted: &ConsumerSettings,
    found: &consumer::Config,
) -> Option<&'static str> {
    // with a backoff, its first step takes the place of ack_wait
    let ack_wait = wanted.backoff.first().copied().unwrap_or(wanted.ack_wait);
    [
        ("ack_policy", found.ack_policy == consumer::AckPolicy::Explicit),
        ("ack_wait", found.ack_wait == ack_wait),
        ("max_deliver", found.max_deliver == wanted.max_deliver),
        ("filter_subject", found.filter_subject == wanted.filter_subject),
        ("max_ack_pending", found.max_ack_pending == wanted.max_ack_pending),
        ("backoff", found.backoff == wanted.backoff),
        ("description", found.description.as_deref() == Some(wanted.description.as_str())),
    ]
    .into_iter()
    .find_map(|(setting, same)| (!same).then_some(setting))
}

/// Whether a broker of this version is new enough. One that does not say its version is not.
pub(crate) fn new_enough(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= crate::OLDEST_SERVER,
        _ => false,
    }
}

/// Delays below this would be a hot loop; the broker would also take a delay of zero for none at all.
pub(crate) const SHORTEST_DELAY: Duration = Duration::from_millis(10);

/// The longest delay asked of the broker; whoever wants to wait longer has a table for it.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (version, good) in [
            ("2.12.0", true),
            ("2.15.1", true),
            ("2.12.0-RC.1", true),
            ("3.0.0", true),
            ("2.11.16", false),
            ("2.9.10", false),
            ("", false),
            ("dev", false),
        ] {
            assert_eq!(new_enough(version), good, "{version}");
        }
    }

    #[test]
    fn headers_survive_and_broken_ones_are_refused() {
        let sent = Headers::from_iter([("ce-id", "1"), ("traceparent", "00-a-b-01")]);
        assert_eq!(headers(Some(&header_map(&sent).unwrap())), sent);
        assert!(header_map(&Headers::from_iter([("ce-id", "1\r\nNats-Rollup: all")])).is_err());
        assert!(header_map(&Headers::from_iter([("ce id:", "1")])).is_err());
    }
}
