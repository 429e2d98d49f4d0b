/**
 * MPEG transport streams (ISO/IEC 13818-1): packets of 188 bytes, of which the first program's are put together.
 * A frame is out where its PES packet ends: at the last byte that its head states, or, where it states none, as large pictures
 * do, when the next begins. Packets that are lost or damaged cost what they belong to, up to the next keyframe.
 */
import { OutOfBytes } from '../../core/bytes.ts'
import { FramelogError } from '../../errors.ts'
import { type Micros, micros } from '../../units.ts'
import { Chunks } from '../chunks.ts'
import { type Demuxer, type DemuxHandler, demuxLimits } from '../demuxer.ts'
import { LateTracks } from '../late-tracks.ts'
import { fourCc } from '../mp4/boxes.ts'
import { type PesPacket, PesReader } from './pes.ts'
import { programPid, Sections, type StreamEntry, streamsOf } from './sections.ts'
import { AacStream, type ElementaryStream, H264Stream, OpusStream } from './streams.ts'

export const packetBytes = 188
const sync = 0x47
const programsPid = 0
/** Bytes in a row that are no packets, past which this is no transport stream. */
const garbageBytes = 64 * 1024

/** `stream_type`, table 2-34, and what cannot be carried of it, in words. */
const streamTypes = { h264: 0x1b, adts: 0x0f, private: 0x06 } as const
const uncarried: ReadonlyMap<number, string> = new Map([
  [0x01, 'MPEG-1 video'],
  [0x02, 'MPEG-2 video'],
  [0x03, 'MPEG audio'],
  [0x04, 'MPEG audio'],
  [0x10, 'MPEG-4 video'],
  [0x11, 'AAC in LATM'],
  [0x24, 'H.265'],
  [0x33, 'H.266'],
  [0x81, 'AC-3'],
  [0x87, 'E-AC-3'],
])
const opusFormat = fourCc('Opus')

interface Stream {
  readonly type: number
  readonly pes: PesReader
  readonly reader: ElementaryStream
  /** Counter of the last packet, of four bits. */
  counter: number | undefined
}

const bad = (message: string): never => {
  throw new FramelogError('BAD_CONTAINER', message)
}

export class MpegTsDemuxer implements Demuxer {
  readonly #chunks = new Chunks()
  readonly #tracks: LateTracks
  readonly #programs = new Sections()
  #program: { readonly pid: number; readonly sections: Sections } | undefined
  /** The table that is in force, as it came. */
  #table = ''
  #streams = new Map<number, Stream>()
  /** Bytes passed over since the last packet, and taken since the beginning. */
  #garbage = 0
  #position = 0
  /** Of the last time, in 90 kHz, without the wrap of its 33 bits. */
  #clock: number | undefined

  constructor(handler: DemuxHandler) {
    this.#tracks = new LateTracks(handler)
  }

  push(bytes: Uint8Array): void {
    this.#chunks.push(bytes)
    while (this.#step());
  }

  end(): void {
    for (const stream of this.#streams.values()) this.#packets(stream, stream.pes.flush())
    this.#tracks.end()
    this.#chunks.clear()
  }

  /** @returns whether there was enough for a step */
  #step(): boolean {
    // Behind bytes that are no packets a packet is one only where another begins behind it.
    const isLost = this.#garbage > 0
    if (this.#chunks.length < packetBytes + (isLost ? 1 : 0)) return false
    if (this.#chunks.at(0) !== sync || (isLost && this.#chunks.at(packetBytes) !== sync)) {
      this.#passOver()
      return true
    }
    const packet = this.#chunks.take(packetBytes)
    if (packet === undefined) return false
    this.#position += packetBytes
    this.#garbage = 0
    try {
      this.#packet(packet)
    } catch (error) {
      if (!(error instanceof OutOfBytes)) throw error
      bad(`The table before byte ${this.#position} is damaged: ${error.message}`)
    }
    return true
  }

  #passOver(): void {
    this.#chunks.skip(1)
    this.#position += 1
    this.#garbage += 1
    if (this.#garbage > garbageBytes)
      bad(`Over ${garbageBytes} bytes before byte ${this.#position} are no packets`)
  }

  /** Section 2.4.3.2: flags and PID, scrambling, adaptation and counter. */
  #packet(packet: Uint8Array): void {
    const [, high = 0, low = 0, control = 0] = packet
    const pid = ((high & 0x1f) << 8) | low
    const stream = this.#streams.get(pid)
    const hasError = (high & 0x80) !== 0
    if (hasError) {
      this.#break(stream)
      return
    }
    const hasAdaptation = (control & 0x20) !== 0
    const length = hasAdaptation ? (packet[4] ?? 0) + 1 : 0
    const flags = length > 1 ? (packet[5] ?? 0) : 0
    if ((control & 0x10) === 0 || length > packetBytes - 5) return
    const payload = packet.subarray(4 + length)
    const begins = (high & 0x40) !== 0
    if (stream === undefined) {
      this.#tables(pid, payload, begins)
      return
    }
    if ((control & 0xc0) !== 0)
      throw new FramelogError('UNSUPPORTED_CODEC', 'The stream is scrambled, which cannot be carried')
    const counter = control & 15
    // A packet may come twice.
    if (counter === stream.counter) return
    const isAnnounced = (flags & 0x80) !== 0
    if (stream.counter !== undefined && counter !== ((stream.counter + 1) & 15) && !isAnnounced)
      this.#break(stream)
    stream.counter = counter
    this.#packets(stream, stream.pes.push(payload, begins))
  }

  #break(stream: Stream | undefined): void {
    stream?.pes.drop()
    stream?.reader.broken()
  }

  #tables(pid: number, payload: Uint8Array, begins: boolean): void {
    if (pid === programsPid) {
      for (const section of this.#programs.push(payload, begins)) {
        const program = programPid(section)
        if (program !== undefined && program !== this.#program?.pid)
          this.#program = { pid: program, sections: new Sections() }
      }
    } else if (pid === this.#program?.pid) {
      for (const section of this.#program.sections.push(payload, begins)) this.#streamsAre(section)
    }
  }

  #streamsAre(section: Uint8Array): void {
    const entries = streamsOf(section)
    // It is sent again and again.
    const table = JSON.stringify(entries)
    if (entries === undefined || table === this.#table) return
    for (const stream of this.#streams.values()) this.#packets(stream, stream.pes.flush())
    const carried = entries.filter(isCarried)
    if (carried.length === 0) this.#refuse(entries)
    if (carried.length > demuxLimits.tracks)
      bad(`The program has ${carried.length} streams; ${demuxLimits.tracks} is the limit`)
    this.#table = table
    this.#tracks.expect(carried.map(({ pid }) => pid))
    const before = this.#streams
    this.#streams = new Map(
      carried.map(entry => {
        const known = before.get(entry.pid)
        return [entry.pid, known?.type === entry.type ? known : this.#stream(entry)]
      }),
    )
  }

  #refuse(entries: readonly StreamEntry[]): never {
    const names = entries.map(({ type }) => uncarried.get(type) ?? `a stream of type ${type}`)
    if (names.length === 0) bad('The program has no streams')
    throw new FramelogError(
      'UNSUPPORTED_CODEC',
      `The program has ${names.join(' and ')}, which cannot be carried`,
    )
  }

  #stream(entry: StreamEntry): Stream {
    const reader = this.#reader(entry)
    return { type: entry.type, pes: new PesReader(() => reader.broken()), reader, counter: undefined }
  }

  #reader({ type, pid, opusChannels }: StreamEntry): ElementaryStream {
    if (type === streamTypes.h264) return new H264Stream(this.#tracks, pid)
    if (type === streamTypes.adts) return new AacStream(this.#tracks, pid)
    return new OpusStream(this.#tracks, pid, opusChannels ?? 2)
  }

  #packets({ reader }: Stream, packets: readonly PesPacket[]): void {
    for (const { pts, dts, data } of packets) {
      const timestamp = pts === undefined ? undefined : this.#time(pts)
      const decodeTimestamp = dts === undefined ? undefined : this.#time(dts)
      reader.push(data, { timestamp, decodeTimestamp })
    }
  }

  /** Times go round after 26.5 hours; those of one program lie near each other. @param time in 90 kHz, of 33 bits */
  #time(time: number): Micros {
    const turn = 2 ** 33
    const last = this.#clock ?? time
    const step = ((((time - last + turn / 2) % turn) + turn) % turn) - turn / 2
    this.#clock = last + step
    return micros((this.#clock * 100) / 9)
  }
}

/** What is left out beside something that is carried is left out: subtitles, data, another language's sound in a codec of its own. */
const isCarried = ({ type, format, opusChannels }: StreamEntry): boolean =>
  type === streamTypes.h264 ||
  type === streamTypes.adts ||
  (type === streamTypes.private &&
    (format === opusFormat || opusChannels !== undefined) &&
    isPlainOpus(opusChannels))

/** More than two channels would need a mapping. */
const isPlainOpus = (channels: number | undefined): boolean =>
  channels === undefined || channels === 1 || channels === 2
