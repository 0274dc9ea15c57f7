//! SSH (RFC 4253 section 4.2): who says its version first, in how many segments, and what servers say before.
use super::Made;
use crate::wire::{Talk, pcap, route};
use benches::dialog::Side::{Client, Server};
use benches::dialog::ssh::{CLIENT, CLIENT_LISTS, SERVER, SERVER_LISTS, kexinit};

pub(crate) const CASES: &[Made] = &[
    ("ssh_plain", || versions(&format!("{CLIENT}\r\n"), &format!("{SERVER}\r\n"))),
    ("ssh_lf", || versions("SSH-2.0-client\n", "SSH-1.99-server\n")),
    ("ssh_comments", || versions("SSH-2.0-client some words\r\n", "SSH-2.0-server_1.0 others\r\n")),
    ("ssh_server_first", || {
        let mut talk = open();
        talk.server(format!("{SERVER}\r\n")).client(format!("{CLIENT}\r\n"));
        keys(&mut talk)
    }),
    ("ssh_with_keys", || {
        let mut talk = open();
        talk.client([format!("{CLIENT}\r\n").as_bytes(), &kexinit(&CLIENT_LISTS)].concat());
        talk.server([format!("{SERVER}\r\n").as_bytes(), &kexinit(&SERVER_LISTS)].concat());
        pcap(talk.end())
    }),
    ("ssh_banner_apart", || {
        let mut talk = open();
        talk.server("Authorised use only.\r\n").server(format!("{SERVER}\r\n")).client(format!("{CLIENT}\r\n"));
        keys(&mut talk)
    }),
    ("ssh_banner_together", || {
        let mut talk = open();
        talk.server(format!("Authorised use only.\r\nGo away.\r\n{SERVER}\r\n")).client(format!("{CLIENT}\r\n"));
        keys(&mut talk)
    }),
    ("ssh_banner_behind_client", || {
        let mut talk = open();
        talk.client(format!("{CLIENT}\r\n")).server(format!("Authorised use only.\r\n{SERVER}\r\n"));
        keys(&mut talk)
    }),
    ("ssh_cut", || {
        let mut talk = open();
        talk.pieces(Client, format!("{CLIENT}\r\n"), &[10, 20], &[0, 1, 2]);
        talk.pieces(Server, format!("{SERVER}\r\n"), &[2, 12], &[0, 1, 2]);
        keys(&mut talk)
    }),
    ("ssh_cut_line_end", || {
        let mut talk = open();
        talk.pieces(Client, format!("{CLIENT}\r\n"), &[CLIENT.len()], &[0, 1]).server(format!("{SERVER}\r\n"));
        keys(&mut talk)
    }),
    ("ssh_swapped", || {
        let mut talk = open();
        talk.pieces(Client, format!("{CLIENT}\r\n"), &[8, 16, 24], &[0, 2, 1, 3]).server(format!("{SERVER}\r\n"));
        keys(&mut talk)
    }),
    ("ssh_sent_twice", || {
        let mut talk = open();
        talk.pieces(Client, format!("{CLIENT}\r\n"), &[], &[0, 0]).pieces(
            Server,
            format!("{SERVER}\r\n"),
            &[],
            &[0, 0],
        );
        keys(&mut talk)
    }),
];

fn open() -> Talk {
    Talk::tcp(route(40_006, 22))
}

fn keys(talk: &mut Talk) -> Vec<u8> {
    pcap(talk.client(kexinit(&CLIENT_LISTS)).server(kexinit(&SERVER_LISTS)).end())
}

fn versions(client: &str, server: &str) -> Vec<u8> {
    let mut talk = open();
    keys(talk.client(client).server(server))
}
