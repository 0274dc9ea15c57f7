//! The outputs that a command line asks for, opened.
use super::Args;
use super::options::{Values, WhenFull};
use super::rules;
use crate::outputs::{self, LZ4_MTUS};
use crate::run::{Source, unix_secs};
use dataplane::export::ipfix::{Interface, IpfixConfig, IpfixExporter, Options, Selection, Target, TlsFiles};
use dataplane::export::json::JsonExporter;
use dataplane::export::kafka::KafkaConfig;
use dataplane::export::netflow::{NetflowConfig, NetflowExporter};
use dataplane::export::table::TableExporter;
use dataplane::export::unirec::{Group, UnirecConfig, UnirecExporter};
use dataplane::export::{Exporter, OpenError};
use dataplane::lane::Selector;
use dataplane::registry::PluginId;
use trap::{Place, Stop};

pub(super) fn open(args: &Args, inputs: &[Source], stop: &Stop) -> Result<Vec<Box<dyn Exporter>>, OpenError> {
    let mut exporters: Vec<Box<dyn Exporter>> = Vec::new();
    let dir = dir(args);
    for config in ipfix(args, inputs)? {
        exporters.push(Box::new(IpfixExporter::open(config, unix_secs())?));
    }
    for (version, peer) in &args.output.netflow {
        let (version, mtu, domain) = (*version, args.output.mtu, args.output.domain);
        let (sampling, selection) = sampling(args)?;
        let random = selection != Selection::Systematic;
        let config = NetflowConfig { version, mtu, domain, dir, sampling, random, ..NetflowConfig::to(peer.clone()) };
        exporters.push(Box::new(NetflowExporter::open(config, unix_secs())?));
    }
    if !args.output.unirec.is_empty() {
        let interfaces = args.output.unirec.iter().map(|text| interface(text)).collect::<Result<_, _>>()?;
        let config = UnirecConfig { interfaces, id: args.output.domain.into(), dir: 0, odid: false, eof: true };
        let place = Place { stop: stop.clone(), ..Place::default() };
        exporters.push(Box::new(UnirecExporter::open(config, &place)?));
    }
    if let Some(path) = &args.output.json {
        exporters.push(Box::new(JsonExporter::open(Some(path.clone()))?));
    }
    for config in kafka(args) {
        exporters.push(config.open().map_err(of_option)?);
    }
    exporters.extend(rules::open(args, inputs)?);
    if exporters.is_empty() || args.output.table {
        exporters.push(Box::new(TableExporter::open()?));
    }
    Ok(exporters)
}

/// Checks what can be checked of the outputs without opening one.
///
/// # Errors
/// The option that cannot be used, and why.
pub(super) fn check(args: &Args) -> Result<(), OpenError> {
    ipfix(args, &[])?.iter().try_for_each(|config| config.check().map_err(of_option))?;
    sampling(args)?;
    kafka(args).try_for_each(|config| config.check().map_err(of_option))?;
    args.output.unirec.iter().try_for_each(|text| interface(text).map(drop))
}

/// The IPFIX outputs, one for each collector unless they stand in for each other, and one for the file.
fn ipfix(args: &Args, inputs: &[Source]) -> Result<Vec<IpfixConfig>, OpenError> {
    let options = options(args, inputs)?;
    let config = |target| base(args, options.as_ref(), target);
    let mut configs = outputs::collectors(args.output.collectors, &args.output.ipfix, config)
        .map_err(|e| OpenError::Config(format!("--collectors: {e}")))?;
    if let Some(folder) = &args.output.spool {
        outputs::spool(&mut configs, folder, args.output.spool_size << 20);
    }
    configs.extend(args.output.ipfix_file.clone().map(|path| config(Target::File(path))));
    Ok(configs)
}

/// The Kafka outputs. Packets of an interface do not wait for brokers, whatever `--overflow` says of slow outputs.
fn kafka(args: &Args) -> impl Iterator<Item = KafkaConfig> {
    let may_wait = args.input.interfaces.is_empty() && args.output.overflow == WhenFull::Wait;
    args.output.kafka.iter().map(move |config| KafkaConfig { may_wait, ..config.clone() })
}

/// With the option in front, which begins as the output's name does.
fn of_option(why: OpenError) -> OpenError {
    OpenError::Config(format!("--{why}"))
}

/// The number that the original writes for all interfaces, where its values are wanted.
fn dir(args: &Args) -> Option<u32> {
    (args.output.compat == Values::Ipfixprobe).then_some(0)
}

/// An IPFIX output as the command line wants all of them.
pub(super) fn base(args: &Args, options: Option<&Options>, target: Target) -> IpfixConfig {
    let (mtu, domain, dir) = (args.output.mtu, args.output.domain, dir(args));
    let lz4 = args.output.lz4.then(|| LZ4_MTUS * u32::from(mtu)).filter(|_| !matches!(target, Target::File(_)));
    let identity = args.output.tls_cert.clone().zip(args.output.tls_key.clone());
    let tls = TlsFiles { authority: args.output.tls_ca.clone(), identity, name: args.output.tls_name.clone() };
    IpfixConfig {
        target,
        mtu,
        domain,
        dir,
        lz4,
        tls,
        dtls_lifetime_secs: args.output.dtls_lifetime,
        options: options.cloned(),
        retry_secs: 5,
        ..IpfixConfig::default()
    }
}

/// What collectors are told besides flows, if they are to be told anything. Of interfaces the live ones; files have no names for theirs.
pub(super) fn options(args: &Args, inputs: &[Source]) -> Result<Option<Options>, OpenError> {
    if args.output.no_options || args.output.compat != Values::Correct {
        return Ok(None);
    }
    let live = inputs.iter().filter(|input| input.readers.iter().any(|reader| reader.source.is_live()));
    let told = |input: &Source| {
        let (index, name) = (input.interface, input.name.clone());
        Interface { index, description: name.clone(), name }
    };
    let (sampling, selection) = sampling(args)?;
    Ok(Some(Options { sampling, selection, interfaces: live.map(told).collect() }))
}

/// How many packets each one stands for, by what did not reach the probe and what it leaves out, and how they were chosen.
fn sampling(args: &Args) -> Result<(u32, Selection), OpenError> {
    let before = args.output.sampling;
    let Some(own) = args.input.sample else { return Ok((before, Selection::Systematic)) };
    let interval = before.checked_mul(own.one_in).ok_or_else(|| {
        OpenError::Config(format!("--sampling {before} and --sample {own}: one packet in so many cannot be told"))
    })?;
    let selection = match own.selector {
        Selector::Systematic => Selection::Systematic,
        Selector::Random => Selection::Random,
        Selector::Flow => Selection::Flows { one_in: own.one_in },
    };
    Ok((interval, selection))
}

/// `SPEC` or `PLUGIN[,PLUGIN]=SPEC`: a specifier begins with a letter and a colon, so a `=` before the first colon ends the plugins.
fn interface(text: &str) -> Result<(trap::IfcSpec, Group), OpenError> {
    let colon = text.find(':').unwrap_or(text.len());
    let (group, spec) = match text[..colon].split_once('=') {
        None => (Group::Basic, text),
        Some((names, _)) => {
            let mut plugins = Vec::new();
            for name in names.split(',') {
                let no = || OpenError::Config(format!("--unirec {text}: there is no plugin '{name}'"));
                plugins.push(PluginId::from_name(name).ok_or_else(no)?);
            }
            (Group::Plugins(plugins), &text[names.len() + 1..])
        }
    };
    let parsed = trap::Spec::parse(spec).map_err(|e| OpenError::Interface(format!("--unirec {text}: {e}")))?;
    match <[trap::IfcSpec; 1]>::try_from(parsed) {
        Ok([spec]) => Ok((spec, group)),
        Err(_) => Err(OpenError::Interface(format!("--unirec {text}: give one interface, repeat --unirec for more"))),
    }
}
