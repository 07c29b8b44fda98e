//! The keys that sign the simulator's tokens.

use std::sync::{Arc, OnceLock, RwLock};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use crate::util::{read, write};

/// The directory of personal accounts.
pub(crate) const CONSUMERS: Uuid = uuid!("9188040d-6c67-4c5b-b112-36a304b66dad");

/// Old keys that go on being published.
const KEPT: usize = 20;

/// A key, or the wait for it: making an RSA key takes a moment.
#[derive(Clone)]
struct Slot(Arc<OnceLock<Option<Ready>>>);

/// A key pair ready for use.
pub(crate) struct Ready {
    pub(crate) id: String,
    pub(crate) sign: EncodingKey,
    pub(crate) verify: DecodingKey,
    /// PEM of the public key.
    pub(crate) public_pem: String,
    pub(crate) jwk: Value,
}

/// All keys.
pub(crate) struct Keys {
    work: RwLock<Work>,
    /// Signs for personal accounts; made when first needed, published from then on.
    consumer: Slot,
    /// Never published: for faults.
    stranger: Slot,
}

struct Work {
    current: Slot,
    /// Newest first; published and good for tokens that were signed before.
    old: Vec<Slot>,
}

impl Slot {
    fn empty() -> Self {
        Self(Arc::default())
    }

    /// Starts making a key on a thread of its own: the first request that needs it usually comes after that moment.
    fn generate() -> Self {
        let key = Self::empty();
        let other = key.clone();
        // if no thread can be had, the first request that needs the key makes it
        drop(std::thread::Builder::new().name("signing-key".to_owned()).spawn(move || {
            other.get();
        }));
        key
    }

    /// The key; waits for it if need be. `None` if the machine cannot make one.
    fn get(&self) -> Option<&Ready> {
        self.0.get_or_init(make).as_ref()
    }
}

impl Keys {
    pub(crate) fn generate() -> Self {
        let work = Work { current: Slot::generate(), old: Vec::new() };
        Self { work: RwLock::new(work), consumer: Slot::empty(), stranger: Slot::empty() }
    }

    /// Runs with the key that signs for a directory.
    pub(crate) fn with<T>(&self, tid: Uuid, act: impl FnOnce(&Ready) -> Option<T>) -> Option<T> {
        let slot = if tid == CONSUMERS { self.consumer.clone() } else { read(&self.work).current.clone() };
        slot.get().and_then(act)
    }

    /// Runs with a key that is published nowhere.
    pub(crate) fn with_stranger<T>(&self, act: impl FnOnce(&Ready) -> Option<T>) -> Option<T> {
        self.stranger.get().and_then(act)
    }

    /// Runs with the published key of an id.
    pub(crate) fn named<T>(&self, id: &str, act: impl FnOnce(&Ready) -> Option<T>) -> Option<T> {
        let slots = self.published_slots();
        slots.iter().filter_map(|(slot, _)| slot.get()).find(|key| key.id == id).and_then(act)
    }

    /// From now on a new key signs. The old ones are published further, or forgotten.
    pub(crate) fn rotate(&self, keep: bool) {
        let mut work = write(&self.work);
        let last = std::mem::replace(&mut work.current, Slot::generate());
        if keep {
            work.old.insert(0, last);
            work.old.truncate(KEPT);
        } else {
            work.old.clear();
        }
    }

    fn published_slots(&self) -> Vec<(Slot, bool)> {
        let work = read(&self.work);
        let mut all = vec![(work.current.clone(), false)];
        all.extend(work.old.iter().map(|slot| (slot.clone(), false)));
        if self.consumer.0.get().is_some() {
            all.push((self.consumer.clone(), true));
        }
        all
    }

    /// The keys of the keys endpoint; each names the issuer it signs for. `tenant` as in the issuer of the address.
    pub(crate) fn published(&self, base: &str, tenant: &str) -> Vec<Value> {
        let issuer = |consumer: bool| match consumer {
            true => format!("{base}/{CONSUMERS}/v2.0"),
            false => format!("{base}/{tenant}/v2.0"),
        };
        let slots = self.published_slots();
        let with_issuer = |(slot, consumer): &(Slot, bool)| {
            let mut jwk = slot.get()?.jwk.clone();
            jwk["issuer"] = json!(issuer(*consumer));
            Some(jwk)
        };
        slots.iter().filter_map(with_issuer).collect()
    }
}

fn make() -> Option<Ready> {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).ok()?;
    let sign = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).ok()?;
    let jwk = Jwk::from_encoding_key(&sign, Algorithm::RS256).ok()?;
    let verify = DecodingKey::from_jwk(&jwk).ok()?;
    let id = jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).ok()?;
    let mut jwk = serde_json::to_value(&jwk).ok()?;
    for (name, value) in [("use", "sig"), ("alg", "RS256"), ("kid", &id), ("x5t", &id)] {
        jwk[name] = json!(value);
    }
    Some(Ready { id, sign, verify, public_pem: pair.public_key_pem(), jwk })
}
