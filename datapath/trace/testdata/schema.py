"""Reads a trace with Perfetto's own schema and prints its events as JSON.

Fails on a field that the schema does not know.
"""
import json
import sys

from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as pb


def check(m):
    if len(UnknownFieldSet(m)):
        sys.exit(f"unknown field in {m.DESCRIPTOR.full_name}")
    for field, value in m.ListFields():
        if field.message_type:
            for v in value if hasattr(value, "__len__") else [value]:
                check(v)


trace = pb.Trace()
with open(sys.argv[1], "rb") as f:
    trace.ParseFromString(f.read())
check(trace)
names, keys, texts, events, tracks = {}, {}, {}, [], set()
T = pb.TrackEvent
for p in trace.packet:
    for e in p.interned_data.event_names:
        names[e.iid] = e.name
    for e in p.interned_data.debug_annotation_names:
        keys[e.iid] = e.name
    for e in p.interned_data.debug_annotation_string_values:
        texts[e.iid] = e.str.decode()
    if p.HasField("track_descriptor"):
        tracks.add(p.track_descriptor.uuid)
    if not p.HasField("track_event"):
        continue
    e = p.track_event
    assert e.track_uuid in tracks
    args = {}
    for a in e.debug_annotations:
        v = getattr(a, a.WhichOneof("value"))
        args[keys[a.name_iid]] = texts[v] if a.HasField("string_value_iid") else v
    events.append({
        "NS": p.timestamp, "Track": e.track_uuid, "Type": e.type,
        "Name": names[e.name_iid] if e.HasField("name_iid") else e.name,
        "Value": e.counter_value,
        "Flow": list(e.flow_ids) or list(e.terminating_flow_ids),
        "Ends": bool(e.terminating_flow_ids), "Args": args,
    })
print(json.dumps(events))
