#!/usr/bin/env python3
"""Speaks as much of MongoDB's wire protocol as its driver asks of a server of its own, over what mongomock makes of the commands.

Listens at 127.0.0.1:PORT (0: a free one), says the port on a line of standard output, and serves until standard input ends.
"""
import socketserver
import struct
import sys
import threading

import bson
import mongomock
from pymongo.errors import PyMongoError

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
HELLO = {
    "ismaster": True, "isWritablePrimary": True, "helloOk": True, "maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000, "minWireVersion": 0, "maxWireVersion": 17, "readOnly": False,
}
databases = mongomock.MongoClient()
one_at_a_time = threading.Lock()


def write_error(index, error):
    return {"index": index, "code": error.code or 1, "errmsg": str(error)}


def insert(collection, command):
    errors, done = [], 0
    for index, document in enumerate(command["documents"]):
        try:
            if document.get("Refuse"):
                raise mongomock.WriteError("Document failed validation", 121)
            collection.insert_one(document)
            done += 1
        except PyMongoError as error:
            errors.append(write_error(index, error))
            break
    return {"n": done, **({"writeErrors": errors} if errors else {})}


def update(collection, command):
    matched, changed, upserted = 0, 0, []
    for index, one in enumerate(command["updates"]):
        do = collection.update_many if one.get("multi") else collection.update_one
        result = do(one["q"], one["u"], upsert=one.get("upsert", False))
        matched += result.matched_count
        changed += result.modified_count
        if result.upserted_id is not None:
            upserted.append({"index": index, "_id": result.upserted_id})
    return {"n": matched + len(upserted), "nModified": changed, **({"upserted": upserted} if upserted else {})}


def delete(collection, command):
    gone = 0
    for one in command["deletes"]:
        do = collection.delete_one if one["limit"] == 1 else collection.delete_many
        gone += do(one["q"]).deleted_count
    return {"n": gone}


def found(collection, documents):
    return {"cursor": {"id": bson.Int64(0), "ns": collection.full_name, "firstBatch": list(documents)}}


def find(collection, command):
    cursor = collection.find(command.get("filter", {}))
    if command.get("sort"):
        cursor = cursor.sort(list(command["sort"].items()))
    return found(collection, cursor.limit(command.get("limit", 0)))


def find_and_modify(collection, command):
    value = collection.find_one_and_update(
        command["query"], command["update"], upsert=command.get("upsert", False),
        return_document=mongomock.collection.ReturnDocument.AFTER if command.get("new") else mongomock.collection.ReturnDocument.BEFORE,
    )
    return {"value": value}


def create_indexes(collection, command):
    for index in command["indexes"]:
        collection.create_index(list(index["key"].items()), name=index["name"])
    return {}


COMMANDS = {
    "insert": insert, "update": update, "delete": delete, "find": find, "findAndModify": find_and_modify, "createIndexes": create_indexes,
    "aggregate": lambda collection, command: found(collection, collection.aggregate(command["pipeline"])),
}


def answer(command):
    name = next(iter(command))
    if name.lower() in ("hello", "ismaster"):
        return {**HELLO, "ok": 1.0}
    if name in ("ping", "endSessions", "killCursors"):
        return {"ok": 1.0}
    if name not in COMMANDS:
        return {"ok": 0.0, "code": 59, "codeName": "CommandNotFound", "errmsg": f"no such command: {name}"}
    try:
        with one_at_a_time:
            return {**COMMANDS[name](databases[command["$db"]][command[name]], command), "ok": 1.0}
    except Exception as error:  # What mongomock does not know is an answer too.
        print(f"{name}: {error!r}", file=sys.stderr)
        return {"ok": 0.0, "code": 8, "codeName": "UnknownError", "errmsg": repr(error)}


def read_message(body):
    """The command of an OP_MSG: a document, and lists of documents beside it."""
    command, at = {}, 4
    while at < len(body):
        kind, at = body[at], at + 1
        (size,) = struct.unpack_from("<i", body, at)
        if kind == 0:
            command = {**bson.decode(body[at:at + size]), **command}
        else:
            name, documents = body[at + 4:at + size].split(b"\0", 1)
            command[name.decode()] = bson.decode_all(documents)
        at += size
    return command


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(16):
            size, request, _, code = struct.unpack("<iiii", head)
            body = self.rfile.read(size - 16)
            if code == OP_QUERY:
                query = body[4:].split(b"\0", 1)[1][8:]
                reply = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(answer(bson.decode(query)))
                code = OP_REPLY
            else:
                reply = struct.pack("<iB", 0, 0) + bson.encode(answer(read_message(body)))
            self.wfile.write(struct.pack("<iiii", 16 + len(reply), 0, request, code) + reply)
            self.wfile.flush()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


with Server(("127.0.0.1", int(sys.argv[1])), Connection) as server:
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
