"""Reads a broadcast straight from Kafka, decodes it picture by picture, and writes back where each is brightest.

    pip install -r examples/python/requirements.txt
    python examples/python/watch.py front-door                       what is on now, from the newest keyframe on
    python examples/python/watch.py front-door --from start --end    all that is there, and no more
    python examples/python/watch.py front-door --boxes               and a box on each picture, which the watch page draws

docs/record-format.md describes the records. This follows its rule of which of them count as far as a program must that begins at a
keyframe: of a later claim than the one it knows, and each number once.
"""

import argparse
import base64
import json
import time
import zlib

import av
from confluent_kafka import Consumer, Producer, TopicPartition

DECODERS = {"vp8": "libvpx", "vp09": "libvpx-vp9", "av01": "libdav1d", "avc1": "h264", "avc3": "h264"}
# Records looked at, back from the end, for one that says where its GOP begins.
LOOK_BACK = 512


def headers_of(message):
    return {name: value.decode("latin-1") for name, value in message.headers() or []}


def newest_keyframe(consumer, topic):
    """The offset from which reading forward meets the catalog and keyframe of the newest GOP: any record of it says so."""
    first, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    at = max(first, end - LOOK_BACK)
    consumer.assign([TopicPartition(topic, 0, at)])
    found = None
    while at < end and (message := consumer.poll(5)) is not None:
        at = message.offset() + 1
        headers = headers_of(message)
        if "start" in headers:
            found = max(first, int(headers["start"]))
    return first if found is None else found


class Pictures:
    """The decoder of the main picture, as the newest catalog describes it."""

    def __init__(self):
        self.name = None
        self.track = None
        self.decoder = None

    def describe(self, catalog):
        track = next((track for track in catalog["tracks"] if track["kind"] == "video"), None)
        if track == self.track:
            return
        self.track, self.name, self.decoder = track, track and track["name"], None
        if track is None:
            return
        self.decoder = av.CodecContext.create(DECODERS[track["codec"].split(".")[0]], "r")
        # Several threads would give each picture a few frames late.
        self.decoder.thread_count = 1
        if "description" in track:
            self.decoder.extradata = base64.b64decode(track["description"])

    def decode(self, data, timestamp):
        """Pictures in the order of presentation, with their times in microseconds."""
        packet = av.Packet(data)
        packet.pts = timestamp
        return [(picture, picture.pts) for picture in self.decoder.decode(packet)]

    def flush(self):
        return [] if self.decoder is None else [(picture, picture.pts) for picture in self.decoder.decode(None)]


def brightest(picture):
    """Where it is, as a share of the picture. Here a program would look for something."""
    columns, rows = 32, 18
    plane = picture.reformat(width=columns, height=rows, format="gray").planes[0]
    pixels = bytes(plane)
    places = [(pixels[y * plane.line_size + x], x, y) for y in range(rows) for x in range(columns)]
    value, x, y = max(places)
    box = {"x": x / columns, "y": y / rows, "width": 1 / columns, "height": 1 / rows, "label": str(value)}
    return {"boxes": [box]}


def main():
    parser = argparse.ArgumentParser(description="Decodes a broadcast from Kafka, picture by picture.")
    parser.add_argument("id")
    parser.add_argument("--servers", default="127.0.0.1:9092")
    parser.add_argument("--prefix", default="video-", help="TOPIC_PREFIX of the gateway")
    parser.add_argument("--from", dest="begin", choices=["newest", "start"], default="newest")
    parser.add_argument("--end", action="store_true", help="end with what was there at the beginning")
    parser.add_argument("--boxes", action="store_true", help="write a box for each picture")
    options = parser.parse_args()

    topic = options.prefix + options.id
    # No group is joined: partitions are read by themselves.
    consumer = Consumer({
        "bootstrap.servers": options.servers,
        "group.id": "none",
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 100,
    })
    producer = Producer({"bootstrap.servers": options.servers}) if options.boxes else None
    begun = time.monotonic()
    first, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    at = newest_keyframe(consumer, topic) if options.begin == "newest" else first
    consumer.assign([TopicPartition(topic, 0, at)])

    pictures = Pictures()
    epoch, session, last = -1, None, -1
    # A decoder begins with a keyframe, and after what is missing with the next.
    is_whole = False
    decoded = keyframes = 0

    def give(found):
        nonlocal decoded
        for picture, timestamp in found:
            decoded += 1
            if decoded == 1:
                print(f"first picture {picture.width}x{picture.height} after {time.monotonic() - begun:.2f} s", flush=True)
            if producer is not None:
                headers = [("v", "1"), ("s", session), ("t", str(timestamp))]
                producer.produce(topic, json.dumps(brightest(picture)).encode(), "meta-boxes", headers=headers)
                producer.poll(0)
            if decoded % 100 == 0:
                print(f"{decoded} pictures, {keyframes} keyframes", flush=True)

    try:
        while not options.end or at < end:
            message = consumer.poll(5)
            if message is None:
                continue
            if message.error() is not None:
                raise SystemExit(f"Kafka says: {message.error().str()}")
            at = message.offset() + 1
            headers, key, value = headers_of(message), (message.key() or b"").decode(), message.value() or b""
            if headers.get("v") != "1" or "e" not in headers:
                if key == ".session":
                    epoch, last, is_whole = message.offset(), -1, is_whole and json.loads(value)["session"] == session
                continue
            if int(headers["e"]) < epoch:
                continue
            if headers["s"] != session:
                session, last = headers["s"], -1
            epoch = int(headers["e"])
            if key == ".catalog":
                pictures.describe(json.loads(value))
            if "n" not in headers or int(headers["n"]) <= last:
                continue
            if last >= 0 and int(headers["n"]) != last + 1:
                is_whole = False
            last = int(headers["n"])
            if key != pictures.name:
                continue
            if zlib.crc32(value) != int(headers["crc"], 16):
                is_whole = False
                continue
            if headers.get("k") == "1":
                keyframes += 1
                is_whole = True
            if is_whole:
                give(pictures.decode(value, int(headers["t"])))
        give(pictures.flush())
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()
        if producer is not None:
            producer.flush(10)
    print(f"{decoded} pictures, {keyframes} keyframes")


if __name__ == "__main__":
    main()
