//! Makes streams and consumers, and makes them again when the broker has lost them.
//!
//! At the start settings that differ are brought in line. Later only what is missing is made: during an upgrade two
//! releases may run side by side, and must not change each other's settings to and fro.

use async_nats::jetstream::{
    ErrorCode,
    consumer::{self, PullConsumer},
    context::GetStreamErrorKind,
    stream::{self, ConsumerErrorKind},
};
use tandem_runtime::{BoxError, chain};
use tandem_wire::{ConsumerSettings, StreamSettings};

use crate::{
    Bus, BusError,
    convert::{consumer_config, consumer_difference, stream_config, stream_difference},
};

/// How much a pass over streams and consumers may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Make what is missing, change what differs, and read it back.
    Align,
    /// Make what is missing.
    Mend,
}

impl Bus {
    /// Makes these streams or brings them in line; from then on they are looked after.
    pub async fn ensure_streams(&self, streams: &[StreamSettings]) -> Result<(), BusError> {
        self.want(|wanted| wanted.streams.extend(streams.iter().map(|s| (s.name.clone(), s.clone()))));
        self.pass(Mode::Align).await
    }

    /// Makes this consumer or brings it in line; from then on it is looked after.
    pub async fn ensure_consumer(&self, settings: &ConsumerSettings) -> Result<(), BusError> {
        let key = (settings.stream.clone(), settings.name.clone());
        self.want(|wanted| wanted.consumers.insert(key, settings.clone()));
        self.pass(Mode::Align).await
    }

    /// Makes whatever is missing, now.
    pub async fn heal(&self) -> Result<(), BusError> {
        self.pass(Mode::Mend).await
    }

    /// One pass over everything that should exist; the health check tells how it went.
    pub(crate) async fn pass(&self, mode: Mode) -> Result<(), BusError> {
        let _one_at_a_time = self.0.healing.lock().await;
        let result = self.everything(mode).await;
        match &result {
            Ok(()) => self.0.check.ok(),
            Err(error @ BusError::OldServer { .. }) => self.0.check.failed(error.to_string()),
            Err(error) => self.0.check.degraded(chain(error)),
        }
        result
    }

    async fn everything(&self, mode: Mode) -> Result<(), BusError> {
        if !self.connected() {
            return Err(BusError::Unavailable);
        }
        self.check_version()?;
        let (streams, consumers) = self.want(|wanted| {
            let consumers: Vec<_> = wanted.consumers.values().cloned().collect();
            (wanted.streams.values().cloned().collect::<Vec<_>>(), consumers)
        });
        for settings in &streams {
            self.stream(settings, mode).await?;
        }
        for settings in &consumers {
            let info = self.consumer(settings, mode).await?;
            let unanswered = u64::try_from(info.num_ack_pending).unwrap_or(u64::MAX);
            self.0.instruments.backlog(&settings.name, info.num_pending, unanswered);
        }
        Ok(())
    }

    async fn stream(&self, settings: &StreamSettings, mode: Mode) -> Result<(), BusError> {
        let name = &settings.name;
        let refused = |source: BoxError| BusError::Stream { name: name.clone(), source };
        let wanted = stream_config(settings);
        let found = match self.0.jetstream.get_stream(name).await {
            Ok(stream) => Some(stream.cached_info().config.clone()),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(told) if told.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    None
                }
                _ => return Err(refused(error.into())),
            },
        };
        match found {
            None => {
                tracing::info!(stream = %name, "making a stream");
                self.0
                    .jetstream
                    .create_stream(wanted.clone())
                    .await
                    .map_err(|error| refused(error.into()))?;
            }
            Some(found) if mode == Mode::Align => match stream_difference(&wanted, &found) {
                None => return Ok(()),
                Some(setting) => {
                    tracing::info!(stream = %name, setting, "changing a stream");
                    // only what is ours is changed: the rest stays as an administrator may have set it
                    let changed = overlay(found, &wanted);
                    self.0.jetstream.update_stream(changed).await.map_err(|error| refused(error.into()))?;
                }
            },
            Some(_) => return Ok(()),
        }
        self.0.instruments.healed(name);
        let kept = self.0.jetstream.get_stream(name).await.map_err(|error| refused(error.into()))?;
        match stream_difference(&wanted, &kept.cached_info().config) {
            None => Ok(()),
            Some(setting) => Err(BusError::SettingIgnored { name: name.clone(), setting }),
        }
    }

    async fn consumer(&self, settings: &ConsumerSettings, mode: Mode) -> Result<consumer::Info, BusError> {
        let ConsumerSettings { stream, name, .. } = settings;
        let refused =
            |source: BoxError| BusError::Consumer { stream: stream.clone(), name: name.clone(), source };
        let found = match self.pull_consumer(settings).await {
            Ok(found) => Some(found.cached_info().clone()),
            Err(error) => match error.kind() {
                ConsumerErrorKind::JetStream(told) if told.error_code() == ErrorCode::CONSUMER_NOT_FOUND => {
                    None
                }
                _ => return Err(refused(error.into())),
            },
        };
        if let Some(found) = found
            && (mode == Mode::Mend || consumer_difference(settings, &found.config).is_none())
        {
            return Ok(found);
        }
        tracing::info!(consumer = %name, stream = %stream, "making or changing a consumer");
        let kept = self
            .0
            .jetstream
            .create_consumer_on_stream(consumer_config(settings), stream)
            .await
            .map_err(|error| refused(error.into()))?;
        self.0.instruments.healed(name);
        match consumer_difference(settings, &kept.cached_info().config) {
            None => Ok(kept.cached_info().clone()),
            Some(setting) => Err(BusError::SettingIgnored { name: name.clone(), setting }),
        }
    }

    pub(crate) async fn pull_consumer(
        &self,
        settings: &ConsumerSettings,
    ) -> Result<PullConsumer, stream::ConsumerError> {
        self.0.jetstream.get_consumer_from_stream(&settings.name, &settings.stream).await
    }
}

fn overlay(found: stream::Config, wanted: &stream::Config) -> stream::Config {
    stream::Config {
        description: wanted.description.clone(),
        subjects: wanted.subjects.clone(),
        retention: wanted.retention,
        discard: wanted.discard,
        storage: wanted.storage,
        max_age: wanted.max_age,
        max_bytes: wanted.max_bytes,
        max_message_size: wanted.max_message_size,
        num_replicas: wanted.num_replicas,
        duplicate_window: wanted.duplicate_window,
        ..found
    }
}
