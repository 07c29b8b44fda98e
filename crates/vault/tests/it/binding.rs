//! A secret opens for what it was sealed for and nothing else.

use proptest::prelude::*;
use secrecy::SecretString;
use tandem_domain::{AccountId, ObjectId, TenantId};
use tandem_vault::{Binding, Sealed, VaultError};
use uuid::Uuid;

use crate::lab::{Ring, account, app_credential, job_token, person, request, tenant, text};

#[test]
fn what_was_sealed_opens() {
    let ring = Ring::new();
    for (binding, secret) in
        [(job_token(), "header.payload.signature"), (app_credential(), ""), (job_token(), "é\n\0")]
    {
        let sealed = ring.sealer.seal(&binding, &secret.into()).unwrap();
        assert_eq!(sealed.key_id(), ring.sealer.key_id());
        let stored = Sealed::parse(sealed.as_bytes().to_vec()).unwrap();
        assert_eq!(text(&ring.opener.open(&binding, &stored).unwrap()), secret);
    }
}

#[test]
fn i18_a_secret_moved_to_another_row_or_kind_does_not_open() {
    let ring = Ring::new();
    let other = Uuid::from_u128(7);
    let sealed = ring.sealer.seal(&job_token(), &"token".into()).unwrap();
    let moved = [
        Binding::job_token(AccountId(other), tenant(), request(), person()),
        Binding::job_token(account(), TenantId(other), request(), person()),
        Binding::job_token(account(), tenant(), other, person()),
        Binding::job_token(account(), tenant(), request(), ObjectId(other)),
        // account and tenant swapped, request and person swapped
        Binding::job_token(AccountId(tenant().0), TenantId(account().0), request(), person()),
        Binding::job_token(account(), tenant(), person().0, ObjectId(request())),
        app_credential(),
    ];
    for binding in moved {
        let error = ring.opener.open(&binding, &sealed).unwrap_err();
        assert!(matches!(error, VaultError::DoesNotOpen), "{binding:?}: {error}");
    }
    let sealed = ring.sealer.seal(&app_credential(), &"pem".into()).unwrap();
    for binding in [job_token(), Binding::app_credential(account(), TenantId(other))] {
        assert!(ring.opener.open(&binding, &sealed).is_err(), "{binding:?}");
    }
}

#[test]
fn two_seals_of_one_secret_have_nothing_in_common() {
    let ring = Ring::new();
    let seal = || ring.sealer.seal(&job_token(), &"token".into()).unwrap();
    let (one, two) = (seal(), seal());
    assert_ne!(one.as_bytes()[10..], two.as_bytes()[10..]);
}

#[test]
fn nothing_that_opens_or_seals_prints_a_secret() {
    let ring = Ring::new();
    let sealed = ring.sealer.seal(&job_token(), &"hush-hush".into()).unwrap();
    let key = std::fs::read_dir(ring.folder.path()).unwrap().next().unwrap().unwrap().path();
    let line = std::fs::read_to_string(key).unwrap();
    let private = line.split_whitespace().last().unwrap();
    let opened = ring.opener.open(&job_token(), &sealed).unwrap();
    let printed = format!("{:?} {sealed:?} {:?} {opened:?}", ring.opener, ring.sealer);
    assert!(!printed.contains("hush") && !printed.contains(private), "{printed}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_secret_comes_back(secret in ".{0,3000}") {
        let ring = Ring::new();
        let sealed = ring.sealer.seal(&job_token(), &SecretString::from(secret.clone())).unwrap();
        let opened = ring.opener.open(&job_token(), &sealed).unwrap();
        prop_assert_eq!(text(&opened), secret);
    }

    #[test]
    fn a_flipped_bit_does_not_open(secret in "[ -~]{0,64}", place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let ring = Ring::new();
        let sealed = ring.sealer.seal(&job_token(), &secret.into()).unwrap();
        let mut bytes = sealed.as_bytes().to_vec();
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let opened = Sealed::parse(bytes).and_then(|sealed| ring.opener.open(&job_token(), &sealed));
        prop_assert!(opened.is_err(), "bit {} of byte {}", bit, at);
    }

    #[test]
    fn what_was_cut_or_grew_does_not_open(keep in any::<prop::sample::Index>(), more in prop::collection::vec(any::<u8>(), 1..4)) {
        let ring = Ring::new();
        let bytes = ring.sealer.seal(&job_token(), &"some token".into()).unwrap().as_bytes().to_vec();
        let cut = bytes[..keep.index(bytes.len())].to_vec();
        let grown = [bytes, more].concat();
        for bytes in [cut, grown] {
            let opened = Sealed::parse(bytes).and_then(|sealed| ring.opener.open(&job_token(), &sealed));
            prop_assert!(opened.is_err());
        }
    }

    #[test]
    fn garbage_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let ring = Ring::new();
        let opened = Sealed::parse(bytes).and_then(|sealed| ring.opener.open(&job_token(), &sealed));
        prop_assert!(opened.is_err());
    }
}
