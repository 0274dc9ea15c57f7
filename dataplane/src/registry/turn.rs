//! What is done with one plugin: a function for each, so that none prepares what another one may need.
use super::arena::Arena;
use super::hook::Hook;
use super::rows::Rows;
use super::{Link, PluginId};
use crate::plugin::{Context, Plugin, Pool, Slab, Slots, Step};

/// Where plugins keep what they keep of one flow.
pub(super) struct Keeps<'a> {
    pub(super) slab: &'a mut Slab,
    pub(super) rows: &'a mut Rows,
    pub(super) row: &'a mut u32,
}

/// Calls a hook of one plugin; `is_cut`: another one has already asked for the record to end. A function for each plugin, or the
/// compiler makes one of them all, which prepares what any of them may need before it calls one.
#[inline(never)]
pub(super) fn turn<P: Plugin>(
    (plugin, pool): &mut (P, Pool<P>),
    Keeps { slab, rows, row }: &mut Keeps<'_>,
    id: PluginId,
    hook: Hook,
    ctx: &Context<'_, '_>,
    is_cut: bool,
) -> Step {
    let kept = rows.head(**row, id);
    let mut head = kept;
    let mut slots = Slots { pool, slab, head: &mut head };
    let step = match hook {
        Hook::Create => plugin.create(ctx, &mut slots),
        Hook::Before => plugin.before(ctx, &mut slots),
        Hook::After => plugin.after(ctx, &mut slots),
    };
    // A record that ends here is exported at once, from where it is.
    if !P::RESIDENT && !is_cut && !matches!(step, Step::Flush | Step::Reinsert) && slots.pool.is_open() {
        slots.put_away();
    }
    // A flow of which nothing is kept has no row.
    if head != kept || (!P::RESIDENT && pool.is_open()) {
        match rows.open(row, id) {
            Some(place) => *place = head,
            None => Slots { pool, slab, head: &mut head }.clear(),
        }
    }
    step
}

/// Which records a plugin had of a flow: any, and one that says for certain what the flow is.
#[derive(Clone, Copy, Default)]
pub(super) struct Gathered {
    pub(super) any: bool,
    pub(super) certain: bool,
}

/// Copies the records that one plugin has of a flow; a function for each, as [`turn`] is.
#[inline(never)]
pub(super) fn gather<P: Plugin>(
    pool: &mut Pool<P>,
    slab: &mut Slab,
    mut head: u32,
    arena: &mut Arena<P::Record>,
    id: PluginId,
    links: &mut Vec<Link>,
) -> Gathered {
    let mut gathered = Gathered::default();
    Slots { pool, slab, head: &mut head }.exported(|kept| {
        let at = arena.add(kept);
        links.push(Link { id, at });
        gathered.any = true;
        gathered.certain |= P::is_certain(&arena.records[at as usize]);
    });
    gathered
}
