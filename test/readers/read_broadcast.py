"""Reads one broadcast by docs/record-format.md alone, with another Kafka client: what counts, as a JSON line each.

usage: read_broadcast.py BOOTSTRAP_SERVERS TOPIC
"""

import json
import re
import sys
import zlib
from collections import OrderedDict

from confluent_kafka import Consumer, TopicPartition

REMEMBERED_SESSIONS = 16
TRACK = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")
DATA_TRACK = re.compile(r"meta-[a-z0-9-]{1,27}\Z")
SESSION = re.compile(r"[a-z0-9]{8}\Z")


class Rule:
    """Which records count: the section of that name."""

    def __init__(self):
        self.epoch = -1
        self.session = None
        self.last = OrderedDict()

    def hold(self, epoch, session):
        self.epoch, self.session = epoch, session
        self.last[session] = self.last.pop(session, -1)
        while len(self.last) > REMEMBERED_SESSIONS:
            self.last.popitem(last=False)

    def is_current(self, offset, epoch, session):
        if epoch >= offset or epoch < self.epoch:
            return False
        if epoch > self.epoch or self.session is None:
            self.hold(epoch, session)
        return session == self.session

    def counts(self, first, last):
        if first <= self.last[self.session]:
            return False
        self.last[self.session] = last
        return True


def read_header(message):
    return {name: value.decode("latin-1") for name, value in message.headers() or []}


def judge(rule, message):
    """The record as a dictionary where it counts, else None."""
    headers, offset, value = read_header(message), message.offset(), message.value() or b""
    key = (message.key() or b"").decode()
    if headers.get("v") != "1":
        return None
    found = {"offset": offset, "key": key, "time": message.timestamp()[1]}
    if key == ".session":
        claim = json.loads(value)
        assert SESSION.match(claim["session"]) and claim["gateway"] and len(claim["resumeHash"]) == 64
        rule.hold(offset, claim["session"])
        return {**found, **{name: claim[name] for name in ("session", "nonce", "resumeHash")}}
    if DATA_TRACK.match(key) and not headers.keys() & {"e", "n"}:
        return judge_data(found, headers, value)
    epoch, session = int(headers["e"]), headers["s"]
    found |= {"epoch": epoch, "session": session}
    if "start" in headers:
        found["start"] = int(headers["start"])
    if "se" in headers:
        found["startEpoch"] = int(headers["se"])
    if "crc" in headers and f"{zlib.crc32(value):08x}" != headers["crc"]:
        return None
    if not rule.is_current(offset, epoch, session):
        return None
    if key == ".catalog":
        return {**found, "catalog": json.loads(value), "resumeHash": headers.get("rh")}
    if key == ".gap":
        gap = json.loads(value)
        return {**found, **gap} if rule.counts(gap["from"], gap["to"]) else None
    if key == ".end":
        return {**found, **json.loads(value)}
    if not TRACK.match(key):
        return None
    number = int(headers["n"])
    if not rule.counts(number, number):
        return None
    found |= {"sequence": number, "timestamp": int(headers["t"]), "keyframe": headers.get("k") == "1"}
    for header, name in (("d", "duration"), ("dt", "decodeTimestamp"), ("c", "capturedAt")):
        if header in headers:
            found[name] = int(headers[header])
    return {**found, "bytes": len(value), "crc": headers["crc"]}


def judge_data(found, headers, value):
    """Timed data needs no claim."""
    if not 1 <= len(value) <= 65536 or ("s" in headers) != ("t" in headers):
        return None
    if "crc" in headers and f"{zlib.crc32(value):08x}" != headers["crc"]:
        return None
    if "s" in headers:
        found |= {"session": headers["s"], "timestamp": int(headers["t"])}
    if "d" in headers:
        found["duration"] = int(headers["d"])
    return {**found, "bytes": len(value)}


def main(servers, topic):
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "none", "enable.auto.commit": False})
    first, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    consumer.assign([TopicPartition(topic, 0, first)])
    rule = Rule()
    at = first
    while at < end:
        message = consumer.poll(10)
        assert message is not None and message.error() is None, message and message.error()
        at = message.offset() + 1
        found = judge(rule, message)
        if found is not None:
            print(json.dumps(found))
    consumer.close()


main(*sys.argv[1:])
