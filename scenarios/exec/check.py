#!/usr/bin/env python3
"""A firedrill check: no register is read with a value that nobody wrote (see docs/exec-check.md)."""
import json, sys

calls, written, reads = {}, set(), []
for line in map(json.loads, sys.stdin):
    if "i" in line:
        invoked = line["i"]
        call = calls[invoked["id"]] = invoked["c"]
        if call["f"] in ("write", "cas"):
            written.add((call["key"], call.get("value", call.get("to"))))
    elif "r" in line and "ok" in line["r"]["o"] and calls[line["r"]["id"]]["f"] == "read":
        reads.append((line["r"], calls[line["r"]["id"]]["key"], line["r"]["o"]["ok"]["value"]))

invented = [(r, key, value) for r, key, value in reads if value is not None and (key, value) not in written]
verdict = "fail" if invented else "pass" if reads else "inconclusive"
print(json.dumps({
    "verdict": verdict,
    "summary": f"{len(invented)} of {len(reads)} reads returned a value that nobody wrote",
    "evidence": [f"operation {r['id']} at {r['t'] / 1e9:.3f} s read {value} of key {key}" for r, key, value in invented],
    "figures": {"invented": len(invented)},
}))
