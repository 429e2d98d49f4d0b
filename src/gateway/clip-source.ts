/** From the frames of a recording to the parts of a file: one media time over all its sessions, and where each part begins. */
import type { ClipFormat, ClipFrame, ClipPart, ClipTrack } from '../container/clip/clip.ts'
import { type DecoderConfig, decoderConfigOf, isAnnexBTrack, sameBytes } from '../container/decoder-config.ts'
import { durationOfSample } from '../container/sample-duration.ts'
import { FramelogError } from '../errors.ts'
import { configOfAac, withoutAdts } from '../media/aac.ts'
import {
  type AudioTrack,
  type Catalog,
  isAudio,
  isVideo,
  mainTrack,
  type VideoTrack,
  withRendition,
} from '../media/catalog.ts'
import { parseCodec } from '../media/codec.ts'
import { toLengths } from '../media/h264.ts'
import type { EntryPoint } from '../relay/entry-point.ts'
import type { Excerpt, RecordedFrame, Recording } from '../relay/recording.ts'
import type { Offset } from '../units.ts'

/** A part, and where its frames are. */
export interface PlannedPart extends ClipPart {
  readonly from: EntryPoint
  readonly first: Offset
  /** Time in the file less media time, microseconds. */
  readonly shift: number
}

export interface SourcePlan {
  readonly tracks: readonly ClipTrack[]
  readonly parts: readonly PlannedPart[]
  readonly origin: number
  readonly duration: number
  /** By how much presentation is put off, microseconds, as nothing may be presented before it is decoded. */
  readonly delay: number
  /** Offset behind its last frame. */
  readonly to: Offset
  /** Why it ends before what was asked for; undefined where it does not. */
  readonly cutShort: string | undefined
}

/** Of a part. */
const limits = {
  /** Bytes and frames at which a part ends, keyframe or not. */
  bytes: 8 * 1024 * 1024,
  frames: 2000,
  /** Media time of a part at least, microseconds, where it has a keyframe to end with. */
  shortest: 1_000_000,
} as const

export class ClipSource {
  readonly #recording: Recording
  readonly #format: ClipFormat

  constructor(recording: Recording, format: ClipFormat) {
    this.#recording = recording
    this.#format = format
  }

  /**
   * Reads all of an excerpt once.
   * @param isExact whether the presentation begins where it was asked for, and not with the keyframe before
   * @param isWanted asked now and then
   * @throws FramelogError UNSUITABLE_FORMAT, BAD_POSITION, and what the log throws
   */
  async plan(excerpt: Excerpt, isExact: boolean, isWanted: () => boolean): Promise<SourcePlan> {
    const planner = new Planner(this.#format, excerpt, isExact && this.#format.isExact)
    for await (const recorded of this.#recording.frames(excerpt)) {
      if (!isWanted()) throw new FramelogError('STREAM_CUT_OFF', 'Nobody waits for the clip any more')
      if (!recorded.every(one => planner.take(one))) break
    }
    return planner.finish()
  }

  /** The bytes of the parts of a plan, from one of them on. @throws what the log throws, LOG_CORRUPT where they are not what they were */
  async *parts({ tracks, parts, origin, delay, to }: SourcePlan, from: number): AsyncGenerator<Uint8Array> {
    const first = parts[from]
    if (first === undefined) return
    let at = from
    let frames: ClipFrame[] = []
    let bytes = 0
    const made = (): Uint8Array => {
      const part = this.#format.part(frames, at, origin)
      if (part.byteLength !== parts[at]?.size) throw changed(at)
      at += 1
      frames = []
      bytes = 0
      return part
    }
    for await (const recorded of this.#recording.frames({
      from: { ...first.from, wanted: first.first },
      to,
    })) {
      for (const one of recorded) {
        if (one.offset < first.first) continue
        while (one.offset >= (parts[at + 1]?.first ?? Number.POSITIVE_INFINITY)) yield made()
        const track = tracks.findIndex(({ track }) => track.name === one.frame.track)
        const known = tracks[track]
        if (known === undefined) continue
        const frame = clipFrameOf(one, track, known, { shift: parts[at]?.shift ?? 0, delay })
        // As the plan has it, which knew of no delay yet.
        if (frame.decodeTimestamp < (known.track.kind === 'audio' ? delay : 0)) continue
        frames.push(frame)
        bytes += frame.data.byteLength
        if (bytes > (parts[at]?.size ?? 0)) throw changed(at)
      }
    }
    if (frames.length > 0) yield made()
    if (at < parts.length) throw changed(at)
  }
}

const changed = (part: number): FramelogError =>
  new FramelogError('LOG_CORRUPT', `Part ${part} of the clip is not what it was when it was planned`)

/** A part that is being put together. */
interface OpenPart {
  readonly session: string
  readonly from: EntryPoint
  readonly first: Offset
  readonly shift: number
  readonly isKey: boolean
  readonly begin: number
  readonly frames: ClipFrame[]
  bytes: number
}

/** Finds the parts of an excerpt, frame by frame. */
class Planner {
  readonly #format: ClipFormat
  readonly #wanted: Offset
  readonly #isExact: boolean
  readonly #shortest: number
  readonly #parts: PlannedPart[] = []
  readonly #timeline = new Timeline()
  #tracks: readonly ClipTrack[] | undefined
  #open: OpenPart | undefined
  #origin: number | undefined
  /** What was asked for has come. */
  #isBehind = false
  #end = 0
  /** How much later than they are decoded some frames are presented at the least: below 0, that is earlier. */
  #least = 0
  #to: Offset
  #cutShort: string | undefined

  constructor(format: ClipFormat, { from, to }: Excerpt, isExact: boolean) {
    this.#format = format
    this.#wanted = from.wanted ?? from.from
    this.#isExact = isExact
    this.#to = to
    // Where there would be too many of them, they are longer: some fifty frames come in a second.
    this.#shortest = Math.max(limits.shortest, (((to - from.from) / 50) * 1_000_000) / format.parts)
  }

  /** @returns false where it ends before this frame */
  take(one: RecordedFrame): boolean {
    if (this.#tracks === undefined) {
      if (!one.opensGop) return true
      this.#tracks = tracksOf(one, this.#format)
    }
    if (one.opensGop && !isSame(this.#tracks, one)) {
      this.#to = one.offset
      this.#cutShort = 'its tracks change'
      return false
    }
    const track = this.#tracks.findIndex(({ track }) => track.name === one.frame.track)
    const known = this.#tracks[track]
    if (known === undefined) return true
    this.#timeline.take(one, this.#end)
    const frame = clipFrameOf(one, track, known, { shift: this.#timeline.shift, delay: 0 })
    // Sound from before the first picture.
    if (frame.decodeTimestamp < 0) return true
    if (track === 0) this.#note(one, frame)
    if (this.#open !== undefined && this.#isOver(this.#open, one, frame)) this.#close()
    this.#open ??= this.#begin(one, frame)
    this.#open.frames.push(frame)
    this.#open.bytes += frame.data.byteLength
    this.#end = Math.max(this.#end, frame.timestamp + frame.duration)
    return true
  }

  /** @throws FramelogError BAD_POSITION */
  finish(): SourcePlan {
    this.#close()
    const [tracks, origin] = [this.#tracks, this.#origin]
    if (tracks === undefined || origin === undefined || this.#parts.length === 0)
      throw new FramelogError('BAD_POSITION', 'No keyframe is kept between these positions')
    const delay = Math.max(0, -this.#least)
    // What is only there to be decoded is presented to nobody: an index that counted it would say a later end.
    const starts = this.#parts.map(({ start }) => Math.max(start, origin))
    const parts = this.#parts.map((part, i) => {
      const start = starts[i] ?? origin
      const duration = Math.max(0, Math.min((starts[i + 1] ?? this.#end) - start, 0xffff_ffff))
      return { ...part, start: start + delay, duration }
    })
    const duration = this.#end - origin
    return { tracks, parts, origin: origin + delay, delay, duration, to: this.#to, cutShort: this.#cutShort }
  }

  #note({ offset }: RecordedFrame, { timestamp, decodeTimestamp }: ClipFrame): void {
    if (this.#origin === undefined || (this.#isExact && !this.#isBehind)) this.#origin = timestamp
    this.#isBehind ||= offset >= this.#wanted
    this.#least = Math.min(this.#least, timestamp - decodeTimestamp)
  }

  #begin({ session, entry, offset, opensGop }: RecordedFrame, { decodeTimestamp }: ClipFrame): OpenPart {
    return {
      ...{ session, from: entry, first: offset, shift: this.#timeline.shift, isKey: opensGop },
      ...{ begin: decodeTimestamp, frames: [], bytes: 0 },
    }
  }

  #isOver(part: OpenPart, one: RecordedFrame, frame: ClipFrame): boolean {
    const length = frame.decodeTimestamp - part.begin
    const isLong = part.bytes > limits.bytes || part.frames.length >= limits.frames
    // One shift holds for all of a part.
    const isOther = one.session !== part.session
    const isEnough = one.opensGop && length >= this.#shortest
    return isOther || isEnough || isLong || length / 1000 > this.#format.longest / 2
  }

  #close(): void {
    const part = this.#open
    this.#open = undefined
    if (part === undefined) return
    const { from, first, shift, isKey, frames } = part
    const size = this.#format.sizeOf(frames, this.#origin ?? 0)
    const main = frames.filter(({ track }) => track === 0)
    const start = Math.min(...(main.length > 0 ? main : frames).map(({ timestamp }) => timestamp))
    this.#parts.push({ from, first, shift, isKey, size, start, duration: 0 })
  }
}

/** Sessions one after the other, each as long after the one before as its records came. */
class Timeline {
  shift = 0
  #session: string | undefined
  #time = 0

  take({ session, frame, time }: RecordedFrame, end: number): void {
    if (session !== this.#session) {
      const begin = frame.decodeTimestamp ?? frame.timestamp
      const pause = this.#session === undefined ? 0 : Math.max(0, (time - this.#time) * 1000)
      this.shift = (this.#session === undefined ? 0 : end + pause) - begin
      this.#session = session
    }
    this.#time = time
  }
}

/** What a file says of its tracks. @param first the keyframe that it begins with. @throws FramelogError UNSUITABLE_FORMAT */
export function tracksOf(first: RecordedFrame, format: ClipFormat): ClipTrack[] {
  const main = mainTrack(first.catalog)
  if (main === undefined)
    throw new FramelogError('UNSUITABLE_FORMAT', 'The broadcast has neither picture nor sound')
  return playable(first.catalog).map(track => ({
    track,
    config: configOf(track, main.name === track.name ? first : undefined, format),
  }))
}

/** The main picture and the first sound, in that order. */
function playable(catalog: Catalog): (VideoTrack | AudioTrack)[] {
  const main = mainTrack(catalog)
  const { tracks } = main === undefined ? catalog : withRendition(catalog, main.name)
  return [tracks.find(isVideo), tracks.find(isAudio)].filter(track => track !== undefined)
}

function configOf(
  track: VideoTrack | AudioTrack,
  keyframe: RecordedFrame | undefined,
  format: ClipFormat,
): DecoderConfig {
  if (!format.holds(track))
    throw new FramelogError(
      'UNSUITABLE_FORMAT',
      `The track ${track.name} is ${track.codec}, which cannot be written into ${format.mimeType}`,
    )
  // AAC behind ADTS headers comes without a configuration.
  if (isAdts(track)) return configOfAac(track.sampleRate, track.channels)
  return decoderConfigOf(track, keyframe?.frame.data ?? new Uint8Array())
}

/** Whether what comes with a keyframe fits into the tracks of the file. */
function isSame(tracks: readonly ClipTrack[], one: RecordedFrame): boolean {
  const now = playable(one.catalog)
  if (now.length !== tracks.length) return false
  return tracks.every(({ track, config }, i) => {
    const other = now[i]
    if (other === undefined || other.name !== track.name || other.codec !== track.codec) return false
    if (other.description !== track.description) return false
    const tells = one.frame.track === track.name && isAnnexBTrack(track)
    return !tells || sameBytes(decoderConfigOf(track, one.frame.data), config)
  })
}

/** A frame on the clock of a file. @param times to be added, microseconds */
export function clipFrameOf(
  { frame }: RecordedFrame,
  track: number,
  { track: of }: ClipTrack,
  { shift, delay }: { readonly shift: number; readonly delay: number },
): ClipFrame {
  const { timestamp, decodeTimestamp, keyframe } = frame
  const presented = timestamp + shift + delay
  return {
    track,
    timestamp: presented,
    // Sound is put off with its picture.
    decodeTimestamp: of.kind === 'audio' ? presented : (decodeTimestamp ?? timestamp) + shift,
    duration: frame.duration ?? durationOfSample(of, frame.data),
    keyframe,
    data: packed(of, frame.data),
  }
}

function packed(track: VideoTrack | AudioTrack, data: Uint8Array): Uint8Array {
  if (isAnnexBTrack(track)) return toLengths(data)
  return isAdts(track) ? withoutAdts(data) : data
}

const isAdts = (track: VideoTrack | AudioTrack): track is AudioTrack =>
  track.kind === 'audio' && track.description === undefined && parseCodec(track.codec).family === 'aac'
