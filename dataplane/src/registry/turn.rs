//! What is done with one plugin: a function for each, so that none prepares what another one may need.
use super::arena::Arena;
use super::hook::Hook;
use super::rows::Rows;
use super::{Link, PluginId};
use crate::flow::Flow;
use crate::plugin::{Context, Plugin, Pool, Slab, Slots, Step};

/// Where plugins keep what they keep of one flow.
pub(super) struct Keeps<'a> {
    pub(super) slab: &'a mut Slab,
    pub(super) rows: &'a mut Rows,
    pub(super) row: &'a mut u32,
}

/// Calls a hook of one plugin whose slots are packed; `is_cut`: another one has already asked for the record to end. A function for each plugin, or the
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
    if !is_cut && !matches!(step, Step::Flush | Step::Reinsert) && slots.pool.is_open() {
        slots.put_away();
    }
    // A flow of which nothing is kept has no row.
    if head != kept || pool.is_open() {
        match rows.open(row, id) {
            Some(place) => *place = head,
            None => Slots { pool, slab, head: &mut head }.clear(),
        }
    }
    step
}

/// Calls a hook of a plugin whose slots lie as they are: nothing is to be packed. Into each walk anew.
#[inline(always)]
pub(super) fn resident_turn<P: Plugin, const HOOK: u8>(
    (plugin, pool): &mut (P, Pool<P>),
    slab: &mut Slab,
    head: &mut u32,
    ctx: &Context<'_, '_>,
) -> Step {
    let mut slots = Slots { pool, slab, head };
    match HOOK {
        Hook::CREATE => plugin.create(ctx, &mut slots),
        Hook::BEFORE => plugin.before(ctx, &mut slots),
        _ => plugin.after(ctx, &mut slots),
    }
}

/// Whether a plugin's hook does anything.
pub(super) const fn has<P: Plugin>(hook: u8) -> bool {
    match hook {
        Hook::CREATE => true,
        Hook::BEFORE => P::BEFORE,
        _ => P::AFTER,
    }
}

/// Which records a plugin had of a flow: any, and one that says for certain what the flow is.
#[derive(Clone, Copy, Default)]
pub(super) struct Gathered {
    pub(super) any: bool,
    pub(super) certain: bool,
}

/// A flow's record that ends, as [`finish`] is told of it.
pub(super) struct Ending<'a> {
    pub(super) flow: &'a Flow,
    /// Whether plugins complete or withdraw their records.
    pub(super) last_word: bool,
    pub(super) slab: &'a mut Slab,
    /// The records of the batch, in the order of their plugins.
    pub(super) links: &'a mut Vec<Link>,
}

/// A plugin's last word about a flow; then its records of it go to the batch, and what it kept is given back. A function for each, as [`turn`] is.
#[inline(never)]
pub(super) fn finish<P: Plugin>(
    (plugin, pool): &mut (P, Pool<P>),
    head: &mut u32,
    arena: &mut Arena<P::Record>,
    id: PluginId,
    Ending { flow, last_word, slab, links }: &mut Ending<'_>,
) -> Gathered {
    let mut gathered = Gathered::default();
    let mut slots = Slots { pool, slab, head };
    if P::ENDS && *last_word {
        plugin.end(flow, &mut slots);
    }
    slots.exported(|kept| {
        let at = arena.add(kept);
        links.push(Link { id, at });
        gathered.any = true;
        gathered.certain |= P::is_certain(&arena.records[at as usize]);
    });
    slots.clear();
    gathered
}
