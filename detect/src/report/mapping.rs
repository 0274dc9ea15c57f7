//! The registry of reporters: one word adds one, which is one file of that name with `ABOUT` and `main` (spec/idea.md section 3).

use crate::modules::Module;

macro_rules! reporters {
    ($($name:ident),+ $(,)?) => {
        $(pub mod $name;)+

        /// All reporters.
        pub const ALL: &[Module] = &[$(Module { name: stringify!($name), about: $name::ABOUT, run: $name::main }),+];
    };
}

reporters! {
    amplification2idea, blacklist2idea, smashedblacklist2idea, bruteforce2idea, ddos_detector2idea, dgadetection2idea, dnstunnel2idea,
    haddrscan2idea, hoststats2idea, minerdetector2idea, sipbf2idea, sshbruteforceml2idea, venom2idea, voipfraud2idea, vportscan2idea,
    waintrusion_detector2idea, idea2idea,
    beacon2idea, exfiltration2idea, new_service2idea, reflection2idea,
    loginbf2idea, fingerprint2idea, dohtunnel2idea,
}
