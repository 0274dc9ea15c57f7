//! The filter of a rule: the language of unirecfilter, on the UniRec record of a flow.
use dataplane::batch::{Batch, FlowRecord};
use dataplane::export::rule::FlowFilter;
use dataplane::flow::Basic;
use dataplane::registry::PluginId;
use detect::filter::{Expr, Program};
use record::schema::Shown;
use record::unirec::{Layout, View};
use record::{Record, Schema};

/// A filter ready for flows.
pub(super) struct Compiled {
    program: Program,
    /// The basic fields and those of the plugins that the filter asks for: no more of a flow is written out for it.
    layout: Layout,
    plugins: Vec<PluginId>,
    record: Vec<u8>,
}

/// Why a text is no filter for flows.
pub(super) enum Wrong {
    Syntax(String),
    /// No record has this field.
    Field(String),
}

/// Reads a filter.
pub(super) fn compiled(text: &str) -> Result<Compiled, Wrong> {
    let syntax = |why: String| Wrong::Syntax(why);
    let expr = Expr::parse(text.as_bytes()).map_err(|why| syntax(why.to_string()))?;
    let expr = expr.ok_or_else(|| syntax("it is empty".into()))?;
    if !expr.echoed.is_empty() {
        let what = String::from_utf8_lossy(&expr.echoed).into_owned();
        return Err(syntax(format!("'{what}' means nothing")));
    }
    if let Some(field) = expr.fields().into_iter().find(|field| !names().any(|name| name == *field)) {
        return Err(Wrong::Field(field.into()));
    }
    let plugins = asked(&expr);
    let schemas: Vec<&'static Schema> =
        std::iter::once(Basic::SCHEMA).chain(plugins.iter().map(|plugin| plugin.schema())).collect();
    let layout = Layout::new(&schemas, &[]);
    let program = Program::new(&expr, layout.template()).map_err(|why| syntax(why.to_string()))?;
    // What can never be true is a mistake where nobody sees the module's warning.
    if let Some(warning) = program.warnings().first() {
        return Err(syntax(warning.clone()));
    }
    Ok(Compiled { program, layout, plugins, record: Vec::new() })
}

/// The plugins whose fields a filter asks for.
pub(super) fn plugins(text: &str) -> Vec<PluginId> {
    Expr::parse(text.as_bytes()).ok().flatten().map(|expr| asked(&expr)).unwrap_or_default()
}

/// All UniRec names that a flow's records have.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let basic = Basic::SCHEMA.fields.iter().filter(|field| field.shown != Shown::Never);
    basic.chain(PluginId::ALL.iter().flat_map(|plugin| plugin.schema().fields)).filter_map(|field| field.unirec)
}

/// Where plugins share a name, the first of the registry is meant.
fn asked(expr: &Expr) -> Vec<PluginId> {
    let has = |schema: &Schema, name: &str| schema.fields.iter().any(|field| field.unirec == Some(name));
    let mut plugins = Vec::new();
    for name in expr.fields().into_iter().filter(|name| !has(Basic::SCHEMA, name)) {
        let first = PluginId::ALL.iter().find(|plugin| has(plugin.schema(), name));
        plugins.extend(first.filter(|plugin| !plugins.contains(*plugin)));
    }
    plugins
}

impl FlowFilter for Compiled {
    fn accepts(&mut self, batch: &Batch, flow: &FlowRecord) -> bool {
        let basic = flow.basic();
        let encoded = self.layout.encode(&mut self.record, |sink| {
            sink.part(0);
            basic.visit(sink);
            for link in batch.links(flow) {
                // Of several records of a plugin the last one stays.
                if let Some(at) = self.plugins.iter().position(|plugin| *plugin == link.id) {
                    sink.part(at + 1);
                    batch.visit(*link, sink);
                }
            }
        });
        encoded.is_ok() && View::new(self.layout.template(), &self.record).is_ok_and(|view| self.program.accepts(&view))
    }
}
