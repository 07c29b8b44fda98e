//! Mail as files.

use std::path::Path;

use crate::carrier::{CarrierError, Handed};
use crate::paper::Paper;

/// Puts a mail into the folder, whole or not at all.
pub(crate) async fn put(folder: &Path, mail: &Paper) -> Result<Handed, CarrierError> {
    let file = folder.join(format!("{}.eml", mail.name));
    let part = folder.join(format!(".{}.part", mail.name));
    let written = async {
        tokio::fs::create_dir_all(folder).await?;
        tokio::fs::write(&part, &mail.bytes).await?;
        tokio::fs::rename(&part, &file).await
    };
    match written.await {
        Ok(()) => Ok(Handed::Taken(format!("written to {}", file.display()))),
        Err(error) => Ok(Handed::Later(format!("write {}: {error}", file.display()))),
    }
}
