//! One output of the filter: which records go there, and as what.
use super::FilterModuleError;
use super::entries::{Entry, Model};
use crate::filter::{Expr, FilterError, Program};
use crate::recast::Recast;
use record::unirec::{Template, View};
use std::io::Write;
use trap::{Format, Gathered, Output};

/// Bytes of a variable-length value that is copied, as in the original; the rest of a longer one is cut.
const VALUE_MAX: usize = 1024;

/// Bytes of records that are gathered before the output is asked for, also within a container.
const GATHERED: usize = 64 * 1024;

/// An output with its filter, resolved for the current input template.
#[derive(Debug)]
pub(super) struct Outlet {
    /// Parameters of the interface as given, for messages.
    name: String,
    filter: Vec<u8>,
    /// `None` accepts every record.
    expr: Option<Expr>,
    program: Option<Program>,
    model: Model,
    recast: Recast,
    /// Records on their way to the output, in its template.
    gathered: Gathered,
    pub(super) dropped: u64,
}

impl Outlet {
    /// Reads the template of the entry and tells its defaults on standard output; [`Outlet::compile`] comes next.
    pub(super) fn new(name: &str, entry: &Entry, input: &Template) -> Result<Outlet, FilterModuleError> {
        let model = Model::parse(&entry.template)?;
        model.check(input)?;
        for note in &model.notes {
            println!("{note}");
        }
        let recast = recast(input, &model);
        Ok(Outlet {
            name: name.to_owned(),
            filter: entry.filter.clone(),
            expr: None,
            program: None,
            model,
            recast,
            gathered: Gathered::default(),
            dropped: 0,
        })
    }

    /// Reads the filter, resolves it for `input` and tells it on standard output.
    pub(super) fn compile(&mut self, input: &Template) -> Result<(), FilterModuleError> {
        self.try_compile(input).map_err(|why| self.bad_filter(&why))
    }

    /// Adapts to a changed template of the input. What the filter says was told before.
    pub(super) fn input_changed(&mut self, input: &Template) -> Result<(), FilterModuleError> {
        self.model.check(input)?;
        self.recast = recast(input, &self.model);
        if let Some(expr) = &self.expr {
            self.program = Some(Program::new(expr, input).map_err(|why| self.bad_filter(&why))?);
        }
        Ok(())
    }

    pub(super) fn format(&self) -> Format {
        Format::UniRec(self.model.template.spec())
    }

    /// Gathers a record that the filter accepts, and sends when that is much; false when nothing can be sent any more.
    #[inline]
    pub(super) fn offer(&mut self, view: &View<'_>, output: &mut Output) -> bool {
        if self.program.as_ref().is_some_and(|program| !program.accepts(view)) {
            return true;
        }
        let recast = &self.recast;
        if !matches!(self.gathered.push_with(|out| recast.append(view, out)), Ok(true)) {
            self.dropped += 1;
        }
        self.gathered.size() < GATHERED || self.send(output)
    }

    /// Sends what was gathered; false when nothing can be sent any more.
    pub(super) fn send(&mut self, output: &mut Output) -> bool {
        if self.gathered.is_empty() {
            return true;
        }
        let done = output.send_batch(&self.gathered.batch());
        self.gathered.clear();
        self.dropped += done.dropped;
        !done.is_over
    }

    fn try_compile(&mut self, input: &Template) -> Result<(), FilterError> {
        self.expr = Expr::parse(&self.filter)?;
        let Some(expr) = &self.expr else { return Ok(()) };
        let program = Program::new(expr, input)?;
        // Where nobody reads standard output, filtering goes on.
        let _ = std::io::stdout().write_all(&program.announcement(expr, &self.name));
        self.program = Some(program);
        Ok(())
    }

    /// Tells as the original does; its standard output has two lines of that.
    fn bad_filter(&self, why: &FilterError) -> FilterModuleError {
        eprintln!("Parsing error: {why}");
        println!("[{}] Filter: SYNTAX ERROR\n", self.name);
        println!("[URFilter] Syntax error in filter: {}.", String::from_utf8_lossy(&self.filter));
        FilterModuleError::Filter
    }
}

fn recast(input: &Template, model: &Model) -> Recast {
    match View::new(&model.template, &model.record) {
        Ok(defaults) => Recast::with_model(input, &defaults, VALUE_MAX),
        // The builder of the model makes records of its template only.
        Err(_) => Recast::new(input, &model.template),
    }
}
