"""TRAP and UniRec in Python's standard library: what a module of one file needs to talk to NEMEA modules.

Inputs:  u:NAME, t:PORT, t:HOST:PORT, f:FILE        Outputs: u:NAME, t:PORT, f:FILE, b:
A sender waits for its receiver (timeout=WAIT, the default of NEMEA) and serves several. Not here: TLS, rotation of files, the
service interface, timeouts; a module that needs them is better off with pytrap or in Rust.

    for record in trap.Input("u:in", needs="uint32 FOO"):
        print(record["FOO"])
"""
import datetime
import ipaddress
import os
import socket
import struct
import sys
import threading
import time

UNIREC = 2
CONTAINER = 100_000  # bytes of a container with its header: what real receivers hold
PAYLOAD_MAX = 800_000  # larger containers are a mistake
SPEC_MAX = 1 << 20  # bytes of a template's text
MESSAGE_MAX = 65_535
FLUSH_S = 0.5  # a message waits this long for others, at the most
RETRY_S = 1.0
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

NUMBERS = {"int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
           "float": "f", "double": "d"}
SIZES = {**{kind: struct.calcsize("<" + letter) for kind, letter in NUMBERS.items()}, "char": 1, "ipaddr": 16, "macaddr": 6, "time": 8}


class Error(Exception):
    """A peer, a file or a command line that does not fit."""


class Template:
    """The fields of records, in the order in which they lie: large ones first, then by name."""

    def __init__(self, spec):
        fields = {}
        for item in filter(None, (item.strip() for item in spec.split(","))):
            kind, _, name = item.partition(" ")
            if kind.rstrip("*") not in SIZES and kind not in ("string", "bytes"):
                raise Error(f"unknown type in template: {item}")
            fields[name.strip()] = kind
        self.fields = sorted(fields.items(), key=lambda field: (-self._rank(field[1]), field[0]))
        self.spec = ",".join(f"{kind} {name}" for name, kind in self.fields)
        self.fixed = sum(SIZES.get(kind, 4) for _, kind in self.fields)

    @staticmethod
    def _rank(kind):
        return SIZES[kind] if kind in SIZES else -SIZES[kind[:-1]] if kind.endswith("*") else -1

    def read(self, message):
        """A record as a dict."""
        if len(message) < self.fixed:
            raise Error(f"record of {len(message)} bytes, the template has {self.fixed}")
        record, at = {}, 0
        for name, kind in self.fields:
            if kind in SIZES:
                record[name] = self._value(kind, message[at:at + SIZES[kind]])
                at += SIZES[kind]
                continue
            offset, length = struct.unpack_from("<HH", message, at)
            at += 4
            data = message[self.fixed + offset:self.fixed + offset + length]
            if len(data) < length:
                raise Error(f"field {name} lies outside of its record")
            if kind == "string":
                record[name] = data.decode("utf-8", "replace")
            elif kind == "bytes":
                record[name] = data
            else:
                size = SIZES[kind[:-1]]
                whole = range(0, len(data) - len(data) % size, size)
                record[name] = [self._value(kind[:-1], data[i:i + size]) for i in whole]
        return record

    def write(self, record):
        """The bytes of a dict; fields that it lacks are zero or empty."""
        fixed, data = b"", b""
        for name, kind in self.fields:
            value = record.get(name)
            if kind in SIZES:
                fixed += bytes(SIZES[kind]) if value is None else self._bytes(kind, value)
                continue
            value = b"" if value is None else value
            if kind.endswith("*"):
                value = b"".join(self._bytes(kind[:-1], element) for element in value)
            elif isinstance(value, str):
                value = value.encode()
            fixed += struct.pack("<HH", len(data), len(value))
            data += value
        if len(fixed) + len(data) > MESSAGE_MAX:
            raise Error(f"record of {len(fixed) + len(data)} bytes, {MESSAGE_MAX} is the most")
        return fixed + data

    @staticmethod
    def _value(kind, data):
        if kind in NUMBERS:
            return struct.unpack("<" + NUMBERS[kind], data)[0]
        if kind == "ipaddr":
            is_v4 = data[:8] == bytes(8) and data[12:] == b"\xff" * 4
            return ipaddress.ip_address(data[8:12] if is_v4 else data)
        if kind == "macaddr":
            return ":".join(f"{byte:02x}" for byte in data)
        if kind == "time":
            fraction, seconds = struct.unpack("<II", data)
            # Senders cut off what does not fit 32 bits; the summand brings whole microseconds back.
            return EPOCH + datetime.timedelta(seconds=seconds, microseconds=fraction * 1_000_000 + 999_999 >> 32)
        return data.decode("latin-1")

    @staticmethod
    def _bytes(kind, value):
        if kind in NUMBERS:
            return struct.pack("<" + NUMBERS[kind], value)
        if kind == "ipaddr":
            packed = ipaddress.ip_address(str(value)).packed
            return packed if len(packed) == 16 else bytes(8) + packed + b"\xff" * 4
        if kind == "macaddr":
            return bytes.fromhex(value.replace(":", ""))
        if kind == "time":
            micros = (value - EPOCH) // datetime.timedelta(microseconds=1)
            return struct.pack("<II", (micros % 1_000_000 << 32) // 1_000_000, micros // 1_000_000)
        return value.encode("latin-1")[:1]


def _socket_path(name):
    return os.path.join(os.environ.get("TRAP_SOCKET_DIR") or "/tmp", f"trap-{name}.sock")


def _hello(template):
    spec = template.spec.encode()
    return struct.pack(">B3xI", UNIREC, len(spec)) + spec


class Input:
    """Records of a sender, as dicts, until it ends the stream. `template` is known from the first one on."""

    def __init__(self, spec, needs=""):
        self.kind, _, self.where = spec.partition(":")
        if self.kind not in ("u", "t", "f"):
            raise Error(f"no such input: {spec}")
        if self.kind != "f":
            # Behind the place stand parameters such as timeout=WAIT; that one is what we do.
            self.where = ":".join(part for part in self.where.split(":") if "=" not in part)
        self.needs = Template(needs)
        self.template = None

    def __iter__(self):
        while True:
            with self._open() as stream:
                try:
                    if not self._negotiate(stream):
                        time.sleep(RETRY_S)
                        continue
                    for message in self._messages(stream):
                        if len(message) <= 1:
                            return
                        yield self.template.read(message)
                except (EOFError, ConnectionError):
                    pass
            if self.kind == "f":
                return

    def _open(self):
        if self.kind == "f":
            return open(self.where, "rb")
        while True:
            try:
                if self.kind == "u":
                    sock = socket.socket(socket.AF_UNIX)
                    sock.connect(_socket_path(self.where))
                else:
                    host, _, port = self.where.rpartition(":")
                    sock = socket.create_connection((host or "localhost", int(port)))
                with sock:
                    return sock.makefile("rb", CONTAINER)
            except OSError:
                time.sleep(RETRY_S)

    def _negotiate(self, stream):
        kind, length = struct.unpack(">B3xI", self._exactly(stream, 8))
        if length > SPEC_MAX:
            raise Error(f"a template of {length} bytes; is the peer a TRAP sender?")
        spec = self._exactly(stream, length).decode()
        if kind == 0 and self.kind != "f":
            return False  # the sender does not know its template yet
        if kind != UNIREC:
            raise Error("the sender has no UniRec records")
        self.template = Template(spec)
        missing = [field for field in self.needs.fields if field not in self.template.fields]
        if missing:
            raise Error("the sender's records have no " + ", ".join(f'"{kind} {name}"' for name, kind in missing))
        return True

    def _messages(self, stream):
        header = 4 if self.kind == "f" else 14
        while True:
            length = struct.unpack(">I", self._exactly(stream, header)[:4])[0]
            if not 0 < length <= PAYLOAD_MAX:
                raise Error(f"a container of {length} bytes")
            payload, at = self._exactly(stream, length), 0
            while at + 2 <= length:
                size = struct.unpack_from(">H", payload, at)[0]
                if at + 2 + size > length:
                    raise Error("a message reaches beyond its container")
                yield payload[at + 2:at + 2 + size]
                at += 2 + size

    @staticmethod
    def _exactly(stream, count):
        data = stream.read(count)
        if len(data) < count:
            raise EOFError
        return data


class Output:
    """Sends dicts as records of one template."""

    def __init__(self, spec, template):
        self.kind, _, rest = spec.partition(":")
        where = ":".join(part for part in rest.split(":") if "=" not in part)
        self.template = Template(template)
        if not self.template.fields:
            raise Error("an output needs a template with fields")
        self.lock = threading.Condition()
        self.clients, self.waiting, self.count, self.sequence, self.since = [], b"", 0, 0, 0.0
        self.path = self.file = self.listener = None
        if self.kind == "f":
            self.file = open(where.split(":")[0], "wb")
            self.file.write(_hello(self.template))
        elif self.kind == "u":
            self.path = _socket_path(where)
            if os.path.exists(self.path):
                os.unlink(self.path)
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.path)
            os.chmod(self.path, 0o666)
        elif self.kind == "t":
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("", int(where)))
        elif self.kind != "b":
            raise Error(f"no such output: {spec}")
        if self.listener:
            self.listener.listen()
            threading.Thread(target=self._accept, daemon=True).start()
            threading.Thread(target=self._tick, daemon=True).start()

    def send(self, record):
        """Takes a dict. Waits while nobody listens, and while a receiver is slow."""
        self._put(self.template.write(record))

    def close(self, end=True):
        """Delivers what is left; `end` tells receivers that the stream is over."""
        if end:
            self._put(b"\0")
        with self.lock:
            self._flush()
            for client in self.clients:
                client.close()
            self.clients = []
        if self.file:
            self.file.close()
        if self.path:
            os.unlink(self.path)

    def _put(self, message):
        with self.lock:
            while self.listener and not self.clients:
                self.lock.wait()
            if len(self.waiting) + 2 + len(message) + 14 > CONTAINER or self.count == 0xffff:
                self._flush()
            self.since = self.since if self.count else time.monotonic()
            self.waiting += struct.pack(">H", len(message)) + message
            self.count += 1

    def _flush(self):
        """With the lock held: a container goes to every client; one that left is forgotten."""
        if not self.count:
            return
        payload = self.waiting
        if self.file:
            self.file.write(struct.pack(">I", len(payload)) + payload)
        header = struct.pack(">I", len(payload)) + struct.pack("<QH", self.sequence, self.count)
        for client in list(self.clients):
            try:
                client.sendall(header + payload)
            except OSError:
                self.clients.remove(client)
        self.sequence += self.count
        self.waiting, self.count = b"", 0

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                client.sendall(_hello(self.template))
            except OSError:
                continue
            with self.lock:
                self.clients.append(client)
                self.lock.notify_all()

    def _tick(self):
        while True:
            time.sleep(FLUSH_S / 2)
            with self.lock:
                if self.clients and self.count and time.monotonic() - self.since >= FLUSH_S / 2:
                    self._flush()


def interfaces(argument, count):
    """The specifiers of `-i`, inputs first."""
    specs = [spec for spec in argument.split(",") if spec]
    if len(specs) != count:
        raise Error(f"-i has {len(specs)} interfaces, {count} are needed")
    return specs


def main(run):
    """Runs a module: an Error ends it with a line and status 1, Ctrl-C in order."""
    try:
        run()
    except Error as why:
        sys.exit(f"Error: {why}")
    except KeyboardInterrupt:
        pass
