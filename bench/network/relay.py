"""Two or more links, each a pair of TUN devices: what comes out of one device of a pair is a packet for the other.
Each direction of each link has a rate, a queue, random loss, delay and jitter of its own.

usage: relay.py NEAR:FAR ...

Each pair names two devices, which are made in this network namespace; whoever starts the relay moves them. Commands
are lines of JSON on the standard input, in turn: {"set": [DIRECTION, ...]} with two directions for each pair, near to
far first, or {"report": true}, which tells what happened since the last report. Each is answered by a line. The
relay ends where its input ends.
"""

import fcntl
import gc
import json
import os
import random
import select
import struct
import sys
import time
from collections import deque

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
# Packets as they are, without a header of the device's own.
IFF_NO_PI = 0x1000

LARGEST_PACKET = 2048
# Packets that are on their way in one direction: more are lost, and counted as such.
MOST_ON_WAY = 8192
# Packets that are taken from a device before the others have their turn.
TURN = 64
# Lateness is counted in steps of a tenth of a millisecond, up to 100 ms.
STEP = 0.0001
STEPS = 1000


def open_device(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


class Direction:
    """First the queue before the slowest place, then loss, then the distance. No packet overtakes another."""

    def __init__(self, source, target):
        self.source = source
        self.target = target
        self.on_way = deque()
        self.set({})
        self.forget()

    def set(self, wanted):
        """Times are milliseconds, `rate` bits a second, `loss` a share; what is not named is nothing."""
        self.delay = wanted.get("delay", 0) / 1000
        self.jitter = wanted.get("jitter", 0) / 1000
        self.loss = wanted.get("loss", 0)
        self.rate = wanted.get("rate", 0)
        self.queue = wanted.get("queue", 0) / 1000
        self.random = random.Random(wanted.get("seed", 1))
        self.free_at = 0.0
        self.last_due = 0.0

    def forget(self):
        self.packets = self.bytes = self.lost = self.dropped = self.overflowed = 0

    def take(self, packet, now):
        self.packets += 1
        leaves = now
        if self.rate > 0:
            begins = max(now, self.free_at)
            if begins - now > self.queue:
                self.dropped += 1
                return
            leaves = self.free_at = begins + len(packet) * 8 / self.rate
        if self.loss > 0 and self.random.random() < self.loss:
            self.lost += 1
            return
        if len(self.on_way) >= MOST_ON_WAY:
            self.overflowed += 1
            return
        due = leaves + self.delay
        if self.jitter > 0:
            due += self.jitter * self.random.random()
        self.last_due = due = max(due, self.last_due)
        self.on_way.append((due, packet))

    def release(self, now, late):
        while self.on_way and self.on_way[0][0] <= now:
            due, packet = self.on_way.popleft()
            late[min(STEPS - 1, int((now - due) / STEP))] += 1
            try:
                os.write(self.target, packet)
                self.bytes += len(packet)
            except OSError:
                # Nobody has set the device up yet, or it is full.
                self.overflowed += 1

    def report(self):
        told = {
            name: getattr(self, name) for name in ("packets", "bytes", "lost", "dropped", "overflowed")
        }
        self.forget()
        return told


class Relay:
    def __init__(self, pairs):
        self.directions = []
        for near, far in pairs:
            devices = open_device(near), open_device(far)
            self.directions += [Direction(*devices), Direction(*reversed(devices))]
        self.forget()

    def forget(self):
        self.late = [0] * STEPS
        self.since = time.monotonic(), time.process_time()

    def run(self):
        by_source = {each.source: each for each in self.directions}
        commands = sys.stdin.fileno()
        unread = b""
        while True:
            now = time.monotonic()
            for each in self.directions:
                each.release(now, self.late)
            dues = [each.on_way[0][0] for each in self.directions if each.on_way]
            # The time since they were released has gone by.
            timeout = max(0, min(dues) - time.monotonic()) if dues else None
            for ready in select.select([commands, *by_source], [], [], timeout)[0]:
                if ready != commands:
                    self.take(by_source[ready])
                    continue
                heard = os.read(commands, 65536)
                if not heard:
                    return
                *lines, unread = (unread + heard).split(b"\n")
                for line in lines:
                    print(json.dumps(self.answer(json.loads(line))), flush=True)

    def take(self, direction):
        for _ in range(TURN):
            try:
                packet = os.read(direction.source, LARGEST_PACKET)
            except BlockingIOError:
                return
            direction.take(packet, time.monotonic())

    def answer(self, command):
        if "set" in command:
            for direction, wanted in zip(self.directions, command["set"], strict=True):
                direction.set(wanted)
            return {}
        began, used = self.since
        busy = (time.process_time() - used) / (time.monotonic() - began)
        told = {
            "busy": busy,
            "late": {"p50": self.late_at(0.5), "p99": self.late_at(0.99), "max": self.late_at(1)},
            "directions": [each.report() for each in self.directions],
        }
        self.forget()
        return told

    def late_at(self, share):
        """Milliseconds, the upper end of its step."""
        left = share * sum(self.late)
        for step, count in enumerate(self.late):
            left -= count
            if left <= 0:
                return round((step + 1) * STEP * 1000, 1)
        return STEPS * STEP * 1000


def main():
    # A wire does not wait for programs that want the processor.
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        pass
    gc.disable()
    relay = Relay([pair.split(":") for pair in sys.argv[1:]])
    print("{}", flush=True)
    relay.run()


main()
