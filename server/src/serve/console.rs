//! What the console is given: what the server runs with, and its passwords, which are those of the settings, and
//! where none was ever set, one that is made.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::bail;
use api::ports::{AdminEvents, PortError};
use api::record_own;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use console::password::{fits, hash};
use console::ports::{Installation, PasswordHash, Role, Sessions, Setting};
use schemas::{Action, Edge};

use super::keys::own_action;
use crate::cli;
use crate::print;
use crate::settings::{LogSetting, Secret, Settings, StoreSetting};

/// How many bytes of chance make a password: 144 bits, as 24 characters that can be typed.
const PASSWORD_BYTES: usize = 18;

/// What the server runs with, for people.
pub(super) fn installation(
    settings: &Settings,
    listed: &[Setting],
    part: &BTreeSet<cli::Role>,
) -> Installation {
    let mut paths = Vec::new();
    let folder = absolute(&settings.data_dir);
    let is_embedded =
        settings.log == LogSetting::Embedded || settings.store == StoreSetting::Embedded;
    if is_embedded {
        paths.push(("Data", folder));
    }
    if let Ok(here) = std::env::current_dir() {
        paths.push(("Started in", here.display().to_string()));
    }
    Installation {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        roles: part.iter().map(|role| format!("{role:?}").to_lowercase()).collect(),
        paths,
        settings: listed.to_vec(),
    }
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Has the store check what the settings say. A password that is the one from before ends no session. One
/// that was taken out of the settings stays for admins, who would be locked out, and goes for auditors.
pub(super) async fn set_passwords(
    sessions: &dyn Sessions,
    actions: &dyn AdminEvents,
    settings: &Settings,
    edge: &dyn Edge,
) -> anyhow::Result<()> {
    if !settings.console.password_sign_in {
        return Ok(());
    }
    let (admin, auditor) = (&settings.console.password, &settings.console.auditor_password);
    if let (Some(admin), Some(auditor)) = (admin, auditor)
        && admin.expose() == auditor.expose()
    {
        bail!(
            "console_auditor_password is the same as console_password: give auditors one of their own"
        );
    }
    let passwords = Passwords { sessions, actions, edge };
    let stored = sessions.password(Role::Admin).await?;
    match (admin, stored) {
        (Some(given), stored) => passwords.set(Role::Admin, given, stored).await?,
        (None, Some(_)) => {}
        (None, None) => passwords.make().await?,
    }
    let stored = sessions.password(Role::Auditor).await?;
    match (auditor, stored) {
        (Some(given), stored) => passwords.set(Role::Auditor, given, stored).await?,
        (None, Some(_)) => passwords.change(Role::Auditor, None).await?,
        (None, None) => {}
    }
    Ok(())
}

/// Where passwords are kept, and who changes them is recorded.
struct Passwords<'a> {
    sessions: &'a dyn Sessions,
    actions: &'a dyn AdminEvents,
    edge: &'a dyn Edge,
}

impl Passwords<'_> {
    async fn change(&self, role: Role, hash: Option<PasswordHash>) -> Result<(), PortError> {
        let setting = match role {
            Role::Admin => "console_password",
            Role::Auditor => "console_auditor_password",
        };
        let intended = own_action(Action::ConsolePasswordChanged, Vec::new(), &[setting]);
        let change = async {
            self.sessions.set_password(role, hash).await?;
            Ok(true)
        };
        record_own(self.actions, self.edge, intended, change).await.map(drop)
    }

    async fn set(
        &self,
        role: Role,
        given: &Secret,
        stored: Option<PasswordHash>,
    ) -> anyhow::Result<()> {
        let (given, salt) = (given.expose().to_owned(), self.edge.secret());
        let fresh = tokio::task::spawn_blocking(move || {
            let is_the_same = stored.is_some_and(|stored| fits(&given, &stored));
            (!is_the_same).then(|| hash(&given, &salt))
        });
        if let Some(fresh) = fresh.await? {
            self.change(role, Some(fresh)).await?;
        }
        Ok(())
    }

    async fn make(&self) -> anyhow::Result<()> {
        let password = URL_SAFE_NO_PAD.encode(&self.edge.secret()[..PASSWORD_BYTES]);
        let (hashed, salt) = (password.clone(), self.edge.secret());
        let hash = tokio::task::spawn_blocking(move || hash(&hashed, &salt)).await?;
        self.change(Role::Admin, Some(hash)).await?;
        print::line(format_args!("Password of the console, shown this once: {password}"))?;
        Ok(())
    }
}
