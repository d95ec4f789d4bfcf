//! An app for one-time codes (RFC 6238), written down once more.

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use picket::Timestamp;
use sha1::Sha1;

/// The code that an app with this secret, in base32, shows at a moment.
pub(crate) fn code(secret: &str, at: Timestamp) -> String {
    let key = BASE32_NOPAD.decode(secret.as_bytes()).expect("base32");
    let mut mac = Hmac::<Sha1>::new_from_slice(&key).expect("a key");
    let step = u64::try_from(at.secs() / 30).expect("after 1970");
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let offset = usize::from(hash[19] % 16);
    let number = hash[offset..offset + 4]
        .iter()
        .fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}
