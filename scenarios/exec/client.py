#!/usr/bin/env python3
"""A firedrill client for the embedded store, in JSON lines (see docs/exec-client.md)."""
import json, socket, sys, time

hello = json.loads(sys.stdin.readline())["hello"]
names, process = sorted(hello["endpoints"]), 2**40 if hello["process"] is None else hello["process"]
at, stream = names[process % len(names)], None

def connect(name, deadline):
    global at, stream
    if stream is None or at != name:
        at, stream, left = name, None, max(deadline - time.monotonic(), 0.01)
        stream = socket.create_connection(hello["endpoints"][name]["client"].rsplit(":", 1), left / 2).makefile("rw")

def answer(question, deadline):
    """Asks node after node, since the store knows a call by client and seq; gives up before the time-out."""
    global stream
    name, why, in_doubt = question.get("replica", at), "no node answered", False
    line = {"client": process, "seq": question["id"], "call": question["call"], "local": "replica" in question}
    while time.monotonic() < deadline:
        leader = sent = None
        try:
            connect(name, deadline)
            sent = stream.write(json.dumps(line) + "\n")
            stream.flush()
            reply = json.loads(stream.readline())
            if "not-leader" not in reply:
                return {"unknown": reply["fail"]} if in_doubt and "fail" in reply else reply
            leader, why = reply["not-leader"]["leader"], "nobody leads"
        except (OSError, LookupError, ValueError) as e:  # refused, nowhere, lost, or cut in the middle
            stream, why, in_doubt = None, str(e), in_doubt or bool(sent)
        name = question.get("replica") or leader or names[(names.index(name) + 1) % len(names)]
        time.sleep(0.02)
    return {"unknown" if in_doubt else "fail": why}

for question in map(json.loads, sys.stdin):
    hello["endpoints"] = question.get("endpoints", hello["endpoints"])  # a node may have moved
    known = "call" in question
    reply = answer(question, time.monotonic() + hello["timeout_ms"] / 1250) if known else {"unsupported": True}
    print(json.dumps({"id": question["id"], **reply}), flush=True)
