//! Row 27, another tool puts its XDP program in the place of ours: seen within a look (half a second), an alarm that names it, and an end
//! with what was captured until then. Nothing is put back by force: whoever did that had a reason.
use crate::netns::{HERE, Netns, THERE};
use crate::started;
use crate::support::{Folder, mixture, outcome};
use crate::traffic::sendable_within;
use crate::xdp::books;
use serde_json::Value;

const OTHER: &str = "int other(void *ctx) __attribute__((section(\"xdp\")));\n\
                     int other(void *ctx) { (void)ctx; return 2; }\n\
                     char L[] __attribute__((section(\"license\"))) = \"GPL\";\n";

#[test]
fn a_program_in_the_place_of_ours_is_named_and_the_flows_until_then_are_exported() {
    let folder = Folder::new();
    let (bytes, sent) = sendable_within([mixture(2_000, 200)], 1514);
    let capture = folder.write("mixture.pcap", bytes);
    let (source, object) = (folder.write("other.c", OTHER), folder.text("other.o"));
    outcome(std::process::Command::new("clang").args(["-target", "bpf", "-O2", "-c", "-o", &object]).arg(source))
        .must(0);
    for lanes in ["1", "2"] {
        let ns = Netns::new(2);
        // The other program takes no packets in parts.
        [HERE, THERE].iter().for_each(|link| _ = ns.must("ip", &["link", "set", link, "mtu", "1500"]));
        let running = started(&ns, "af_xdp", &["--json", "-", "--lanes", lanes]);
        ns.send(&capture, 20_000);
        // Taken off by force, as its link allows to root only, and replaced before anybody looks.
        let shown: Value = serde_json::from_str(&ns.must("ip", &["-j", "link", "show", HERE])).expect("JSON");
        let program = &shown[0]["xdp"]["prog"]["id"];
        let links: Value = serde_json::from_str(&ns.must("bpftool", &["-j", "link", "list"])).expect("JSON");
        let ours = links.as_array().and_then(|links| links.iter().find(|link| link["prog_id"] == *program));
        let id = ours.map(|link| link["id"].to_string()).unwrap_or_else(|| panic!("no {program} in {links}"));
        let replace = format!("bpftool link detach id {id} && ip link set dev {HERE} xdp obj {object} sec xdp");
        ns.must("sh", &["-c", &replace]);
        let run = running.end().must(3);
        let named = run.stderr.contains("the XDP program of v0 was replaced by ");
        assert!(named || run.stderr.contains("was taken off by another tool"), "{}", run.stderr);
        let (offered, taken, lost) = books(&run);
        assert_eq!((offered, taken, lost.len()), (sent, sent, 0), "{lanes} lanes\n{}", run.stderr);
        assert!(!run.stdout.is_empty(), "the flows so far were exported");
    }
}
