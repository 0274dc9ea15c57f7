//! luamodule over files: the scripts that come with it, the functions that scripts call, and scripts that go wrong.
#![cfg(feature = "lua")]
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{input, module, output, path};
use detect::modules::luamodule::{self, Settings};
use detect::stream::Sender;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use trap::{Format, Place, Sent};

const FLOWS: &str = "\
ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,macaddr SRC_MAC,uint32 PACKETS,uint16 DST_PORT,char C,string NAME,bytes RAW,uint16* PORTS,ipaddr* HOPS
10.0.0.9,10.1.2.3,3000,2020-01-01T00:00:10.000000,2020-01-01T00:00:12.500000,02:00:00:00:00:01,10,53,x,\"a b\",00ff,[1|2|65535],[10.0.0.1|::1]
::1,2001:db8:1:2::3,999,2020-01-01T00:00:10.000000,2020-01-01T00:00:10.000000,02:00:00:00:00:02,0,80,y,,,[],[]
10.0.0.9,10.1.2.4,18446744073709551615,2020-01-01T00:00:00.123457,2020-01-01T00:00:01.123457,02:00:00:00:00:03,4294967295,80,z,\"c\",01,[7],[]
";

/// Runs a script file over the flows; answers the exit code and what was sent, as logger prints it.
fn run_file(script: &Path) -> (u8, String) {
    let folder = TempDir::new().unwrap();
    let at = |name| path(&folder, name);
    fs::write(at("in.csv"), FLOWS).unwrap();
    assert_eq!(module("logreplay", &["-i", &format!("f:{}", at("in.trap")), "-f", &at("in.csv")]), 0);
    let interfaces = format!("f:{},f:{}:w", at("in.trap"), at("out.trap"));
    let code = module("luamodule", &["-i", &interfaces, "-l", script.to_str().unwrap()]);
    module("logger", &["-i", &format!("f:{}", at("out.trap")), "-t", "-w", &at("out.csv")]);
    (code, fs::read_to_string(at("out.csv")).unwrap_or_default())
}

fn run(script: &str) -> (u8, String) {
    let folder = TempDir::new().unwrap();
    let file = path(&folder, "script.lua");
    fs::write(&file, script).unwrap();
    run_file(Path::new(&file))
}

/// A script whose `on_record_recv` checks all that is said.
fn holds(functions: &str, conditions: &str) {
    let checks: String = conditions
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| format!("if _REC_COUNT == 1 and not ({line}) then error([[{line}]]) end\n"))
        .collect();
    assert_eq!(run(&format!("{functions}\nfunction on_record_recv()\n{checks}end")).0, 0);
}

fn example(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/lua").join(name)
}

#[test]
fn the_examples_do_what_they_say() {
    let (code, rows) = run_file(&example("rates.lua"));
    assert_eq!(code, 0);
    let columns: Vec<_> = rows.lines().map(|line| line.split(',').collect::<Vec<_>>()).collect();
    let at = |name: &str| columns[0].iter().position(|column| column.ends_with(name)).unwrap();
    let values = |row: usize| ["DURATION", "PPS", "BPS", "BPP"].map(|name| columns[row][at(name)]);
    assert_eq!(values(1), ["2.500000", "4.000000", "1200.000000", "300"]);
    assert_eq!(values(2), ["0.000000", "0.000000", "0.000000", "0"]);
    assert!(!rows.contains("MAC") && !rows.contains("TIME_"));

    let (code, rows) = run_file(&example("networks.lua"));
    assert_eq!(code, 0);
    assert!(rows.contains("ipaddr SRC_NET") && !rows.contains("SRC_IP"));
    assert_eq!(rows.lines().count(), 3, "{rows}");
    assert!(rows.contains("10.1.2.0") && rows.contains("\"flow 2 of 10.1.2.0\""), "{rows}");
}

#[test]
fn fields_are_read() {
    holds(
        "function on_template_recv() id = ur_id('BYTES') end",
        r##"
        ur_get("BYTES") == 3000 and ur_get(id) == 3000
        select("#", ur_get("BYTES", "NONE", "PACKETS")) == 3 and select(2, ur_get("BYTES", "NONE")) == nil
        ur_get(999) == nil and ur_get(-1) == nil
        math.type(ur_get("DST_PORT")) == "float" and tostring(_REC_COUNT) == "1.0"
        ur_get("TIME_LAST") == 1577836812.5
        ur_get("SRC_MAC") == "02:00:00:00:00:01" and ur_get("C") == "x"
        ur_get("NAME") == "a b" and ur_get("RAW") == "\0\255"
        #ur_get("PORTS") == 3 and ur_get("PORTS")[3] == 65535
        tostring(ur_get("HOPS")[1]) == "10.0.0.1" and tostring(ur_get("HOPS")[2]) == "::1"
        tostring(ur_get().SRC_IP) == "10.1.2.3" and ur_get().BYTES == 3000 and ur_get().PORTS[2] == 2
        ur_type("PORTS", "HOPS") == "uint16*" and ur_type("NONE") == nil and ur_type().C == "char"
        ur_id("NONE") == nil and ur_id("DST_IP") ~= ur_id("SRC_IP")
        not pcall(ur_get, {}) and not pcall(ur_type, 5) and not pcall(ur_id, nil)
        "##,
    );
}

#[test]
fn fields_are_set() {
    let (code, rows) = run(
        "function on_template_recv()
           assert(ur_del('DST_IP', 'NONE', 'HOPS', 'C', 'RAW', 'SRC_MAC') == true)
           assert(ur_add('double D, float F', 'macaddr M,time T,ipaddr* L, int8 I,string S, uint64 U'))
         end
         function on_record_recv()
           if _REC_COUNT == 2 then return ur_drop() end
           local r = {ur_set('D', 1.5, 'F', -2, 'M', '0a:b:0:0:0:1', 'T', 1577836812.25, 'L', {ur_ip('::2'), ur_ip('1.2.3.4')},
             'I', 257.9, 'S', 'x\"y', 'U', 2^60, 'NAME', '', 'PORTS', {}, 'GONE', 1, 'DST_IP', ur_ip('::1'), 'BYTES', 'text',
             'D', true, 'L', {1}, 'M', 5, 'S', 5)}
           local want = {true, true, true, true, true, true, true, true, true, true, false, false, false, false, false, false, false}
           for i = 1, #want do assert(r[i] == want[i], i) end
           assert(#r == #want and not pcall(ur_set) and not pcall(ur_set, 'D') and not pcall(ur_set, {}, 1))
           assert(not pcall(ur_set, 'L', 5))
           if _REC_COUNT == 3 then ur_set('S', ('z'):rep(70000)) end
         end",
    );
    assert_eq!(code, 0);
    let mut rows = rows.lines();
    let header = "ipaddr SRC_IP,uint64 BYTES,double D,time T,time TIME_FIRST,time TIME_LAST,uint64 U,macaddr M,float F,uint32 PACKETS,\
        uint16 DST_PORT,int8 I,string NAME,string S,uint16* PORTS,ipaddr* L";
    assert_eq!(rows.next(), Some(header));
    let first = "10.1.2.3,3000,1.500000,2020-01-01T00:00:12.250000,2020-01-01T00:00:10.000000,2020-01-01T00:00:12.500000,\
        1152921504606846976,0a:0b:00:00:00:01,-2.000000,10,53,1,\"\",\"x\"\"y\",[],[::2|1.2.3.4]";
    assert_eq!(rows.next(), Some(first));
    // What was not set is the input's, large numbers stay exact, a value too long is not set.
    let third = rows.next().unwrap();
    assert!(third.starts_with("10.1.2.4,18446744073709551615,") && third.contains("\"x\"\"y\""), "{third}");
    assert_eq!(rows.next(), None);
}

#[test]
fn addresses_are_objects() {
    holds(
        "",
        r##"
        tostring(ur_ip("192.168.5.200") / 24) == "192.168.5.0"
        tostring((ur_ip("2001:db8:85a3::1") / 56) / 20) == "2001::"
        ur_ip("10.0.0.1") == ur_ip("\10\0\0\1") and ur_ip("10.0.0.1") ~= ur_ip("::1")
        ur_ip("") == nil and select("#", ur_ip("x", "::")) == 2 and not pcall(ur_ip, 5)
        ur_ip4(ur_ip("1.2.3.4")) and not ur_ip6(ur_ip("1.2.3.4")) and ur_ip6("::1") and not ur_ip4("x")
        not pcall(ur_ip4, nil)
        getmetatable(ur_ip("10.0.0.1")).__tobytes(ur_ip("10.0.0.1")) == "\10\0\0\1"
        string.format("%s|%d", ur_ip("::1"), ur_get("DST_PORT")) == "::1|53"
        getmetatable("").__index == string and getmetatable({}) == nil
        select(2, pcall(function() return ur_ip("::1") / 129 end)):find("Invalid mask '129' for IPv6 address")
        select(2, pcall(getmetatable(ur_ip("::1")).__div, 24, ur_ip("::1"))):find("expected IP userdata as first operand")
        not pcall(function() return ur_ip("::1") / "24" end)
        "##,
    );
}

#[test]
fn functions_have_their_place() {
    let script = "
        local function refuses(text, f, ...)
          local ok, why = pcall(f, ...)
          assert(not ok and type(why) == 'string' and why:find(text, 1, true), tostring(why))
        end
        function on_init()
          refuses(\"'ur_get' function may be called only in 'on_record_recv' function\", ur_get, 'BYTES')
          refuses(\"'ur_add' function may be called only in 'on_template_recv' function\", ur_add, 'uint8 A')
          refuses(\"'ur_id' function cannot be called in 'on_init' function\", ur_id, 'A')
          refuses('ur_drop', ur_drop)
          assert(ur_type('BYTES') == nil and next(ur_type()) == nil)
        end
        function on_template_recv()
          refuses('no arguments', ur_add)
          refuses('argument parsing', ur_add, 5)
          refuses(\"Function 'ur_del' failed to set output template\", ur_del, 'ipaddr')
          refuses('ur_set', ur_set, 'BYTES', 1)
          assert(not ur_add('tmp', 'tmp') and not ur_add('uint8 BYTES') and ur_add('uint64 BYTES'))
          assert(not ur_del('BY') and ur_del('uint64 BYTES') and not ur_del('BYTES'))
        end
        function on_record_recv()
          refuses('ur_add', ur_add, 'uint8 A')
          refuses('ur_del', ur_del)
        end";
    let (code, rows) = run(script);
    assert_eq!((code, rows.lines().count()), (0, 4));
}

#[test]
fn scripts_that_go_wrong_end_the_module() {
    for script in [
        "function on_record_recv( end",
        "x = 1",
        "error('no')",
        "on_record_recv = 5",
        "function on_record_recv() local x = nil + 1 end",
        "function on_record_recv() error({}) end",
        "function on_record_recv() return on_record_recv() + 1 end",
        "function on_record_recv() local t = {} while true do t[#t + 1] = ('x'):rep(2^20) end end",
        "function on_record_recv() ur_set('NAME') end",
        "on_init = 5 function on_record_recv() end",
        "\x1bLua",
    ] {
        assert_eq!(run(script).0, 1, "{script}");
    }
    assert_eq!(module("luamodule", &["-i", "u:none,b:", "-l", "/nowhere"]), 1);
    // The end that the script wants.
    let (code, rows) =
        run("#!/usr/bin/env lua\nfunction on_record_recv() if _REC_COUNT == 2 then pcall(os.exit, 7) end end");
    assert_eq!((code, rows.lines().count()), (7, 2));
    // Nothing is left to send.
    assert_eq!(run("function on_template_recv() ur_del() end function on_record_recv() end").0, 0);
}

#[test]
fn errors_name_the_line() {
    let folder = TempDir::new().unwrap();
    let script = path(&folder, "wrong.lua");
    fs::write(&script, "function on_record_recv()\n\n  ur_get({})\nend").unwrap();
    let place = Place::with_socket_dir(folder.path());
    let file = format!("f:{}", path(&folder, "in.trap"));
    let mut sender = output(&file, &place);
    sender.set_format(Format::UniRec("uint32 A".into())).unwrap();
    assert_eq!(sender.send(&[0; 4]), Sent::Sent);
    sender.finish().unwrap();
    let settings = Settings { script: script.into(), no_eof: false };
    let mut out = output("b:", &place);
    let ended = luamodule::run(&mut input(&file, &place), &mut Sender::new(&mut out), &settings, &place.stop);
    let why = ended.unwrap_err().to_string();
    assert!(why.starts_with("Error: on_record_recv failed: "), "{why}");
    assert!(why.contains("wrong.lua:3: Incorrect argument(s) to 'ur_get'"), "{why}");
}

#[test]
fn endless_loops_are_stopped() {
    for body in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "coroutine.wrap(function() while true do end end)()",
    ] {
        let folder = TempDir::new().unwrap();
        let (script, mark) = (path(&folder, "loop.lua"), path(&folder, "mark"));
        fs::write(&script, format!("io.open('{mark}', 'w'):close() {body} function on_record_recv() end")).unwrap();
        let place = Place::with_socket_dir(folder.path());
        let stop = place.stop.clone();
        let running = thread::spawn(move || {
            let settings = Settings { script: script.into(), no_eof: false };
            let (mut from, mut to) = (input("u:none", &place), output("b:", &place));
            luamodule::run(&mut from, &mut Sender::new(&mut to), &settings, &place.stop).unwrap()
        });
        while !Path::new(&mark).exists() {
            thread::sleep(Duration::from_millis(5));
        }
        stop.request();
        assert_eq!(running.join().unwrap(), 0, "{body}");
    }
}
