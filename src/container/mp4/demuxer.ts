/**
 * Fragmented MP4 (ISO/IEC 14496-12) as it comes, each frame out at its last byte.
 *   stream   := (ftyp? moov fragment*)+     another moov begins anew
 *   fragment := moof mdat+
 * Anything else (styp, sidx, prft, emsg, free, …) may stand between boxes and is passed over. A moof says where in the
 * mdat behind it each sample lies; samples come out in the order of their bytes, whatever track they are of.
 */
import { OutOfBytes } from '../../core/bytes.ts'
import { FramelogError } from '../../errors.ts'
import { micros } from '../../units.ts'
import { Announcer } from '../announcer.ts'
import { Chunks } from '../chunks.ts'
import { type Demuxer, type DemuxHandler, demuxLimits } from '../demuxer.ts'
import { nameOf, peekBox, toTheEnd, types } from './boxes.ts'
import { type PlannedSample, parseFragment, type Run } from './fragment.ts'
import { howToFragment, type Mp4Track, parseMovie, toMicros } from './movie.ts'

type State =
  /** A box's header comes next. */
  | { readonly kind: 'header' }
  /** A box is waited for as a whole. */
  | { readonly kind: 'box'; readonly type: number; readonly size: number; readonly begin: number }
  /** So many bytes are passed over; what follows is a box, or more of an mdat. */
  | { readonly kind: 'skip'; rest: number; readonly next: State }
  /** Within an mdat, between two samples. */
  | { readonly kind: 'media'; readonly end: number }
  /** Within an mdat, a sample is waited for. */
  | { readonly kind: 'sample'; readonly sample: PlannedSample; readonly end: number }
  /** What goes on to the end of the stream has passed its limit. */
  | { readonly kind: 'overrun' }

const bad = (message: string): never => {
  throw new FramelogError('BAD_CONTAINER', message)
}

const header: State = { kind: 'header' }

/** Passes over what goes on to the end of the stream. */
const overrunning = (): State => ({ kind: 'skip', rest: demuxLimits.skipped, next: { kind: 'overrun' } })

export class Mp4Demuxer implements Demuxer {
  readonly #chunks = new Chunks()
  readonly #announcer: Announcer
  #state: State = header
  /** Bytes taken since the beginning. */
  #position = 0
  /** Where the last ftyp stands, and where the file begins whose moov is in force. */
  #brand = 0
  #file = 0
  /** By id; undefined before the first moov. */
  #tracks: ReadonlyMap<number, Mp4Track> | undefined
  /** Index of each in what is announced. */
  #indexes: ReadonlyMap<number, number> = new Map()
  /** Decode time behind the last sample of each track, in its ticks. */
  readonly #times = new Map<number, number>()
  /** Runs of the last moof, in the order of their bytes, and the next sample of the first that is not used up. */
  #runs: readonly Run[] = []
  #run = 0
  #next: PlannedSample | undefined
  /** Bytes of mdat since the last moof that belong to no sample. */
  #unclaimed = 0

  constructor(handler: DemuxHandler) {
    this.#announcer = new Announcer(handler)
  }

  push(bytes: Uint8Array): void {
    this.#chunks.push(bytes)
    while (this.#step());
  }

  end(): void {
    this.#announcer.end()
    this.#chunks.clear()
  }

  /** @returns whether there was enough for a step */
  #step(): boolean {
    const state = this.#state
    switch (state.kind) {
      case 'header':
        return this.#header()
      case 'box': {
        const data = this.#take(state.size)
        if (data === undefined) return false
        this.#state = header
        this.#box(state.type, data, state.begin)
        return true
      }
      case 'skip': {
        const skipped = this.#chunks.skip(state.rest)
        this.#position += skipped
        state.rest -= skipped
        if (state.rest > 0) return false
        this.#state = state.next
        return true
      }
      case 'media':
        this.#media(state.end)
        return true
      case 'sample': {
        const data = this.#take(state.sample.size)
        if (data === undefined) return false
        this.#state = { kind: 'media', end: state.end }
        this.#sample(state.sample, data)
        return true
      }
      case 'overrun':
        if (this.#chunks.length > 0)
          bad(`Over ${demuxLimits.skipped} bytes before byte ${this.#position} are no frames`)
        return false
      default:
        return state satisfies never
    }
  }

  #take(size: number): Uint8Array | undefined {
    const data = this.#chunks.take(size)
    if (data !== undefined) this.#position += size
    return data
  }

  #header(): boolean {
    const begin = this.#position
    const box = peekBox(this.#chunks)
    if (box === 'bad') return bad(`The box at byte ${begin} has a size that cannot be`)
    if (box === 'short') return false
    this.#chunks.skip(box.length)
    this.#position += box.length
    this.#enter(box.type, box.size, begin)
    return true
  }

  #enter(type: number, size: number, begin: number): void {
    const isEndless = size === toTheEnd
    switch (type) {
      case types.mdat:
        if (this.#tracks === undefined) bad(`The MP4 has its media before its moov: ${howToFragment}`)
        this.#state = { kind: 'media', end: isEndless ? Number.POSITIVE_INFINITY : this.#position + size }
        return
      case types.moov:
      case types.moof:
        if (this.#next !== undefined) bad(`Samples of the fragment before byte ${begin} are missing`)
        if (isEndless || size > demuxLimits.header)
          bad(
            `The ${nameOf(type)} at byte ${begin} has ${isEndless ? 'no size' : `${size} bytes; ${demuxLimits.header} is the limit`}`,
          )
        this.#state = { kind: 'box', type, size, begin }
        return
      case types.ftyp:
        this.#brand = begin
    }
    if (!isEndless && size > demuxLimits.skipped)
      bad(`The box at byte ${begin} has ${size} bytes; ${demuxLimits.skipped} is the limit`)
    this.#state = isEndless ? overrunning() : { kind: 'skip', rest: size, next: header }
  }

  #box(type: number, data: Uint8Array, begin: number): void {
    try {
      if (type === types.moov) this.#movie(data)
      else this.#fragment(data, begin)
    } catch (error) {
      if (error instanceof OutOfBytes)
        bad(`The ${nameOf(type)} at byte ${begin} is damaged: ${error.message}`)
      throw error
    }
  }

  #movie(data: Uint8Array): void {
    const tracks = parseMovie(data)
    const carried = tracks.filter(({ track }) => track !== undefined)
    this.#announcer.tracks(tracks.flatMap(({ track }) => (track === undefined ? [] : [track])))
    this.#tracks = new Map(tracks.map(track => [track.id, track]))
    this.#indexes = new Map(carried.map(({ id }, index) => [id, index]))
    this.#file = this.#brand
    this.#times.clear()
    this.#plan([])
  }

  #fragment(data: Uint8Array, begin: number): void {
    const tracks = this.#tracks ?? bad('The MP4 begins with a fragment: its moov is missing')
    this.#plan(parseFragment(data, tracks, this.#times, { moof: begin, file: this.#file }))
  }

  #plan(runs: readonly Run[]): void {
    this.#runs = runs
    this.#run = 0
    this.#unclaimed = 0
    this.#advance()
  }

  #advance(): void {
    for (; this.#run < this.#runs.length; this.#run++) {
      this.#next = this.#runs[this.#run]?.next()
      if (this.#next !== undefined) return
    }
    this.#next = undefined
  }

  /** Goes on to the next sample within an mdat, or to its end. */
  #media(end: number): void {
    const next = this.#next
    if (next === undefined || next.position >= end) {
      this.#gap(end - this.#position, header)
      return
    }
    const media: State = { kind: 'media', end }
    if (next.position > this.#position) {
      this.#gap(next.position - this.#position, media)
      return
    }
    if (next.position < this.#position || next.size > end - next.position)
      bad(`A sample of track ${next.track.id} lies outside of the media, at byte ${next.position}`)
    this.#advance()
    if (next.track.track === undefined) {
      this.#state = { kind: 'skip', rest: next.size, next: media }
      return
    }
    if (next.size > demuxLimits.frame)
      throw new FramelogError(
        'FRAME_TOO_LARGE',
        `A frame has ${next.size} bytes; ${demuxLimits.frame} is the limit`,
      )
    this.#state = { kind: 'sample', sample: next, end }
  }

  /** Passes over bytes of an mdat that are of no sample. */
  #gap(count: number, next: State): void {
    if (count === Number.POSITIVE_INFINITY) {
      this.#state = overrunning()
      return
    }
    this.#unclaimed += count
    if (this.#unclaimed > demuxLimits.skipped)
      bad(`Over ${demuxLimits.skipped} bytes of media behind byte ${this.#position} are of no sample`)
    this.#state = { kind: 'skip', rest: count, next }
  }

  #sample(
    { track, decodeTime, compositionOffset, duration, keyframe }: PlannedSample,
    data: Uint8Array,
  ): void {
    const { mediaTime, delay, timescale } = track
    const begin = decodeTime - mediaTime
    const timestamp = toMicros(begin + compositionOffset, timescale) + delay
    const decodeTimestamp = toMicros(begin, timescale) + delay
    if (!Number.isSafeInteger(Math.round(timestamp)) || !Number.isSafeInteger(Math.round(decodeTimestamp)))
      bad(`The time of a sample of track ${track.id} is past 2^53`)
    this.#announcer.sample({
      track: this.#indexes.get(track.id) ?? -1,
      timestamp: micros(timestamp),
      ...(compositionOffset === 0 ? {} : { decodeTimestamp: micros(decodeTimestamp) }),
      ...(duration === 0 ? {} : { duration: micros(toMicros(duration, timescale)) }),
      keyframe,
      data,
    })
  }
}
