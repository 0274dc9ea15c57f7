//! Seeds for what the supervisor reads.
use super::Seeds;
use super::words::ANSWER;

const SEEDS: &[(&str, &[&str])] = &[
    (
        "ipfixprobed_config",
        &[
            "input_plugin:\n  raw: { interface: \"eth0,eth1\", blocks_count: 8 }\nstorage:\n  cache: { size_exponent: 20 }\n  fragmentation_cache: { enabled: false }\n\
             process_plugins:\n  - http\n  - pstats: { i: true, x: null }\noutput_plugin:\n  ipfix:\n    collector: { host: c, port: 1 }\n\
             \x20   protocol: { tcp: { non_blocking: true } }\n    compression: { lz4: { enabled: true } }\ngeneral: { cpu_list: [1] }\n",
            "input_plugin: { dpdk: { allowed_nics: a, rx_queues: 2, workers_cpu_list: '1,2' } }\noutput_plugin: { text: }\n",
            "A='x y'\nINPUT[0]=\"raw;ifc=$A${A}\"\nPROCESS=(http \"b c\" # d\n)\nUDP=yes\nexport HOST+=a\\;b\n",
            "USE_DPDK=1\nDPDK_RING=1\nDPDK_QUEUES_COUNT=2\nDPDK_RING_PATTERN=m_%02d\nDPDK_INPUT_WORKER_CPUS=(1 2)\n",
        ],
    ),
    (
        "api_request",
        &[
            "GET /v1/alerts?from=24h%20ago&category=Recon,Attempt&address=192.0.2.0/24&state=new&order=oldest&limit=9 HTTP/1.1\r\nHost: x\r\n\
             Authorization: Bearer sonda_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n\r\n",
            "POST /v1/alerts/1/notes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Sonda-CSRF: 1\r\n\
             Cookie: other=1; __Host-sonda=0123\r\nContent-Length: 23\r\n\r\n{\"text\": \"our scanner\"}",
            "POST /v1/modules/meter/prefilter HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
             19\r\n{\"rules\": \"drop port 22\"}\r\n0\r\n\r\n",
            "GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /v1/history?from=-300&step=20 HTTP/1.0\r\n\r\n",
            "GET /v1/flows?interface=u:flows&filter=proto%20tcp HTTP/1.1\r\nHost: x\r\n\r\n",
            "HEAD /web/sonda.css HTTP/1.1\r\nHost: x\r\n\r\n{\"tokens\":[{\"name\":\"a\",\"role\":\"viewer\",\"sha256\":\
             \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"created\":0,\"expires\":1}]}",
        ],
    ),
    ("supervisor_counters", &[ANSWER, r#"{"in_cnt": 0, "out_cnt": 0, "in": [], "out": []}"#]),
    (
        "supervisor_include",
        &[
            "<x>\n  <!-- include /etc/nemea/detectors -->\n<!-- include a.sup -->\n</x>\n",
            "<!-- include /d -->\n<!-- other -->\0<modules>\n<name>P</name>\n</modules>",
        ],
    ),
    (
        "supervisor_native",
        &[
            "[supervisor]\nrestarts = 5\nheartbeat_s = 0\n[[profile]]\nname = \"P\"\n[[module]]\nname = \"m\"\nprofile = \"P\"\npath = \"/bin/m\"\n\
             params = \"-v 'a b'\"\ninputs = [\"u:x\"]\noutputs = [\"b:\", \"t:7600\"]\n[[module]]\nname = \"n\"\nprofile = \"P\"\npath = \"n\"\nafter = [\"m\"]\n",
            "[[profile]]\nname = \"P\"\nenabled = false\n[[module]]\nname = \"m\"\nprofil = \"P\"\n",
            "[supervisor]\nlog_files = 0\nlog_size_mib = 1\nstop_grace_ms = 100\n",
        ],
    ),
    ("supervisor_params", &["-I eth0 -t \"1 2\" 'a \"b\"' \"\"", "-w \"/tmp/out file.csv", "a=\"b\""]),
    ("supervisor_select", &["2,4-6,13", "6-4", ",1", "1-2-3", "99999999999999999999"]),
    ("supervisor_stat", &["42 (a) b (c)) S 1 42 42 0 -1 4194560 1 0 0 0 7 9 0 0 20 0 1 0 1234 5678 90", "logger"]),
    (
        "supervisor_template",
        &[
            "<?xml version=\"1.0\"?>\n<nemea-supervisor xmlns=\"urn:cesnet:tmc:nemea:1.0\"><supervisor><module-restarts>4</module-restarts>\
             </supervisor><modules><name>P</name><enabled>true</enabled><module><name>m</name><enabled>false</enabled><path>/bin/m</path>\
             <params>-t \"a b\"</params><module-restarts>0</module-restarts><trapinterfaces><interface><note>n</note><type>UNIXSOCKET</type>\
             <direction>OUT</direction><params>x</params></interface></trapinterfaces></module></modules></nemea-supervisor>",
            "<nemea-supervisor><!-- c --><modules><name>P</name><enabled>yes</enabled></modules><?pi x?></nemea-supervisor>",
            "<nemea-supervisor><modules/></nemea-supervisor>",
        ],
    ),
];

/// Steps of the history's model: what, time, amount.
const STEPS: &[&[u8]] =
    &[&[11, 1, 9, 11, 3, 0, 0x8a, 1, 7, 0x4f, 9, 3], &[11, 200, 255, 0x2b, 100, 1, 0x6f, 255, 15, 0x4b, 40, 12]];

/// Adds them all.
pub(super) fn add(seeds: &mut Seeds) {
    for (shape, steps) in STEPS.iter().enumerate() {
        seeds.add("control_history", shape, steps);
    }
    for (target, texts) in SEEDS {
        for (shape, text) in texts.iter().enumerate() {
            seeds.add(target, shape, text.as_bytes());
        }
    }
}
