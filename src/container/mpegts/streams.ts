/** From the payloads of elementary streams to samples: H.264 in Annex B, AAC in ADTS (ISO/IEC 13818-7), Opus. */
import { joinBytes } from '../../core/bytes.ts'
import { configOfAdts, formatOfAac, lengthOfAdts, withoutAdts } from '../../media/aac.ts'
import { isAnnexBKeyframe, parameterSetsOf } from '../../media/h264.ts'
import { durationOfOpus } from '../../media/opus.ts'
import { type Micros, micros } from '../../units.ts'
import type { ContainerTrack } from '../announcer.ts'
import { durationOf } from '../announcer.ts'
import { sameBytes } from '../decoder-config.ts'
import type { LateTracks } from '../late-tracks.ts'

/** Times of a PES packet. */
export interface PesTimes {
  readonly timestamp: Micros | undefined
  /** Where it differs. */
  readonly decodeTimestamp: Micros | undefined
}

export interface ElementaryStream {
  /** @param data of one PES packet; owned by the stream from here on */
  push(data: Uint8Array, times: PesTimes): void
  /** Bytes are missing before what comes next. */
  broken(): void
}

/** One access unit a packet, as all that send live write it. */
export class H264Stream implements ElementaryStream {
  readonly #tracks: LateTracks
  readonly #slot: number
  /** Whether what comes decodes: from a keyframe on. */
  #isWhole = false
  /** Units that a keyframe came with last. */
  #sets: Uint8Array | undefined

  constructor(tracks: LateTracks, slot: number) {
    this.#tracks = tracks
    this.#slot = slot
    // Parameter sets, and the size of the picture with them, come in the keyframes.
    tracks.describe(slot, { kind: 'video', family: 'h264', width: 0, height: 0 })
  }

  push(data: Uint8Array, { timestamp, decodeTimestamp }: PesTimes): void {
    if (timestamp === undefined) {
      this.broken()
      return
    }
    const isKeyframe = isAnnexBKeyframe(data)
    const whole = isKeyframe ? this.#withSets(data) : data
    this.#isWhole = whole !== undefined && (this.#isWhole || isKeyframe)
    if (whole === undefined || !this.#isWhole) return
    this.#tracks.sample(this.#slot, {
      timestamp,
      ...(decodeTimestamp === undefined || decodeTimestamp === timestamp ? {} : { decodeTimestamp }),
      keyframe: isKeyframe,
      data: whole,
    })
  }

  /** A keyframe with its parameter sets, which not every one comes with. @returns undefined where none have come yet */
  #withSets(keyframe: Uint8Array): Uint8Array | undefined {
    const own = parameterSetsOf(keyframe)
    if (own !== undefined) {
      this.#sets = own
      return keyframe
    }
    if (this.#sets === undefined) return undefined
    return joinBytes([this.#sets, keyframe])
  }

  broken(): void {
    this.#isWhole = false
  }
}

/** Frames of any number in a packet, and some that go on in the next. */
export class AacStream implements ElementaryStream {
  readonly #tracks: LateTracks
  readonly #slot: number
  #track: ContainerTrack | undefined
  #rest: Uint8Array = new Uint8Array()
  /** Of the frame that comes next, microseconds; undefined until a packet has stated one. */
  #next: number | undefined

  constructor(tracks: LateTracks, slot: number) {
    this.#tracks = tracks
    this.#slot = slot
  }

  push(data: Uint8Array, { timestamp }: PesTimes): void {
    const joined = joinBytes([this.#rest, data])
    // A packet's time is that of the first frame that begins in it.
    const begins = this.#rest.byteLength
    let stated = timestamp
    let at = 0
    while (at < joined.byteLength) {
      if (at >= begins && stated !== undefined) {
        this.#next = stated
        stated = undefined
      }
      const length = lengthOfAdts(joined, at)
      if (length === 'short' || (length !== undefined && at + length > joined.byteLength)) break
      if (length === undefined) {
        // Nothing begins before the next byte of ones.
        const next = joined.indexOf(0xff, at + 1)
        at = next < 0 ? joined.byteLength : next
      } else {
        this.#frame(joined.subarray(at, at + length))
        at += length
      }
    }
    this.#rest = joined.slice(at)
  }

  broken(): void {
    this.#rest = new Uint8Array()
    this.#next = undefined
  }

  #frame(frame: Uint8Array): void {
    const config = configOfAdts(frame)
    if (config === undefined || this.#next === undefined) return
    const track = this.#track
    if (track === undefined || !sameBytes(track.description, config)) {
      const format = formatOfAac(config)
      if (format === undefined) return
      const { sampleRate, channels } = format
      this.#track = { kind: 'audio', family: 'aac', sampleRate, channels, description: config }
      this.#tracks.describe(this.#slot, this.#track)
    }
    const data = withoutAdts(frame).slice()
    const timestamp = micros(this.#next)
    const duration = this.#track && durationOf(this.#track, data)
    this.#tracks.sample(this.#slot, { timestamp, ...(duration ? { duration } : {}), keyframe: true, data })
    this.#next += duration ?? 0
  }
}

/** Opus in a transport stream (ETSI TS 103 491): each packet behind a control header. */
export class OpusStream implements ElementaryStream {
  readonly #tracks: LateTracks
  readonly #slot: number

  constructor(tracks: LateTracks, slot: number, channels: number) {
    this.#tracks = tracks
    this.#slot = slot
    tracks.describe(slot, { kind: 'audio', family: 'opus', sampleRate: 48_000, channels })
  }

  push(bytes: Uint8Array, { timestamp }: PesTimes): void {
    if (timestamp === undefined) return
    let next: number = timestamp
    for (let at = 0; at < bytes.byteLength; ) {
      const unit = opusUnit(bytes, at)
      if (unit === undefined) return
      const data = bytes.slice(unit.begin, unit.end)
      const duration = durationOfOpus(data)
      if (duration === undefined) return
      this.#tracks.sample(this.#slot, {
        timestamp: micros(next),
        duration: micros(duration),
        keyframe: true,
        data,
      })
      next += duration
      at = unit.end
    }
  }

  broken(): void {}
}

/** 11 bits of ones and zeros, three flags, the size as bytes of 255 and a last one, and what the flags announce. */
function opusUnit(bytes: Uint8Array, from: number): { begin: number; end: number } | undefined {
  const first = bytes[from] ?? 0
  const flags = bytes[from + 1] ?? 0
  if (first !== 0x7f || (flags & 0xe0) !== 0xe0) return undefined
  let at = from + 2
  let size = 0
  for (;;) {
    const byte = bytes[at]
    if (byte === undefined) return undefined
    at += 1
    size += byte
    if (byte < 255) break
  }
  if ((flags & 0x10) !== 0) at += 2
  if ((flags & 0x08) !== 0) at += 2
  if ((flags & 0x04) !== 0) at += 1 + (bytes[at] ?? 0)
  return at + size > bytes.byteLength ? undefined : { begin: at, end: at + size }
}
