//! example_module: receives two numbers, FOO and BAR, and sends them with their sum BAZ.
//!
//! The example module of the NEMEA tutorial (Nemea-Framework, examples/c/module), and what `sonda new-module` begins with.
#![forbid(unsafe_code)]

use detect::sdk::{self, Count, Failure, Module, ModuleInfo, Param, Reader, Writer, fields, record, value};
use std::process::ExitCode;

/// What the module says of itself (`-h`).
const INFO: ModuleInfo = ModuleInfo {
    name: "example_module",
    description: "Receives records with two numbers, FOO and BAR, and sends them with their sum BAZ.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

/// Its own options; `-i`, `-h` and `-v` are there anyhow.
const PARAMS: &[Param] = &[value('m', "mult", "int32", "Multiply the sum by this number.")];

fields! {
    /// What comes in: senders without these fields are refused, further ones are welcome.
    struct Numbers {
        foo: u32 = "FOO",
        bar: u32 = "BAR",
    }
}

record! {
    /// What goes out.
    struct Sum = "sum" {
        /// The first number.
        foo: u32, unirec "FOO";
        /// The second number.
        bar: u32, unirec "BAR";
        /// Their sum, multiplied; it wraps as 32 bits do.
        baz: u32, unirec "BAZ";
    }
}

fn run(module: &mut Module) -> Result<(), Failure> {
    let mult: i32 = module.options.value('m')?.unwrap_or(1);
    let mut out = Writer::new(&mut module.outputs[0])?;
    let ended = Reader::new(&mut module.inputs[0]).for_each(|numbers: &Numbers, record| {
        let sum = numbers.foo(record).wrapping_add(numbers.bar(record));
        out.send(&Sum {
            foo: numbers.foo(record),
            bar: numbers.bar(record),
            baz: sum.wrapping_mul(mult.cast_unsigned()),
        })
    })?;
    out.end(ended)
}

fn main() -> ExitCode {
    sdk::exit(&INFO, run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Runs this module over the rows of a CSV file, and answers its exit status and the rows that it sent.
    fn sums(name: &str, rows: &str, options: &[&str]) -> (u8, String) {
        let folder = std::env::temp_dir().join(format!("{}-{name}-{}", INFO.name, std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        let path = |name: &str| folder.join(name).to_str().expect("a plain name").to_owned();
        let call = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let tool = |name: &str, args: &[&str]| {
            let status = (detect::modules::find(name).expect("a module of Sonda").run)(&call(args));
            assert_eq!(status, 0, "{name}");
        };
        fs::write(path("in.csv"), rows).expect("a file");
        let (from, to) = (format!("f:{}", path("in.trap")), format!("f:{}", path("out.trap")));
        tool("logreplay", &["-i", &from, "-f", &path("in.csv")]);
        let status = sdk::main(&INFO, &call(&[&["-i", &format!("{from},{to}")], options].concat()), run);
        if status == 0 {
            tool("logger", &["-i", &to, "-t", "-w", &path("out.csv")]);
        }
        let sent = fs::read_to_string(path("out.csv")).unwrap_or_default();
        fs::remove_dir_all(&folder).expect("our own folder");
        (status, sent)
    }

    #[test]
    fn sums_are_sent() {
        let (status, sent) = sums("plain", "uint32 FOO,uint32 BAR,string MORE\n1,2,\"x\"\n4294967295,2,\"\"\n", &[]);
        assert_eq!((status, sent.as_str()), (0, "uint32 BAR,uint32 BAZ,uint32 FOO\n2,3,1\n2,1,4294967295\n"));
    }

    #[test]
    fn sums_are_multiplied() {
        let rows = "uint32 FOO,uint32 BAR\n1,2\n";
        assert_eq!(sums("mult", rows, &["-m", "10"]).1, "uint32 BAR,uint32 BAZ,uint32 FOO\n2,30,1\n");
        assert_eq!(sums("long", rows, &["--mult=-1"]).1, "uint32 BAR,uint32 BAZ,uint32 FOO\n2,4294967293,1\n");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(sums("missing", "uint32 FOO\n1\n", &[]).0, 1);
        assert_eq!(sums("wrong", "uint32 FOO,uint32 BAR\n1,2\n", &["-m", "x"]).0, 1);
        assert_eq!(sums("unknown", "uint32 FOO,uint32 BAR\n1,2\n", &["-x"]).0, 1);
    }
}
