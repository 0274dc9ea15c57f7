//! Texts of the help that are the same for all modules.

/// Options that TRAP takes for itself.
pub(crate) const COMMON: &[(&str, &str)] = &[
    ("-h [trap,1]", "Print this help. With \"trap\" or \"1\", print how to write IFC_SPEC."),
    ("-i IFC_SPEC", "Interfaces: inputs first, then outputs, separated by commas. See \"-h trap\"."),
    ("-v", "Be verbose."),
    ("-vv", "Be more verbose."),
    ("-vvv", "Be even more verbose."),
];

/// Variables of the environment; `{dir}` is replaced by the default directory.
pub(crate) const ENVIRONMENT: &[(&str, &str)] = &[
    ("LIBTRAP_OUTPUT_FORMAT", "If set to \"json\", the help is one line of JSON."),
    ("PAGER", "Ignored; pipe the help into a pager of your choice."),
    ("TRAP_SOCKET_DIR", "Directory of unix sockets (default: {dir})."),
];

/// Manual of the interface specifier; each line is wrapped at its own indentation.
pub(crate) const IFC_SPEC: &str = "
IFC_SPEC is a list of interfaces separated by commas, inputs first, then outputs, without blanks:

    -i IFC[,IFC]...      where IFC is TYPE[:PARAMETER]...

Nothing can be escaped: a parameter contains no comma and, except for input files, no colon.

Types
-----

u  Unix socket
    input:   u:NAME
    output:  u:NAME[:max_clients=N][:buffer_count=N][:buffer_size=BYTES]
    The socket is DIR/trap-NAME.sock, see TRAP_SOCKET_DIR.

t  TCP
    input:   t:HOST:PORT or t:PORT (on localhost)
    output:  t:PORT[:max_clients=N][:buffer_count=N][:buffer_size=BYTES]
    PORT is a number or a name of /etc/services.

f  File
    input:   f:PATH, where PATH may use ~, $VARIABLE and wildcards; several files are read one after another
    output:  f:PATH[:w|:a][:time=MINUTES][:size=MB]
    PATH goes through strftime. Mode w (default) writes over the file; mode a appends a number .00000, .00001 and so on that is not used yet. With time= the name gets .YYYYmmddHHMM and a new file begins every so many minutes. With size= the name gets a number and a new file begins when that many MB are reached.

b  Blackhole, output only: everything is dropped.

T  TLS over TCP
    input:   T:HOST:PORT:KEY:CERT:CA or T:PORT:KEY:CERT:CA (on localhost)
    output:  T:PORT:KEY:CERT:CA, then options as with t
    KEY, CERT and CA are PEM files: the private key, its certificate (and those between it and the CA), and the certificates that the other side's must come from. Host names are not compared.

g  Generator, input only: g:N:BYTES gives the message BYTES, N bytes long (1 to 255), over and over.

Options of socket outputs
-------------------------

    max_clients=N     clients served at once, 1 to 64 (default 64)
    buffer_count=N    full buffers kept for slow clients (default 50)
    buffer_size=N     bytes of a buffer, at most 100014 (default 100000)

Options of all interfaces, at any place after the type
------------------------------------------------------

    timeout=WAIT      inputs: wait for messages forever (default); outputs: wait for a client and for slow clients (default)
    timeout=HALF_WAIT outputs: wait for slow clients, but not for a first one
    timeout=NO_WAIT   never wait; slow clients lose messages
    timeout=N         inputs: wait at most N microseconds; outputs: as NO_WAIT
    buffer=on|off     outputs: collect messages into buffers (default on) or send each at once
    autoflush=off|N   socket outputs: send a buffer that is not full after N microseconds (default 2000000)

A value given here cannot be changed by the module.

Examples
--------

    -i u:flows,u:alerts:timeout=HALF_WAIT
    -i t:collector:7600,f:/data/flows-%Y.trapcap:a:time=5
    -i 'f:~/captures/*.trapcap,b'
";
