//! The passwords of the console: those of the settings, and where none was ever set, one that is made.

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use console::password::{fits, hash};
use console::ports::{PasswordHash, Role, Sessions};
use schemas::Edge;

use crate::print;
use crate::settings::{Secret, Settings};

/// How many bytes of chance make a password: 144 bits, as 24 characters that can be typed.
const PASSWORD_BYTES: usize = 18;

/// Has the store check what the settings say. A password that is the one from before ends no session. One
/// that was taken out of the settings stays for admins, who would be locked out, and goes for auditors.
pub(super) async fn set_passwords(
    sessions: &dyn Sessions,
    settings: &Settings,
    edge: &dyn Edge,
) -> anyhow::Result<()> {
    let (admin, auditor) = (&settings.console_password, &settings.console_auditor_password);
    if let (Some(admin), Some(auditor)) = (admin, auditor)
        && admin.expose() == auditor.expose()
    {
        bail!(
            "console_auditor_password is the same as console_password: give auditors one of their own"
        );
    }
    let stored = sessions.password(Role::Admin).await?;
    match (admin, stored) {
        (Some(given), stored) => set(sessions, Role::Admin, given, stored, edge).await?,
        (None, Some(_)) => {}
        (None, None) => make(sessions, edge).await?,
    }
    let stored = sessions.password(Role::Auditor).await?;
    match (auditor, stored) {
        (Some(given), stored) => set(sessions, Role::Auditor, given, stored, edge).await?,
        (None, Some(_)) => sessions.set_password(Role::Auditor, None).await?,
        (None, None) => {}
    }
    Ok(())
}

async fn set(
    sessions: &dyn Sessions,
    role: Role,
    given: &Secret,
    stored: Option<PasswordHash>,
    edge: &dyn Edge,
) -> anyhow::Result<()> {
    let (given, salt) = (given.expose().to_owned(), edge.secret());
    let fresh = tokio::task::spawn_blocking(move || {
        let is_the_same = stored.is_some_and(|stored| fits(&given, &stored));
        (!is_the_same).then(|| hash(&given, &salt))
    });
    if let Some(fresh) = fresh.await? {
        sessions.set_password(role, Some(fresh)).await?;
    }
    Ok(())
}

async fn make(sessions: &dyn Sessions, edge: &dyn Edge) -> anyhow::Result<()> {
    let password = URL_SAFE_NO_PAD.encode(&edge.secret()[..PASSWORD_BYTES]);
    let (hashed, salt) = (password.clone(), edge.secret());
    let hash = tokio::task::spawn_blocking(move || hash(&hashed, &salt)).await?;
    sessions.set_password(Role::Admin, Some(hash)).await?;
    print::line(format_args!("Password of the console, shown this once: {password}"))?;
    Ok(())
}
