/**
 * One file: lanes in, a container's bytes out, by mediabunny. Held in memory are its index, and frames that wait
 * for those of other tracks to stand in order with them.
 */
import {
  EncodedAudioPacketSource,
  EncodedPacket,
  EncodedVideoPacketSource,
  Logging,
  LogLevel,
  MkvOutputFormat,
  Mp4OutputFormat,
  Output,
  StreamTarget,
  type StreamTargetChunk,
  WebMOutputFormat,
} from 'mediabunny'
import { FramelogError, toFramelogError } from '../../errors.ts'
import { type Micros, micros, type TrackName } from '../../units.ts'
import type { Container } from './container.ts'
import { type Destination, ReaderGone } from './destination.ts'
import type { Lane } from './lane.ts'
import { holdBack } from './order.ts'

export const fileLimits = {
  /** Bytes on their way to the disk or the pipe before frames wait. */
  writing: 1024 * 1024,
  /** How long a track may be silent until the others go on without it, microseconds: on a disk, and where somebody watches. */
  silentOnDisk: 10_000_000,
  silentLive: 1_000_000,
  /** The same in bytes of the others. */
  silentBytes: 16 * 1024 * 1024,
  /** How far back a track may begin again that was silent: what a Matroska cluster spans, less a little. Microseconds. */
  back: 25_000_000,
} as const

// It would write into the standard output, where there may be media.
Logging.level = LogLevel.Silent

/** One frame as the file is to hold it. */
export interface FilePacket {
  /** Borrowed until the promise of `add` resolves, then the file's. */
  readonly data: Uint8Array
  readonly keyframe: boolean
  /** In the file, from 0 on. */
  readonly timestamp: Micros
  readonly duration: Micros | undefined
}

export interface LaneCount {
  readonly kind: Lane['kind']
  readonly name: TrackName
  readonly frames: number
}

interface OpenLane {
  readonly lane: Lane
  readonly source: EncodedVideoPacketSource | EncodedAudioPacketSource
  frames: number
  /** No frame may come before: of a picture the largest time before its GOP, of sound the newest. */
  floor: number
  newest: number
  /** Of the newest frame, measured where it is not told. */
  duration: number
  /** Bytes of the other lanes since its newest frame. */
  behind: number
  /** The others go on without it. */
  isSilent: boolean
}

export class MediaFile {
  readonly #destination: Destination
  readonly #output: Output
  readonly #lanes = new Map<TrackName, OpenLane>()
  #bytes = 0
  #end = 0
  #frames = 0

  /**
   * @param lanes with their descriptions; an in-band one has that of its first keyframe
   */
  constructor(destination: Destination, container: Container, lanes: readonly Lane[]) {
    this.#destination = destination
    const { appendOnly } = destination
    this.#output = new Output({
      format: formatOf(container, appendOnly),
      target: new StreamTarget(this.#stream()),
    })
    for (const lane of lanes) {
      const source = this.#addTrack(lane)
      this.#lanes.set(lane.name, {
        lane,
        source,
        frames: 0,
        floor: 0,
        newest: 0,
        duration: 0,
        behind: 0,
        isSilent: false,
      })
    }
  }

  get name(): string {
    return this.#destination.name
  }

  get appendOnly(): boolean {
    return this.#destination.appendOnly
  }

  get frames(): number {
    return this.#frames
  }

  /** That have left for the disk or the pipe. */
  get bytes(): number {
    return this.#bytes
  }

  /** Of all its frames, in microseconds: where the last of them ends. */
  get duration(): Micros {
    return micros(this.#end)
  }

  get counts(): LaneCount[] {
    return [...this.#lanes.values()].map(({ lane, frames }) => ({ kind: lane.kind, name: lane.name, frames }))
  }

  lane(name: TrackName): Lane | undefined {
    return this.#lanes.get(name)?.lane
  }

  async start(): Promise<void> {
    await this.#output.start().catch(this.#refused)
  }

  /**
   * Resolves when there is room for the next.
   * @returns false for a frame that no player can decode, since its track's first keyframe is still to come
   * @throws what the destination throws
   */
  async add(name: TrackName, packet: FilePacket): Promise<boolean> {
    const open = this.#lanes.get(name)
    if (open === undefined || (open.frames === 0 && !isEntry(open.lane, packet.keyframe))) return false
    const { lane, source } = open
    const key = isEntry(lane, packet.keyframe)
    if (key && open.frames > 0) open.floor = open.newest
    if (open.isSilent) open.floor = Math.max(open.floor, this.#end - fileLimits.back)
    this.#wait(open, true)
    // A clock that goes backwards stands still instead: containers have no place for what comes before its GOP.
    const timestamp = Math.max(packet.timestamp, open.floor)
    const step = timestamp - open.newest
    open.duration = packet.duration ?? (open.frames > 0 && step > 0 ? step : usualDuration(lane))
    open.frames += 1
    this.#frames += 1
    open.newest = Math.max(open.newest, timestamp)
    this.#end = Math.max(this.#end, timestamp + open.duration)
    this.#leaveSilent(open, packet.data.byteLength)
    const type = key ? 'key' : 'delta'
    const held = new EncodedPacket(lane.pack(packet.data), type, timestamp / 1e6, open.duration / 1e6)
    await source.add(held).catch(this.#refused)
    return true
  }

  /** A picture that does not change, or a sound that is switched off, must not hold the rest of the broadcast. */
  #leaveSilent(heard: OpenLane, bytes: number): void {
    heard.behind = 0
    const patience = fileLimits[this.#destination.appendOnly ? 'silentLive' : 'silentOnDisk']
    for (const open of this.#lanes.values()) {
      if (open === heard || open.isSilent) continue
      open.behind += bytes
      if (heard.newest - open.newest > patience || open.behind > fileLimits.silentBytes)
        this.#wait(open, false)
    }
  }

  #wait(open: OpenLane, wanted: boolean): void {
    if (open.isSilent !== wanted) return
    open.isSilent = !wanted
    holdBack(this.#output, [...this.#lanes.keys()].indexOf(open.lane.name), wanted)
  }

  /** Writes what is still held, and the index. */
  async finish(): Promise<void> {
    await this.#output.finalize().catch(this.#refused)
  }

  /** Lets go of the file as it is. */
  async abandon(): Promise<void> {
    await this.#output.cancel().catch(() => {})
    await this.#destination.close().catch(() => {})
  }

  /** The library's errors are about what a catalog says of its tracks; those of the destination pass through it. */
  readonly #refused = (error: unknown): never => {
    if (error instanceof FramelogError || error instanceof ReaderGone) throw error
    const { message, cause } = toFramelogError(error)
    throw new FramelogError('UNSUITABLE_FORMAT', `${this.name} cannot hold what comes: ${message}`, { cause })
  }

  #addTrack(lane: Lane): OpenLane['source'] {
    const description =
      lane.description === undefined ? {} : { description: lane.description as Uint8Array<ArrayBuffer> }
    if (lane.kind === 'video') {
      const source = new EncodedVideoPacketSource(lane.codec)
      const { width, height } = lane.track
      this.#output.addVideoTrack(source, {
        decoderConfig: { codec: lane.codecString, codedWidth: width, codedHeight: height, ...description },
      })
      return source
    }
    const source = new EncodedAudioPacketSource(lane.codec)
    const { sampleRate, channels } = lane.track
    this.#output.addAudioTrack(source, {
      decoderConfig: { codec: lane.codecString, sampleRate, numberOfChannels: channels, ...description },
    })
    return source
  }

  #stream(): WritableStream<StreamTargetChunk> {
    return new WritableStream(
      {
        write: async ({ data, position }) => {
          await this.#destination.write(data, position)
          this.#bytes = Math.max(this.#bytes, position + data.byteLength)
        },
        close: () => this.#destination.close(),
      },
      { highWaterMark: fileLimits.writing, size: chunk => chunk?.data.byteLength ?? 1 },
    )
  }
}

function formatOf(
  container: Container,
  appendOnly: boolean,
): WebMOutputFormat | MkvOutputFormat | Mp4OutputFormat {
  switch (container) {
    case 'webm':
      return new WebMOutputFormat({ appendOnly })
    case 'mkv':
      return new MkvOutputFormat({ appendOnly })
    case 'mp4':
      return new Mp4OutputFormat({ fastStart: appendOnly ? 'fragmented' : false })
    default:
      throw new FramelogError(
        'OUTPUT_FORMAT',
        `${container satisfies never} is no format that can be written`,
      )
  }
}

/** Sound decodes from any of its frames. */
const isEntry = (lane: Lane, keyframe: boolean): boolean => lane.kind === 'audio' || keyframe

const usualDuration = (lane: Lane): number =>
  lane.kind === 'video' ? 1e6 / (lane.track.frameRate ?? 30) : 20_000
