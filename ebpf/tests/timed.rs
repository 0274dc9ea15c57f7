//! The program with the card's times, on an interface whose driver has the function for it (veth: drivers/net/veth.c, which answers 0,
//! as nothing stamps its packets). Needs root.
use ebpf::{Generator, Mode, Program};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};
use sys::xsk::{HugePages, Xsk, XskConfig};

fn ip(words: &str) {
    let ok = Command::new("ip").args(words.split(' ')).status().is_ok_and(|status| status.success());
    assert!(ok, "this test makes a network namespace, run it as root: ip {words}");
}

/// Removed when this value is dropped.
struct Netns(String);

impl Drop for Netns {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.0));
    }
}

#[test]
fn it_is_loaded_for_an_interface_and_attached_in_the_driver() {
    if std::env::var_os("SONDA_INSIDE").is_some() {
        return inside();
    }
    let ns = Netns(format!("sonda-timed-{}", std::process::id()));
    ip(&format!("netns add {}", ns.0));
    ip(&format!("-n {} link add v0 mtu 9000 type veth peer name v1 mtu 9000", ns.0));
    for words in ["link set v0 up", "link set v1 up", "address add 192.0.2.1/24 dev v1"] {
        ip(&format!("-n {} {words}", ns.0));
    }
    ip(&format!("-n {} neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev v1", ns.0));
    let own = std::env::current_exe().expect("a program");
    let own = own.to_str().expect("plain");
    let test = "it_is_loaded_for_an_interface_and_attached_in_the_driver";
    let run = Command::new("ip")
        .args(["netns", "exec", &ns.0, own, "--exact", test, "--nocapture"])
        .env("SONDA_INSIDE", "1")
        .output()
        .expect("ip runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

fn inside() {
    let index = sys::interface("v0").expect("the interface").index;
    let mut program = Program::load_timed(index).unwrap_or_else(|e| panic!("{e}"));
    assert!(program.is_timed());
    let other = sys::interface("v1").expect("the other end").index;
    let elsewhere = program.attach("v1", other, true);
    assert!(matches!(elsewhere, Ok(Mode::Generic)) && !program.is_timed(), "it is bound to its interface");
    drop(program);
    let mut program = Program::load_timed(index).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(program.attach("v0", index, true).unwrap_or_else(|e| panic!("{e}")), Mode::Native);
    assert!(program.is_timed());
    stamps_arrive(&mut program, index, other);
    let watch = program.watch("v0", index).expect("it is there");
    watch.look().expect("it is ours");
    program.detach().expect("taken off");
    watch.look().expect_err("it is gone");
}

/// Packets of each kind (made in the driver, by the stack, in several frames) come with their stamp.
fn stamps_arrive(program: &mut Program, here: u32, there: u32) {
    let config = XskConfig {
        interface: here,
        queue: 0,
        sockets: 1,
        ring: 4096,
        frame_bytes: 4096,
        joined: true,
        zero_copy: None,
        huge: HugePages::No,
        busy_poll_micros: None,
    };
    let mut socket = Xsk::open(&config).unwrap_or_else(|e| panic!("{e:?}")).remove(0);
    socket.expect_stamps();
    program.give(0, &[socket.as_fd()]).expect("a place");
    Generator::new(there, 10).and_then(|mut generator| generator.send(500)).expect("sent");
    let sender = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let lengths = [10, 3_000, 8_000];
    for length in lengths {
        sender.send_to(&vec![1; length], "192.0.2.2:9").expect("sent");
    }
    let (mut small, mut long) = (0, Vec::new());
    let patience = Instant::now() + Duration::from_secs(30);
    while (small < 500 || long.len() < lengths.len()) && Instant::now() < patience {
        let taken = socket.lend(64, |packet, stamp| {
            assert_eq!(stamp, Some(0), "{} bytes", packet.len());
            // What the stack sends of itself (neighbours, multicast) is none of ours.
            let ports = packet.get(34..38).unwrap_or_default();
            small += usize::from(packet.len() == 60 && ports == [0x30, 0x39, 0, 53]);
            long.extend(lengths.iter().find(|n| **n + 42 == packet.len() && ports[2..] == [0, 9]));
        });
        if taken == 0 {
            socket.rest();
        }
    }
    assert_eq!((small, &long[..]), (500, &lengths[..]));
}
