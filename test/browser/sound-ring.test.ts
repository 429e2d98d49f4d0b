import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SoundRing, soundLimits } from '../../src/browser/player/sound-ring.ts'

const rate = 48_000
const block = 128
const packet = 960

/** A ring fed with a 440 Hz tone in packets of 20 ms, read in blocks as an audio thread does. */
class Room {
  readonly ring = new SoundRing(rate, 1)
  readonly heard: number[] = []
  #written = 0

  feed(seconds: number): void {
    for (const end = this.#written + seconds * rate; this.#written + packet <= end; this.#written += packet) {
      const plane = Float32Array.from({ length: packet }, (_, i) => tone((this.#written + i) / rate))
      this.ring.write(this.#written / rate, [plane])
    }
  }

  /** @param due media time, seconds, at each moment since reading began */
  read(seconds: number, due: (time: number) => number): void {
    for (let time = 0; time < seconds; time += block / rate) {
      const out = new Float32Array(block)
      this.ring.read([out], due(time), rate)
      this.heard.push(...out)
    }
  }
}

const tone = (time: number): number => 0.5 * Math.sin(2 * Math.PI * 440 * time)

describe('the ring of sound', () => {
  it('gives exactly the samples that are due', () => {
    const room = new Room()
    room.feed(1)
    room.read(0.5, time => 0.1 + time)
    const off = room.heard.map((value, i) => Math.abs(value - tone(0.1 + i / rate)))
    assert.ok(Math.max(...off) < 1e-4)
    assert.equal(room.ring.starved, 0)
  })

  it('follows a timeline that runs 1.5 % fast without a jump or a click', () => {
    const room = new Room()
    room.feed(1.8)
    room.read(1.6, time => 0.05 + time * 1.015)
    assert.equal(room.ring.jumps, 0)
    assert.ok(Math.abs(room.ring.skew) < 0.02, String(room.ring.skew))
    const steps = room.heard.slice(1).map((value, i) => Math.abs(value - (room.heard[i] ?? 0)))
    assert.ok(Math.max(...steps) < 0.035)
  })

  it('loses no more than a block where a muxer counts one twice', () => {
    const ring = new SoundRing(rate, 1)
    const plane = new Float32Array(packet).fill(0.5)
    // The sixth packet says the seventh's time, and so on once in every twelve.
    for (let i = 0; i < 90; i++) ring.write((i % 12 === 5 ? i + 1 : i) * (packet / rate), [plane])
    const out = new Float32Array(block)
    for (let time = 0.1; time < 1.5; time += block / rate) ring.read([out], time, rate)
    assert.ok(ring.starved < block, `${ring.starved} samples of silence`)
    assert.ok(ring.ahead > 0.2)
  })

  it('jumps where the timeline did', () => {
    const room = new Room()
    room.feed(1.9)
    room.read(0.2, time => 0.1 + time)
    room.read(0.2, time => 1.2 + time)
    assert.equal(room.ring.jumps, 1)
    assert.ok(Math.abs(room.ring.skew) < 0.001)
  })

  it('is silent without samples, and on time when they are back', () => {
    const room = new Room()
    room.feed(0.1)
    room.read(0.3, time => time)
    assert.ok(room.ring.starved > 0.15 * rate)
    assert.equal(room.heard.at(-1), 0)
    room.feed(1)
    const { starved, jumps } = room.ring
    room.ring.takePeak()
    room.read(0.1, time => 0.3 + time)
    assert.equal(room.ring.starved, starved)
    assert.equal(room.ring.jumps, jumps)
    assert.ok(Math.abs(room.ring.skew) <= soundLimits.fine)
    assert.ok(room.ring.takePeak() > 0.49)
  })

  it('waits for what is a little late, loses none of it, and makes up for it', () => {
    const room = new Room()
    room.feed(0.5)
    // 15 ms of what is due are not there yet.
    const late = 0.015
    room.read(0.5 + late, time => time)
    const { starved } = room.ring
    assert.ok(starved > 0.013 * rate && starved < 0.018 * rate, String(starved))
    room.feed(1.45)
    const before = room.heard.length
    room.read(1.4, time => 0.5 + late + time)
    // It goes on where it had stopped, from silence, and as much faster as can be.
    const next = room.heard.slice(before, before + 960).map((value, i) => {
      return Math.abs(value - tone(0.5 + (i * (1 + soundLimits.stretch)) / rate))
    })
    assert.ok(Math.max(...next.slice(240)) < 0.1, String(Math.max(...next.slice(240))))
    assert.equal(room.ring.starved, starved)
    assert.equal(room.ring.jumps, 0)
    assert.ok(Math.abs(room.ring.skew) < soundLimits.fine + 0.001, String(room.ring.skew))
    const steps = room.heard.slice(1).map((value, i) => Math.abs(value - (room.heard[i] ?? 0)))
    assert.ok(Math.max(...steps) < 0.04, 'no click')
  })

  it('waits as long for samples of another rate as the sound card’s', () => {
    const ring = new SoundRing(rate / 2, 1)
    ring.write(0, [new Float32Array(rate / 4).fill(0.5)])
    const out = new Float32Array(block)
    // Dry from 0.5 s on, and nothing comes: what is due is given up after the wait, not before, and is on time then.
    const dry = 0.5 + soundLimits.wait
    let time = 0.4
    for (; time < dry - 2 * (block / rate); time += block / rate) ring.read([out], time, rate)
    assert.ok(ring.skew < -0.8 * (time - block / rate - 0.5), `${ring.skew} s behind: it waits still`)
    for (; time < dry + 4 * (block / rate); time += block / rate) ring.read([out], time, rate)
    assert.ok(Math.abs(ring.skew) < soundLimits.fine, `${ring.skew} s behind: it has given up`)
  })

  it('plays a gap between blocks as silence of its length', () => {
    const ring = new SoundRing(rate, 1)
    const loud = new Float32Array(packet).fill(0.5)
    ring.write(0, [loud])
    ring.write(0.1, [loud])
    const out = new Float32Array(block)
    ring.read([out], 0.06, rate)
    assert.ok(out.every(value => value === 0))
    for (let time = 0.06; time < 0.11; time += block / rate) ring.read([out], time, rate)
    assert.ok(out.every(value => value > 0.4))
  })

  it('holds two seconds, however much is written', () => {
    const room = new Room()
    room.feed(60)
    room.read(0.05, time => 59 + time)
    assert.equal(room.ring.starved, 0)
    assert.ok(room.ring.ahead <= soundLimits.held)
  })
})
