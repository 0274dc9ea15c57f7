//! The registry: one word adds one module, which is one file of that name with `ABOUT` and `main`.
use crate::report::mapping;
use trap::module::{self, ModuleInfo};

/// A NEMEA module as the multi-call binary starts it.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Name of the file, the command and the link.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// Runs it with the arguments behind its name and answers the exit code.
    pub run: fn(&[String]) -> u8,
}

macro_rules! modules {
    ($($(#[$gate:meta])? $name:ident),+ $(,)?) => {
        $($(#[$gate])? pub mod $name;)+

        /// Those that are a file here.
        const OWN: &[Module] = &[$($(#[$gate])? Module { name: stringify!($name), about: $name::ABOUT, run: $name::main }),+];
    };
}

modules! {
    logger, logreplay, traffic_repeater, unirecfilter, merger, agg, biflow_aggregator, anonymizer, prefix_tags, endiverter, topn,
    flowcounter, mux, demux, nfwriter, nfdump_reader, natpair, json_dump, json_replay, unirec2json, link_traffic, link_traff2json,
    proto_traffic, munin, ipv6stats, pdns_exporter, flow_age_stats, debug_sender, backscatter, bloom_history, sni_dataset_saver,
    device_classifier, email_reporter, resolver, scalar_agg, #[cfg(feature = "lua")] luamodule,
    vportscan_detector, vportscan_aggregator, haddrscan_detector, haddrscan_aggregator, amplification_detection,
    brute_force_detector, ddos_detector, hoststatsnemea, sip_bf_detector, dnstunnel_detection, voip_fraud_detection,
    waintrusion_detector, smtp_spam_detector, ipblacklistfilter, urlblacklistfilter, dnsblacklistfilter,
    blacklist_aggregator, bl_downloader, adaptive_filter, miner_detector, backscatter_classifier,
    dga_detector, beacon_detector, exfiltration_detector, new_service_detector, reflection_detector, evaluator,
    login_bf_detector, fingerprint_detector, doh_tunnel_detector,
}

/// All modules, in the order of the documentation; the reporters are the last.
pub const ALL: &[Module] = &{
    let mut all = [OWN[0]; OWN.len() + mapping::ALL.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < OWN.len() { OWN[at] } else { mapping::ALL[at - OWN.len()] };
        at += 1;
    }
    all
};

/// The module of this name.
pub fn find(name: &str) -> Option<&'static Module> {
    // Debian and the folder of the original call it so.
    let name = if name == "nfreader" { "nfdump_reader" } else { name };
    // Scripts in Python are installed with their ending.
    let name = name.strip_suffix(".py").unwrap_or(name);
    ALL.iter().find(|m| m.name == name)
}

/// Opens the interfaces of a module as [`start`] does, with code 1, and reads its other words. An error is the exit code, here that of
/// `refused`, and everything was said.
pub(crate) fn begin<S, E: std::fmt::Display>(
    info: &ModuleInfo,
    args: &[String],
    parse: impl FnOnce(&[String]) -> Result<S, E>,
    refused: impl FnOnce(&E) -> u8,
) -> Result<(S, module::Module), u8> {
    let module = start(info, args, 1)?;
    match parse(&module.args[1..]) {
        Ok(settings) => Ok((settings, module)),
        Err(why) => {
            eprintln!("{why}");
            Err(refused(&why))
        }
    }
}

/// Opens the interfaces of a module; an error is the exit code, everything was said. `init_failure` is the code of the original
/// for interfaces that cannot be opened (spec/trap.md section 1.1).
///
/// The first of the module's arguments is its name.
pub(crate) fn start(info: &ModuleInfo, args: &[String], init_failure: u8) -> Result<module::Module, u8> {
    let argv = std::iter::once(info.name.to_owned()).chain(args.iter().cloned());
    module::start(info, argv).map_err(|exit| match exit.report(info) {
        1 if exit.is_init() => init_failure,
        code => code as u8,
    })
}
