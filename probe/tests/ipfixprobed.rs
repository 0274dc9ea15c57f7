//! Files of ipfixprobe's service run as they are, and give what ipfixprobe gives.

mod support;

use support::{Folder, run};

#[test]
fn yaml_and_the_shell_form_give_the_rows_of_the_command_line() {
    let folder = Folder::new();
    let capture = folder.path("mix.pcap");
    let mut file = std::fs::File::create(&capture).expect("a file");
    benches::write_capture(benches::Profile::Realistic, 5_000, 400, 11, &mut file).expect("written");
    let capture = capture.to_str().expect("a name");
    let rows = |name: &str| {
        let text = std::fs::read_to_string(folder.path(name)).expect("rows");
        let mut rows: Vec<String> = text.lines().map(String::from).collect();
        rows.sort();
        assert!(rows.len() > 100, "{} rows", rows.len());
        rows
    };
    let out = |name: &str| folder.path(name).display().to_string();

    let input = format!("pcap;file={capture}");
    let output = format!("text;file={}", out("typed"));
    run(["ipfixprobe", "-i", &input, "-s", "cache;s=12;a=20;i=5", "-p", "http", "-p", "tls", "-o", &output]).must(0);

    let yaml = format!(
        "input_plugin: {{ pcap_file: {{ file: {capture} }} }}\n\
         storage: {{ cache: {{ size_exponent: 12 }}, timeouts: {{ active: 20, inactive: 5 }} }}\n\
         process_plugins: [http, tls]\noutput_plugin: {{ text: {{ file: {} }} }}\n",
        out("yaml")
    );
    let config = folder.path("link0.conf");
    std::fs::write(&config, &yaml).expect("written");
    run(["ipfixprobed", config.to_str().expect("a name"), "/usr/lib64/ipfixprobe"]).must(0);
    assert_eq!(rows("yaml"), rows("typed"));

    // The shell form has IPFIX only; options behind its own win, as in the original.
    let shell = format!(
        "INPUT[0]=\"pcap;file={capture}\"\nPROCESS[0]=http\nPROCESS[1]=tls\nCACHE_SIZE=12\nACTIVE_TIMEOUT=20\nINACTIVE_TIMEOUT=5\n\
         HOST=127.0.0.1\nPORT=9\nUDP=yes\nEXTRA_ARGS=\"-o text;file={}\"\n",
        out("shell")
    );
    std::fs::write(&config, shell).expect("written");
    run(["ipfixprobed", config.to_str().expect("a name")]).says(&["obsolete"]);
    assert_eq!(rows("shell"), rows("typed"));

    std::fs::write(&config, yaml.replace("size_exponent", "size")).expect("written");
    run(["ipfixprobed", config.to_str().expect("a name")]).must(1).says(&["link0.conf", "line 2", "size"]);
    run(["ipfixprobed", "no-such-configuration"]).must(1).says(&["/etc/ipfixprobe/no-such-configuration.conf"]);
}
