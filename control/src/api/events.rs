//! What changes, as it changes: server-sent events (WHATWG HTML section 9.2), one for each module that is not as it was.
use super::views::Module;
use crate::runner::Handle;
use crate::snapshot::{ModuleView, Snapshot};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Watchers at a time: each holds a connection for as long as it likes.
const WATCHERS_MAX: usize = 16;
/// Events that wait for a watcher; one that is slower misses some, and is told how many.
const WAITING_MAX: usize = 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Places for watchers.
#[derive(Debug, Clone)]
pub(super) struct Watchers(Arc<Semaphore>);

impl Default for Watchers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WATCHERS_MAX)))
    }
}

/// The events of one watcher.
#[derive(Debug)]
pub(super) struct Events {
    waiting: mpsc::Receiver<Event>,
    _place: OwnedSemaphorePermit,
}

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.waiting.poll_recv(cx).map(|event| event.map(Ok))
    }
}

impl IntoResponse for Events {
    fn into_response(self) -> Response {
        Sse::new(self).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
    }
}

impl Watchers {
    /// The events of one more watcher, and the way to him. `None` when all places are taken.
    pub(super) fn place(&self) -> Option<(Events, mpsc::Sender<Event>)> {
        let place = Arc::clone(&self.0).try_acquire_owned().ok()?;
        let (send, waiting) = mpsc::channel(WAITING_MAX);
        Some((Events { waiting, _place: place }, send))
    }

    /// Begins with how all modules are, then says what changes. `None` when all places are taken.
    pub(super) fn watch(&self, handle: &Handle) -> Option<Events> {
        let (events, send) = self.place()?;
        let handle = handle.clone();
        tokio::spawn(async move {
            let mut seen = Seen::default();
            let mut snapshots = handle.watch();
            let mut missed: u64 = 0;
            loop {
                let mut news: VecDeque<Event> = seen.news(&snapshots.borrow_and_update());
                if missed > 0 && !news.is_empty() {
                    news.push_front(Event::default().event("missed").data(missed.to_string()));
                }
                for event in news {
                    match send.try_send(event) {
                        Ok(()) => missed = 0,
                        Err(mpsc::error::TrySendError::Full(_)) => missed += 1,
                        Err(mpsc::error::TrySendError::Closed(_)) => return,
                    }
                }
                tokio::select! {
                    changed = snapshots.changed() => if changed.is_err() { return },
                    () = send.closed() => return,
                }
            }
        });
        Some(events)
    }
}

/// How modules were when they were told of.
#[derive(Debug, Default)]
struct Seen(HashMap<String, (bool, Option<u32>, Option<String>)>);

impl Seen {
    /// Events for what is not as it was; counters and usage change all the time and are asked for instead.
    fn news(&mut self, snapshot: &Snapshot) -> VecDeque<Event> {
        let mut news = VecDeque::new();
        for view in &snapshot.modules {
            let now = state(view);
            if self.0.get(&view.spec.name) != Some(&now) {
                self.0.insert(view.spec.name.clone(), now);
                // It fails for data that JSON cannot say; there is none.
                news.extend(Event::default().event("module").json_data(Module::of(view)));
            }
        }
        let mut gone: Vec<String> = self.0.keys().filter(|name| !is_there(snapshot, name)).cloned().collect();
        gone.sort();
        for name in gone {
            self.0.remove(&name);
            news.extend(Event::default().event("removed").json_data(name));
        }
        news
    }
}

fn state(view: &ModuleView) -> (bool, Option<u32>, Option<String>) {
    (view.enabled, view.pid, view.parked.clone())
}

fn is_there(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.modules.iter().any(|view| view.spec.name == name)
}
