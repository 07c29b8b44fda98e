//! Golden vectors of the stored form. They are never edited: a new form gets new ones beside them.
//!
//! Made by a second implementation of RFC 9180 (section 5.1.1 spelt out with HMAC, X25519 and AES-GCM of Python's
//! `cryptography`), which itself reproduces key and ciphertext of the RFC's appendix A.1.1. The recipient's private
//! key is the bytes 1 to 32, the ephemeral one the bytes 65 to 96.

use std::os::unix::fs::PermissionsExt;

use tandem_vault::{Opener, PublicKey, Sealed};

use crate::lab::{app_credential, job_token, text};

const PRIVATE: &str = "tandem-sealing-private-key-1 1700000000 AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
const PUBLIC: &str = "tandem-sealing-public-key-1 1700000000 B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=";

const APP_CREDENTIAL: &str = "0101433ea2f8cc42f87964b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466\
                              035fde563b2c40cfc5b5d677c17d1db5715bfc9d4838b2c6ba5896958a7c6febfffb060c0921d1";
const JOB_TOKEN: &str = "0101433ea2f8cc42f87964b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466\
                         1018dc5e373b00cbfba5de3a9a3b56be7951e290596fbd8050d5ea5d0c894ce57773fa81ed52963a";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn what_another_implementation_sealed_opens() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), PRIVATE).unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let opener = Opener::load(file.path()).unwrap();
    let public: PublicKey = PUBLIC.parse().unwrap();
    assert_eq!(public.id().to_string(), "433ea2f8cc42f879");
    assert_eq!((opener.newest().unwrap().key_id(), public.to_string()), (public.id(), PUBLIC.to_owned()));
    for (binding, sealed, secret) in [
        (app_credential(), APP_CREDENTIAL, r#"{"client_id":"example"}"#),
        (job_token(), JOB_TOKEN, "header.payload.signature"),
    ] {
        let sealed = Sealed::parse(bytes(sealed)).unwrap();
        assert_eq!(sealed.key_id(), public.id());
        assert_eq!(text(&opener.open(&binding, &sealed).unwrap()), secret);
    }
}
