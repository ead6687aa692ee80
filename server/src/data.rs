//! What of the data directory is there, looked at before anything is made in it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::serve::LogSource;
use crate::settings::{LogSetting, Settings, StoreSetting};

const LOG: &str = "log.db";
const STORE: &str = "store.db";

/// Where the setting stands, for who has started a command in another place than the server.
const NAMED_BY: &str =
    "data_dir names the directory (--data-dir, DSYNC_DATA_DIR, or data_dir in dsync.toml)";

/// Refuses to read a log and a store that are not there, so that nothing new is taken for what was looked for. A log that
/// is gone for good is a loss of all its records, which an operator may accept.
pub(crate) fn must_be_there(settings: &Settings, is_loss_accepted: bool) -> anyhow::Result<()> {
    let folder = whole(&settings.data_dir);
    let lacks = |name| Ok::<_, anyhow::Error>(!is_there(&settings.data_dir, name)?);
    let lacks_log = matches!(settings.log, LogSetting::Embedded) && lacks(LOG)?;
    let lacks_store = matches!(settings.store, StoreSetting::Embedded) && lacks(STORE)?;
    match (lacks_log, lacks_store) {
        (false, false) => Ok(()),
        (true, false) if is_loss_accepted => Ok(()),
        (true, true) => bail!(
            "there is no data of dsync in {}: no {LOG} and no {STORE}. {NAMED_BY}",
            folder.display()
        ),
        (true, false) => bail!(
            "there is no {LOG} in {}; bring it back from a backup. If it is gone for good, that is DSYNC-003. {NAMED_BY}",
            folder.display()
        ),
        (false, true) => {
            bail!(
                "there is no {STORE} in {}; bring it back from a backup. {NAMED_BY}",
                folder.display()
            )
        }
    }
}

/// Refuses to begin anew beside a history that has begun: the keys, tokens and endpoints of it are in `store.db` alone,
/// and a new one would be taken for it.
pub(crate) fn must_not_begin_anew(settings: &Settings) -> anyhow::Result<()> {
    let (LogSetting::Embedded, StoreSetting::Embedded) = (&settings.log, &settings.store) else {
        return Ok(());
    };
    let folder = &settings.data_dir;
    if is_there(folder, STORE)? || !is_there(folder, LOG)? {
        return Ok(());
    }
    let log = LogSource::of(settings);
    let mut records = 0;
    for partition in log.partitions()? {
        records += log.scan(partition)?.length;
    }
    // Every directory has a record from its creation on, so without one there was none.
    ensure!(
        records == 0,
        "{} has a {LOG} (records: {records}) and no {STORE}. Organizations, directories, keys, tokens and endpoints are in \
         {STORE} alone: bring it back from a backup, with its -wal file and the master key. To begin anew without all \
         that, move {LOG} away",
        whole(folder).display()
    );
    Ok(())
}

fn is_there(folder: &Path, name: &str) -> anyhow::Result<bool> {
    match folder.join(name).try_exists() {
        Ok(found) => Ok(found),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!(
            "this user may not look into {}; run the command as the user that dsync runs as",
            whole(folder).display()
        ),
        Err(error) => {
            Err(error).with_context(|| format!("{} cannot be read", whole(folder).display()))
        }
    }
}

/// Relative to nothing, so that it says which place was meant.
fn whole(folder: &Path) -> PathBuf {
    let whole = std::path::absolute(folder).map(|whole| whole.components().collect());
    whole.unwrap_or_else(|_| folder.to_owned())
}
