//! A script and what keeps it in bounds: it can be stopped at any instruction, and its memory is limited.
use super::LuaError;
use super::api;
use super::records::{Phase, Records};
use mlua::chunk::ChunkMode;
use mlua::debug::Debug;
use mlua::{Error, Function, HookTriggers, Lua, Table, Value, VmState};
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use trap::Stop;

/// Bytes of a script, at the most.
const SCRIPT_MAX: u64 = 16 << 20;

/// Bytes that Lua may take for the script and its values.
pub(super) const MEMORY_MAX: usize = 256 << 20;

/// Instructions of Lua between two looks at the stop flag: below a millisecond.
const INSTRUCTIONS: u32 = 10_000;

/// A call that takes so long is told, once for each run.
const LONG: Duration = Duration::from_secs(10);

/// A loaded script.
pub(super) struct Script {
    globals: Table,
    records: Rc<RefCell<Records>>,
    control: Rc<Control>,
    count: u64,
    /// Last, so that handles go before it.
    _lua: Lua,
}

/// How a call of the script went, unless it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Called {
    Done,
    /// The stop flag is set, or the script called `os.exit`: with this exit code.
    Ended(u8),
}

/// What the script's hook looks at.
struct Control {
    stop: Stop,
    exit: Cell<Option<u8>>,
    function: Cell<&'static str>,
    /// Calls so far; the call that the hook saw last, and since when.
    calls: Cell<u64>,
    seen: Cell<Option<(u64, Instant)>>,
    has_told: Cell<bool>,
}

impl Script {
    /// Reads and runs the script, then its `on_init`.
    pub(super) fn load(path: &Path, stop: &Stop) -> Result<(Script, Called), LuaError> {
        let text = read(path).map_err(|why| LuaError::Read { path: path.to_owned(), why })?;
        let control = Rc::new(Control {
            stop: stop.clone(),
            exit: Cell::new(None),
            function: Cell::new("the script"),
            calls: Cell::new(0),
            seen: Cell::new(None),
            has_told: Cell::new(false),
        });
        let records = Rc::new(RefCell::new(Records::default()));
        let lua = prepare(&records, &control).map_err(|why| LuaError::Start(told(&why)))?;
        let mut script =
            Script { globals: lua.globals(), records, control: Rc::clone(&control), count: 0, _lua: lua.clone() };
        let chunk = lua.load(text).set_name(format!("@{}", path.display())).set_mode(ChunkMode::Text);
        match script.outcome(chunk.exec()) {
            Ok(Called::Done) => {}
            Ok(ended) => return Ok((script, ended)),
            Err(text) => return Err(LuaError::Load { path: path.to_owned(), text }),
        }
        if matches!(script.global(Phase::Record)?, Value::Nil) {
            return Err(LuaError::NoFunction);
        }
        let called = script.call_now(Phase::Init)?;
        script.count = 0;
        Ok((script, called))
    }

    /// Calls the script's function for the phase, if it has one.
    pub(super) fn call(&mut self, phase: Phase) -> Result<Called, LuaError> {
        if phase == Phase::Record {
            self.count += 1;
            // A float, as in the original.
            let set = self.globals.raw_set("_REC_COUNT", self.count as f64);
            set.map_err(|why| LuaError::Call { function: function(phase), text: told(&why) })?;
        }
        self.call_now(phase)
    }

    /// What the script's functions work on. Between calls nobody else does.
    pub(super) fn records(&self) -> Ref<'_, Records> {
        self.records.borrow()
    }

    pub(super) fn records_mut(&self) -> RefMut<'_, Records> {
        self.records.borrow_mut()
    }

    fn call_now(&self, phase: Phase) -> Result<Called, LuaError> {
        self.records_mut().phase = phase;
        self.control.function.set(function(phase));
        self.control.calls.set(self.control.calls.get() + 1);
        let called = match self.global(phase)? {
            Value::Function(function) => function.call::<()>(()),
            Value::Nil if phase != Phase::Record => return Ok(Called::Done),
            other => Err(Error::runtime(format!("attempt to call a {} value", other.type_name()))),
        };
        self.outcome(called).map_err(|text| LuaError::Call { function: function(phase), text })
    }

    fn global(&self, phase: Phase) -> Result<Value, LuaError> {
        let got = self.globals.raw_get(function(phase));
        got.map_err(|why| LuaError::Call { function: function(phase), text: told(&why) })
    }

    fn outcome(&self, called: mlua::Result<()>) -> Result<Called, String> {
        match (self.control.exit.get(), called) {
            (Some(code), _) => Ok(Called::Ended(code)),
            (None, Ok(())) => Ok(Called::Done),
            (None, Err(_)) if self.control.stop.is_set() => Ok(Called::Ended(0)),
            (None, Err(why)) => Err(told(&why)),
        }
    }
}

/// Name of the script's function.
fn function(phase: Phase) -> &'static str {
    match phase {
        Phase::Init => "on_init",
        Phase::Template => "on_template_recv",
        Phase::Record => "on_record_recv",
    }
}

/// The text of a script; its first line may be for the shell, and stays empty so that the others keep their numbers.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(SCRIPT_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > SCRIPT_MAX {
        return Err(std::io::Error::other(format!("it has more than {SCRIPT_MAX} bytes")));
    }
    if text.starts_with(b"\xef\xbb\xbf") {
        text.drain(..3);
    }
    if text.starts_with(b"#") {
        let end = text.iter().position(|b| *b == b'\n').unwrap_or(text.len());
        text.drain(..end);
    }
    Ok(text)
}

/// A Lua with its standard library but `debug` and modules written in C, with our functions, and in bounds.
fn prepare(records: &Rc<RefCell<Records>>, control: &Rc<Control>) -> mlua::Result<Lua> {
    let lua = Lua::new();
    lua.set_memory_limit(MEMORY_MAX)?;
    api::register(&lua, records)?;
    let os: Table = lua.globals().raw_get("os")?;
    let (exit, at_exit) = (Rc::clone(control), Rc::clone(control));
    let leave = move |lua: &Lua, code: Value| -> mlua::Result<()> {
        exit.exit.set(Some(match code {
            Value::Boolean(false) => 1,
            Value::Integer(code) => code as u8,
            Value::Number(code) => code as i64 as u8,
            _ => 0,
        }));
        watch(lua, Rc::clone(&at_exit), 1)?;
        Err(Error::runtime("os.exit"))
    };
    os.raw_set("exit", lua.create_function(leave)?)?;
    let debug = lua.create_table()?;
    let trace = |lua: &Lua, text: Option<String>| lua.traceback(text.as_deref(), 1);
    let trace: Function = lua.create_function(trace)?;
    debug.raw_set("traceback", trace)?;
    lua.globals().raw_set("debug", debug)?;
    watch(&lua, Rc::clone(control), INSTRUCTIONS)?;
    Ok(lua)
}

/// Looks at the stop flag each `every` instructions, also in coroutines.
fn watch(lua: &Lua, control: Rc<Control>, every: u32) -> mlua::Result<()> {
    let triggers = HookTriggers::new().every_nth_instruction(every);
    lua.set_global_hook(triggers, move |lua, debug| {
        if control.stop.is_set() || control.exit.get().is_some() {
            if every > 1 {
                // A script that catches errors meets the next one at once, until nothing catches it.
                watch(lua, Rc::clone(&control), 1)?;
            }
            return Err(Error::runtime("the module is stopped"));
        }
        control.look_at_clock(debug);
        Ok(VmState::Continue)
    })
}

impl Control {
    /// Tells of a call that takes long.
    fn look_at_clock(&self, debug: &Debug<'_>) {
        if self.has_told.get() {
            return;
        }
        match self.seen.get() {
            Some((call, since)) if call == self.calls.get() => {
                if since.elapsed() >= LONG {
                    self.has_told.set(true);
                    eprintln!(
                        "Warning: {} has been running for {} s, it is at line {} now. Ctrl-C stops it.",
                        self.function.get(),
                        LONG.as_secs(),
                        debug.current_line().unwrap_or(0)
                    );
                }
            }
            _ => self.seen.set(Some((self.calls.get(), Instant::now()))),
        }
    }
}

/// Message of an error as Lua has it: `FILE:LINE: what`, and the stack below.
fn told(error: &Error) -> String {
    match error {
        Error::RuntimeError(text) => text.clone(),
        Error::SyntaxError { message, .. } => message.clone(),
        Error::MemoryError(text) => format!("{text} (a script may take {} MiB)", MEMORY_MAX >> 20),
        Error::CallbackError { traceback, cause } => format!("{}\n{traceback}", told(cause)),
        other => other.to_string(),
    }
}
