/**
 * WebM and Matroska (RFC 9559, RFC 8794) as they come, each frame out at its last byte.
 *   stream  := (EBML Segment)+            a second stream behind the first begins anew
 *   Segment := (SeekHead | Info | Tracks | Cluster | Cues | Chapters | Tags | Attachments | Void | CRC-32)*
 *   Cluster := (Timestamp | SimpleBlock | BlockGroup | others)*
 * Segment and Cluster are walked into, whatever their size; nothing else may have an unknown one. A Cluster of
 * unknown size ends where something begins that only a Segment holds, a Segment of unknown size where an EBML header
 * begins. What has to be looked into is taken as a whole once it is there; everything else is passed over.
 */
import { FramelogError } from '../../errors.ts'
import { micros } from '../../units.ts'
import { Announcer, durationOf } from '../announcer.ts'
import { Chunks } from '../chunks.ts'
import { type Demuxer, type DemuxHandler, demuxLimits } from '../demuxer.ts'
import { parseBlock } from './block.ts'
import {
  children,
  type ElementHeader,
  ids,
  peekHeader,
  readText,
  readUnsigned,
  topLevel,
  unknownSize,
} from './ebml.ts'
import { parseTracks, type WebmTrack } from './tracks.ts'

type Level = 'stream' | 'segment' | 'cluster'

type State =
  /** An element's header comes next. */
  | { readonly kind: 'header' }
  /** An element is waited for as a whole. */
  | { readonly kind: 'element'; readonly id: number; readonly size: number }
  /** So many bytes are passed over. */
  | { readonly kind: 'skip'; rest: number }

/** Bytes of the elements that are taken as a whole. */
const wholes: ReadonlyMap<number, number> = new Map([
  [ids.ebml, 4096],
  [ids.info, demuxLimits.header],
  [ids.tracks, demuxLimits.header],
  [ids.timestamp, 8],
  [ids.simpleBlock, demuxLimits.frame],
  [ids.blockGroup, demuxLimits.frame],
])

const bad = (message: string): never => {
  throw new FramelogError('BAD_CONTAINER', message)
}

export class WebmDemuxer implements Demuxer {
  readonly #chunks = new Chunks()
  readonly #announcer: Announcer
  #state: State = { kind: 'header' }
  #level: Level = 'stream'
  /** Bytes taken since the beginning, and where the open elements of known size end. */
  #position = 0
  #segmentEnd = Number.POSITIVE_INFINITY
  #clusterEnd = Number.POSITIVE_INFINITY
  #begun = false
  #tracks: readonly WebmTrack[] | undefined
  /** Nanoseconds of a tick. */
  #scale = 1_000_000
  /** Ticks. */
  #clusterTime = 0

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
    switch (this.#state.kind) {
      case 'header':
        return this.#header()
      case 'element': {
        const { id, size } = this.#state
        const data = this.#chunks.take(size)
        if (data === undefined) return false
        this.#position += size
        this.#state = { kind: 'header' }
        this.#element(id, data)
        return true
      }
      case 'skip': {
        const skipped = this.#chunks.skip(this.#state.rest)
        this.#position += skipped
        this.#state.rest -= skipped
        if (this.#state.rest > 0) return false
        this.#state = { kind: 'header' }
        return true
      }
      default:
        return this.#state satisfies never
    }
  }

  #header(): boolean {
    if (this.#level === 'cluster' && this.#position >= this.#clusterEnd) this.#level = 'segment'
    if (this.#level !== 'stream' && this.#position >= this.#segmentEnd) {
      this.#level = 'stream'
      this.#segmentEnd = Number.POSITIVE_INFINITY
    }
    const header = peekHeader(this.#chunks)
    if (header === 'bad') return bad(`Byte ${this.#position} begins no element`)
    if (header === 'short') return false
    this.#leave(header)
    this.#chunks.skip(header.length)
    this.#position += header.length
    this.#enter(header)
    return true
  }

  /** An element that the open ones cannot hold ends those of unknown size. */
  #leave({ id }: ElementHeader): void {
    const isOpen = this.#clusterEnd === Number.POSITIVE_INFINITY
    if (this.#level === 'cluster' && isOpen && (topLevel.has(id) || id === ids.ebml || id === ids.segment))
      this.#level = 'segment'
    if (
      this.#level === 'segment' &&
      this.#segmentEnd === Number.POSITIVE_INFINITY &&
      (id === ids.ebml || id === ids.segment)
    )
      this.#level = 'stream'
  }

  #enter({ id, size }: ElementHeader): void {
    if (!this.#begun && id !== ids.ebml) bad('The stream does not begin with an EBML header')
    this.#begun = true
    if (id === ids.segment && this.#level === 'stream') {
      this.#level = 'segment'
      this.#segmentEnd = this.#endOf(size, Number.POSITIVE_INFINITY)
      return
    }
    if (id === ids.cluster && this.#level === 'segment') {
      this.#level = 'cluster'
      this.#clusterEnd = this.#endOf(size, this.#segmentEnd)
      return
    }
    if (size === unknownSize) bad(`Element ${id.toString(16)} at byte ${this.#position} has no size`)
    this.#endOf(
      size,
      this.#level === 'cluster' ? Math.min(this.#clusterEnd, this.#segmentEnd) : this.#segmentEnd,
    )
    const whole = this.#isWanted(id) ? wholes.get(id) : undefined
    if (whole === undefined) {
      if (size > demuxLimits.skipped)
        bad(`Element ${id.toString(16)} has ${size} bytes; ${demuxLimits.skipped} is the limit`)
      this.#state = { kind: 'skip', rest: size }
    } else if (size <= whole) this.#state = { kind: 'element', id, size }
    else if (id === ids.simpleBlock || id === ids.blockGroup)
      throw new FramelogError('FRAME_TOO_LARGE', `A block has ${size} bytes; ${whole} is the limit`)
    else bad(`Element ${id.toString(16)} has ${size} bytes; ${whole} is the limit`)
  }

  #isWanted(id: number): boolean {
    switch (this.#level) {
      case 'stream':
        return id === ids.ebml
      case 'segment':
        return id === ids.info || id === ids.tracks
      case 'cluster':
        return id === ids.timestamp || id === ids.simpleBlock || id === ids.blockGroup
      default:
        return this.#level satisfies never
    }
  }

  /** Where an element of this size ends, which is not past its parent. */
  #endOf(size: number, parentEnd: number): number {
    if (size === unknownSize) return Number.POSITIVE_INFINITY
    const end = this.#position + size
    // A parent that was left open by its writer may state less than it holds, but one that was closed does not.
    if (end > parentEnd) bad(`An element at byte ${this.#position} is longer than what holds it`)
    return end
  }

  #element(id: number, data: Uint8Array): void {
    switch (id) {
      case ids.ebml:
        this.#ebml(data)
        break
      case ids.info:
        this.#info(data)
        break
      case ids.tracks:
        this.#tracks = parseTracks(data)
        this.#announcer.tracks(this.#tracks.map(({ track }) => track))
        break
      case ids.timestamp:
        this.#clusterTime = readUnsigned(data) ?? bad('The time of a cluster is past 2^53')
        break
      case ids.simpleBlock:
        this.#block(data, undefined, undefined)
        break
      case ids.blockGroup:
        this.#blockGroup(data)
        break
    }
  }

  #ebml(data: Uint8Array): void {
    const fields = children(data) ?? bad('The EBML header is damaged')
    const docType = readText(fields.find(({ id }) => id === ids.docType)?.data ?? new Uint8Array())
    if (docType !== 'webm' && docType !== 'matroska') bad('The EBML header names neither webm nor matroska')
    this.#announcer.end()
    this.#tracks = undefined
    this.#scale = 1_000_000
    this.#clusterTime = 0
  }

  #info(data: Uint8Array): void {
    const fields = children(data) ?? bad('The Info element is damaged')
    const scale = fields.find(({ id }) => id === ids.timestampScale)
    if (scale === undefined) return
    this.#scale = readUnsigned(scale.data) || bad('The timestamp scale is no number')
  }

  #blockGroup(data: Uint8Array): void {
    const fields = children(data) ?? bad('A block group is damaged')
    const block = fields.find(({ id }) => id === ids.block) ?? bad('A block group has no block')
    const duration = fields.find(({ id }) => id === ids.blockDuration)
    const isKeyframe = !fields.some(({ id }) => id === ids.referenceBlock)
    this.#block(block.data, duration && readUnsigned(duration.data), isKeyframe)
  }

  /** @param ticks of the whole block, where stated. @param keyframe undefined where the block itself says */
  #block(data: Uint8Array, ticks: number | undefined, keyframe: boolean | undefined): void {
    const tracks = this.#tracks ?? bad('A block comes before the tracks')
    const block = parseBlock(data) ?? bad(`The block before byte ${this.#position} is damaged`)
    const index = tracks.findIndex(({ number }) => number === block.track)
    const track = tracks[index]
    if (track === undefined) return
    const { codecDelay, defaultDuration, stripped } = track
    const stated = ticks === undefined ? 0 : (ticks * this.#scale) / block.frames.length
    let nanoseconds = (this.#clusterTime + block.time) * this.#scale - codecDelay
    for (const frame of block.frames) {
      const data = restore(frame, stripped, block.frames.length > 1)
      const duration = stated || defaultDuration || (durationOf(track.track, data) ?? 0) * 1000
      if (!isTime(nanoseconds)) bad('The time of a block is past 2^53')
      if (!isTime(duration)) bad('A block lasts for longer than 2^53 microseconds')
      this.#announcer.sample({
        track: index,
        timestamp: micros(nanoseconds / 1000),
        ...(duration > 0 ? { duration: micros(duration / 1000) } : {}),
        keyframe: keyframe ?? block.isKeyframe,
        data,
      })
      nanoseconds += duration
    }
  }
}

/** Whether so many nanoseconds are a number of microseconds. */
const isTime = (nanoseconds: number): boolean => Number.isSafeInteger(Math.round(nanoseconds / 1000))

/** @returns owned bytes; a frame that has its block for itself holds on to it */
function restore(frame: Uint8Array, stripped: Uint8Array | undefined, isShared: boolean): Uint8Array {
  if (stripped === undefined) return isShared ? frame.slice() : frame
  const whole = new Uint8Array(stripped.byteLength + frame.byteLength)
  whole.set(stripped)
  whole.set(frame, stripped.byteLength)
  return whole
}
