//! Key files: who may read them, what may stand in them, and how keys rotate.

use std::os::unix::fs::PermissionsExt;

use tandem_vault::{Keyring, Opener, PublicKey, Sealer, VaultError};

use crate::lab::{Ring, job_token, text};

#[test]
fn i19_keys_rotate_without_a_gap() {
    let ring = Ring::new();
    let before = ring.sealer.seal(&job_token(), &"before".into()).unwrap();
    let new = ring.add(60);
    // the opener was started before the new key existed
    let sealer = ring.opener.newest().unwrap();
    assert_eq!(sealer.key_id(), new);
    let after = sealer.seal(&job_token(), &"after".into()).unwrap();
    let started_early = Opener::load(ring.folder.path()).unwrap();
    for opener in [&ring.opener, &started_early] {
        assert_eq!(text(&opener.open(&job_token(), &before).unwrap()), "before");
        assert_eq!(text(&opener.open(&job_token(), &after).unwrap()), "after");
    }
    ring.drop_key(before.key_id());
    let restarted = Opener::load(ring.folder.path()).unwrap();
    assert_eq!(text(&restarted.open(&job_token(), &after).unwrap()), "after");
    let error = restarted.open(&job_token(), &before).unwrap_err();
    assert!(matches!(&error, VaultError::KeyMissing { key_id, .. } if *key_id == before.key_id()), "{error}");
    assert_eq!(error.code(), "sealing_key_missing");
}

#[test]
fn i19_a_key_that_was_added_after_the_start_is_found() {
    let ring = Ring::new();
    let new = ring.add(60);
    let keys = Keyring::load(ring.folder.path()).unwrap();
    let public = keys.keys().find(|key| key.id() == new).unwrap();
    let sealed = Sealer::new(public).seal(&job_token(), &"token".into()).unwrap();
    assert_eq!(text(&ring.opener.open(&job_token(), &sealed).unwrap()), "token");
}

#[test]
fn f67_a_ring_that_cannot_be_read_is_told_and_never_empty() {
    let ring = Ring::new();
    let file = ring.folder.path().join(format!("{}.key", ring.sealer.key_id()));
    let fails = || Opener::load(ring.folder.path()).unwrap_err();
    for mode in [0o604, 0o640, 0o660] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(fails(), VaultError::Exposed { .. }), "{mode:o}");
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    for text in
        ["", "no key", "tandem-sealing-private-key-1 0 AAAA", "tandem-sealing-private-key-2 0 QUFB more"]
    {
        std::fs::write(&file, text).unwrap();
        assert!(matches!(fails(), VaultError::NotAKey { .. }), "{text}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(fails(), VaultError::Empty { .. }));
    let gone = ring.folder.path().join("nowhere");
    let error = Opener::load(&gone).unwrap_err();
    assert!(matches!(error, VaultError::Unreadable { .. }));
    assert_eq!(error.code(), "keyring_unusable");
}

#[test]
fn key_files_are_for_their_owner_only_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let ring = folder.path().join("keyring");
    let key = Keyring::add(&ring, 5).unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&ring), mode(&ring.join(format!("{}.key", key.id())))), (0o700, 0o600));
    Keyring::add(&ring, 6).unwrap();
    assert_eq!(Keyring::load(&ring).unwrap().keys().map(|key| key.created()).collect::<Vec<_>>(), [5, 6]);
    let names: Vec<_> = std::fs::read_dir(&ring).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn the_public_file_says_who_to_seal_to_and_opens_nothing() {
    let ring = Ring::new();
    let file = ring.folder.path().join("sealing.pub");
    let keys = Keyring::load(ring.folder.path()).unwrap();
    Keyring::publish(&file, &keys.newest()).unwrap();
    let sealer = Sealer::load(&file).unwrap();
    assert_eq!(sealer.key_id(), ring.sealer.key_id());
    assert!(matches!(
        Opener::load(&file).unwrap_err(),
        VaultError::NotAKey { .. } | VaultError::Exposed { .. }
    ));
    assert!("tandem-sealing-public-key-1 5".parse::<PublicKey>().is_err());
    std::fs::write(&file, "something else").unwrap();
    assert!(matches!(Sealer::load(&file).unwrap_err(), VaultError::NotAKey { .. }));
}
