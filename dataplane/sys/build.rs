//! Compiles the C part of the feature `dpdk` and links what it calls. Without the feature there is nothing to do.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "dpdk")]
    dpdk::build();
}

#[cfg(feature = "dpdk")]
mod dpdk {
    use std::process::Command;

    /// What the shim itself calls. Drivers are loaded by DPDK from its folder when it starts.
    const LIBRARIES: [&str; 5] = ["rte_ethdev", "rte_mbuf", "rte_mempool", "rte_ring", "rte_eal"];

    pub(super) fn build() {
        println!("cargo::rerun-if-changed=src/dpdk/shim.c");
        let (Some(flags), Some(folders)) = (asked("--cflags"), asked("--libs-only-L")) else {
            println!("cargo::error=the feature dpdk needs DPDK 22.11 or newer: apt-get install libdpdk-dev pkg-config");
            return;
        };
        cc::Build::new().file("src/dpdk/shim.c").opt_level(3).flags(flags).compile("sonda_dpdk");
        for folder in folders {
            println!("cargo::rustc-link-search=native={}", folder.trim_start_matches("-L"));
        }
        LIBRARIES.iter().for_each(|name| println!("cargo::rustc-link-lib=dylib={name}"));
    }

    /// What pkg-config says of libdpdk, if it knows it.
    fn asked(what: &str) -> Option<Vec<String>> {
        let output = Command::new("pkg-config").args([what, "libdpdk >= 22.11"]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.split_whitespace().map(str::to_string).collect())
    }
}
