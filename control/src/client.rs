//! The daemon's socket: a code, then JSON, a text or a dialogue (section 8). Clients of the original work with it.
//!
//! Differences: the socket is for its owner and group only (0660, not 0666); a reload is answered with what came of it; item 9 tells the
//! path of the log in a line of its own in place of a file in /tmp.
use crate::client::layout::warning;
use crate::client::menu::{Menu, Turn};
use crate::runner::{Command, Handle};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub mod layout;
pub mod menu;
pub mod select;

/// The first line of a client.
pub mod code {
    /// The menu.
    pub const CONFIGURE: &str = "789123";
    /// Counters of running modules, JSON.
    pub const STATISTICS: &str = "456987";
    /// All modules, JSON.
    pub const INVENTORY: &str = "113366";
    pub const RELOAD: &str = "115599";
    /// Ours: what a reload would do, JSON.
    pub const PLAN: &str = "115600";
}

/// The daemon's socket, as the original was packaged.
pub const SOCKET: &str = "/var/run/nemea-supervisor/nemea-supervisor.sock";
/// Clients at once; further ones are closed.
const CLIENTS_MAX: usize = 5;
/// For the first line.
const CODE_WAIT: Duration = Duration::from_secs(2);
/// For a client to take what it is told.
const WRITE_WAIT: Duration = Duration::from_secs(5);
/// Zeros that stop the daemon come closer together than this.
const ZERO_WAIT: Duration = Duration::from_secs(1);
/// Bytes of a line, at the most.
const LINE_MAX: u64 = 1_024;
/// Begins the line that tells the path of a log.
pub const PAGE: &str = "[INTERACTIVE] Log file: ";

/// Opens the socket; one that nobody answers is replaced.
///
/// # Errors
/// Another supervisor answers there, or the folder cannot be written.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another supervisor answers at this socket; stop it first, or give another socket with -s",
        ));
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Under another name until it has its permissions.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let _none = fs::remove_file(&new);
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o660))?;
    fs::rename(&new, path)?;
    Ok(listener)
}

/// Serves clients for ever.
pub async fn serve(listener: UnixListener, handle: Handle) {
    let (clients, menus) = (Arc::new(Semaphore::new(CLIENTS_MAX)), Arc::new(Semaphore::new(1)));
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // No descriptor is free, say: others will be.
            tokio::time::sleep(CODE_WAIT).await;
            continue;
        };
        let Ok(place) = Arc::clone(&clients).try_acquire_owned() else { continue };
        let (handle, menus) = (handle.clone(), Arc::clone(&menus));
        tokio::spawn(async move {
            // A client that is gone is no failure of ours.
            let _gone = serve_one(socket, &handle, &menus).await;
            drop(place);
        });
    }
}

async fn serve_one(socket: UnixStream, handle: &Handle, menus: &Semaphore) -> io::Result<()> {
    let (reader, mut writer) = socket.into_split();
    let mut reader = BufReader::new(reader);
    let Ok(Ok(Some(code))) = timeout(CODE_WAIT, line(&mut reader)).await else { return Ok(()) };
    let snapshot = handle.snapshot();
    match code.as_str() {
        code::STATISTICS => tell(&mut writer, &snapshot.statistics()).await,
        code::INVENTORY => tell(&mut writer, &(snapshot.inventory() + "\n")).await,
        code::RELOAD => {
            handle.logs().say("[INFO] A client asks for a reload of the configuration.");
            let reply = handle.ask(Command::Reload).await;
            tell(&mut writer, &reply.text).await
        }
        code::PLAN => tell(&mut writer, &handle.ask(Command::Plan).await.text).await,
        code::CONFIGURE => match menus.try_acquire() {
            Ok(_place) => {
                handle.logs().say("[INFO] A client has connected in configuration mode.");
                let over = configure(&mut reader, &mut writer, handle).await;
                handle.logs().say("[INFO] The client in configuration mode has disconnected.");
                over
            }
            Err(_) => {
                let why = "Another client is connected to supervisor in configuration mode, you have to wait.";
                tell(&mut writer, &warning(why)).await
            }
        },
        _ => Ok(()),
    }
}

async fn configure(
    reader: &mut BufReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
    handle: &Handle,
) -> io::Result<()> {
    let mut menu = Menu::new(true);
    tell(writer, &menu.ask().unwrap_or_default()).await?;
    loop {
        let read = if menu.counts_zeros() {
            match timeout(ZERO_WAIT, line(reader)).await {
                Ok(read) => read?,
                Err(_) => {
                    let turn = menu.zeros_ended();
                    tell(writer, &(turn.text + &menu.ask().unwrap_or_default())).await?;
                    continue;
                }
            }
        } else {
            line(reader).await?
        };
        let Some(read) = read else { return Ok(()) };
        let turn = menu.line(&read, &handle.snapshot());
        let page = turn.page.as_ref().map(|path| format!("{PAGE}{}\n", path.display())).unwrap_or_default();
        let text = page + &done(turn, handle).await + &menu.ask().unwrap_or_default();
        tell(writer, &text).await?;
    }
}

/// Does the commands of a turn; answers all that is to be shown.
pub(crate) async fn done(turn: Turn, handle: &Handle) -> String {
    let mut text = turn.text;
    for command in turn.commands {
        text += &handle.ask(command).await.text;
    }
    text
}

/// A line without its end; `None` at the end of the stream or if there is no end of the line.
async fn line(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    reader.take(LINE_MAX).read_until(b'\n', &mut bytes).await?;
    if bytes.pop() != Some(b'\n') {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned()))
}

async fn tell(writer: &mut OwnedWriteHalf, text: &str) -> io::Result<()> {
    timeout(WRITE_WAIT, writer.write_all(text.as_bytes())).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The dialogue at the supervisor's own terminal.
pub async fn at_terminal(handle: Handle, mut lines: tokio::sync::mpsc::Receiver<String>) {
    let mut menu = Menu::new(false);
    let show = |text: String| handle.logs().print(text);
    show(layout::menu(false));
    while let Some(read) = lines.recv().await {
        let turn = menu.line(&read, &handle.snapshot());
        let page = turn.page.clone();
        show(done(turn, &handle).await);
        if let Some(path) = page {
            handle.logs().settle();
            let _status = tokio::process::Command::new("less").arg("+G").arg(path).status().await;
        }
        show(menu.ask().unwrap_or_default());
    }
}
