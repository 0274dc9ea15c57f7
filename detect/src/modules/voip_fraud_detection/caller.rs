//! One caller: whom it called, and what was reported of it.
use super::targets::Targets;
use crate::sdk::{IpAddr, Text, Time, record};

/// Bytes of a SIP address and of an agent that are kept.
pub(super) const ADDRESS_MAX: usize = 100;
pub(super) const AGENT_MAX: usize = 80;

record! {
    /// An event.
    pub(super) struct Alert = "voip_fraud" {
        /// Never set.
        callee: IpAddr, unirec "DST_IP";
        /// Who called.
        caller: IpAddr, unirec "SRC_IP";
        /// Time of the record with which it was found.
        detected: Time, unirec "DETECTION_TIME";
        /// First INVITE of the caller.
        first: Time, unirec "TIME_FIRST";
        /// The same as long as the number behind the prefixes is the same.
        event: u32, unirec "EVENT_ID";
        /// INVITEs to the targets.
        invites: u32, unirec "VOIP_FRAUD_INVITE_COUNT";
        /// Different prefixes.
        prefixes: u32, unirec "VOIP_FRAUD_PREFIX_EXAMINATION_COUNT";
        /// Targets that took a call.
        taken: u32, unirec "VOIP_FRAUD_SUCCESSFUL_CALL_COUNT";
        /// Length of the prefix of the example.
        prefix_length: u16, unirec "VOIP_FRAUD_PREFIX_LENGTH";
        /// 40.
        kind: u8, unirec "EVENT_TYPE";
        /// Never set.
        country: Text<2>, unirec "VOIP_FRAUD_COUNTRY_CODE";
        /// Never set.
        from: Text<1>, unirec "VOIP_FRAUD_SIP_FROM";
        /// The example.
        to: Text<100>, unirec "VOIP_FRAUD_SIP_TO";
        /// Agent of its last INVITE.
        agent: Text<80>, unirec "VOIP_FRAUD_USER_AGENT";
    }
}

record! {
    /// What was seen so far.
    pub(super) struct Statistics = "voip_statistics" {
        /// Different targets.
        callees: u64, unirec "CALLEE_CNT";
        /// Callers.
        callers: u64, unirec "CALLER_CNT";
        /// INVITEs.
        invites: u64, unirec "INVITE_CNT";
    }
}

/// See the module. Times are Unix seconds.
#[derive(Debug, Default)]
pub(super) struct Caller {
    pub(super) targets: Targets,
    /// First INVITE; 0: the next one is.
    pub(super) first: u64,
    /// Last examination.
    pub(super) checked: u64,
    /// Last message.
    pub(super) last: u64,
    pub(super) reported: Option<Reported>,
    /// Alerts, and how many of them were of new events.
    pub(super) alerts: u32,
    pub(super) events: u32,
}

/// The last alert of a caller.
#[derive(Debug)]
pub(super) struct Reported {
    pub(super) event: u32,
    pub(super) at: u64,
    /// The number, without its prefix.
    pub(super) number: Vec<u8>,
}
