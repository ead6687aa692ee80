//! The binary `dsync`: reads the command line and hands over.

use std::ffi::c_void;
use std::process::ExitCode;
use std::time::Duration;

use server::cli::{self, Command, ConfigCommand, Parsed, Role};
use server::settings::{self, Resolved, Settings, SettingsError};
use server::telemetry::{self, Telemetry};
use server::{client, demo, offline, print, serve};
use tokio::runtime::Runtime;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// Its allocator stands in the place of the C library's, which Rust calls as well. This is what has it linked, wherever
/// a linker looks for `malloc` first.
#[used]
static ALLOCATOR: unsafe extern "C" fn(usize) -> *mut c_void = libmimalloc_sys::mi_malloc;

/// How long threads may still take when all that is awaited has ended.
const LEFT_BEHIND: Duration = Duration::from_millis(100);

/// It did not work.
const FAILURE: u8 = 1;

/// The command line or the settings are wrong. Clap ends with the same.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let parsed = match cli::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    match run(parsed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ended(&error),
    }
}

fn run(Parsed { cli, flags }: Parsed) -> anyhow::Result<()> {
    if let Command::Config(ConfigCommand::Env) = cli.command {
        return Ok(print::line(settings::reference(cli.json))?);
    }
    let only = matches!(cli.command, Command::Demo).then_some(cli::DEMO_SETTINGS);
    let resolved = settings::load(&flags, cli.config.as_deref(), only)?;
    if let Command::Config(ConfigCommand::Print) = cli.command {
        return Ok(print::line(settings::effective(&resolved, cli.json))?);
    }
    // The only provider that is built in. It fails where one is installed, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    to_its_end(runtime, hand_over(cli.command, resolved, cli.json))
}

/// Runs what the process is for, and waits for no thread behind it: the system may take half a minute to look up a name
/// that nobody waits for any more.
fn to_its_end<T>(runtime: Runtime, work: impl Future<Output = T>) -> T {
    let ended = runtime.block_on(work);
    runtime.shutdown_timeout(LEFT_BEHIND);
    ended
}

async fn hand_over(command: Command, resolved: Resolved, json: bool) -> anyhow::Result<()> {
    let log_level_given = resolved.is_given("log_level");
    let listen_given = resolved.is_given("listen");
    let listed = settings::listed(&resolved);
    let settings = resolved.settings;
    match command {
        Command::Serve(chosen) => {
            let telemetry = begin(&settings)?;
            let roles = if chosen.roles.is_empty() { Role::ALL.to_vec() } else { chosen.roles };
            serve::run(settings, listed, roles, telemetry).await
        }
        Command::Demo => {
            let mut settings = settings;
            // The demo prints a story; a line of log for each request would drown it.
            if !log_level_given {
                settings.log_level = Targets::new().with_default(LevelFilter::WARN);
            }
            let telemetry = begin(&settings)?;
            demo::run(settings, listen_given, telemetry).await
        }
        Command::Verify { directory } => {
            begin(&settings)?;
            offline::verify(settings, directory, json).await
        }
        Command::Rebuild { accept_loss } => {
            begin(&settings)?;
            offline::rebuild(settings, accept_loss, json).await
        }
        command @ (Command::Org(_)
        | Command::Directory(_)
        | Command::HostName(_)
        | Command::PortalLink(_)
        | Command::Endpoint(_)
        | Command::Key(_)
        | Command::SigningKey(_)
        | Command::User(_)
        | Command::Group(_)
        | Command::Event(_)
        | Command::Audit(_)
        | Command::Events(_)) => Ok(client::run(command, &settings, json).await?),
        Command::Config(_) => unreachable!("answered before there was a runtime"),
    }
}

/// What every command that opens log and store does first.
fn begin(settings: &Settings) -> anyhow::Result<Telemetry> {
    settings.require_built()?;
    Ok(telemetry::start(settings)?)
}

/// Says what went wrong, in words alone, and with which code to end.
fn ended(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        // Whoever read the output has what it wanted.
        return ExitCode::SUCCESS;
    }
    print::note(format_args!("error: {error:#}"));
    ExitCode::from(if error.is::<SettingsError>() { USAGE } else { FAILURE })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let cause = cause.downcast_ref::<std::io::Error>();
        cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_lookup_that_hangs_does_not_keep_the_process() {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        let (system, hangs) = mpsc::sync_channel::<()>(1);
        let (ended, has_ended) = mpsc::sync_channel(1);
        let process = std::thread::spawn(move || {
            to_its_end(runtime, async {
                tokio::task::spawn_blocking(move || hangs.recv());
            });
            ended.send(()).unwrap();
        });
        has_ended.recv_timeout(Duration::from_secs(10)).unwrap();
        drop(system);
        process.join().unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn whoever_asks_for_memory_asks_mimalloc() {
        let addresses = [libc::malloc as *const (), libmimalloc_sys::mi_malloc as *const ()];
        assert_eq!(addresses[0], addresses[1]);
    }
}
