/**
 * What came and was not decoded yet, in segments: stretches that one decoder configuration covers. A replay runs
 * up to ten seconds ahead of what is shown, so a new segment waits until the one before it is played out; live,
 * the newest segment replaces all others.
 */
import { BoundedQueue } from '../../core/queue.ts'
import { type AudioTrack, type Catalog, isAudio, isVideo, type VideoTrack } from '../../media/catalog.ts'
import type { NumberedFrame } from '../../media/frame.ts'
import type { Micros } from '../../units.ts'

export const feedLimits = {
  /** Of each track of a segment. A replay runs 10 s ahead of the position, which may be behind by as much. */
  frames: { items: 16_384, bytes: 64 * 1024 * 1024 },
  segments: 32,
} as const

/** A frame as it came. */
export interface FeedFrame extends NumberedFrame {
  /** It lies before what was asked for: it is only to be decoded, and sound not even that. */
  readonly hidden?: boolean
  /** Frames that are missing before it; be it 0, what follows does not decode before a keyframe. */
  readonly missing?: number
}

export interface Segment {
  readonly session: string
  readonly video: VideoTrack | undefined
  readonly audio: AudioTrack | undefined
  /** Whether its media clock goes on from the segment before. */
  readonly continues: boolean
  readonly pictures: BoundedQueue<FeedFrame>
  readonly sounds: BoundedQueue<NumberedFrame>
  /** The newest media time of any frame that was put in. */
  last: Micros | undefined
  /** No frame follows, unless another segment does. */
  ended: boolean
}

export class Feed {
  readonly #isLive: () => boolean
  #segments: Segment[] = []
  #text = ''
  #broken = true
  #lost = 0

  constructor(isLive: () => boolean) {
    this.#isLive = isLive
  }

  /** The one that is played. */
  get current(): Segment | undefined {
    return this.#segments[0]
  }

  get hasNext(): boolean {
    return this.#segments.length > 1
  }

  /** Frames that are missing in what came, or did not fit. */
  get lost(): number {
    return this.#lost
  }

  /** @returns whether a new segment begins with it */
  catalog(session: string, catalog: Catalog): boolean {
    // What it is called makes no difference to a decoder.
    const text = JSON.stringify(catalog.tracks)
    const newest = this.#segments.at(-1)
    const sameSession = newest?.session === session
    if (sameSession && this.#text === text) {
      newest.ended = false
      return false
    }
    this.#text = text
    this.#broken = true
    const segment: Segment = {
      session,
      video: catalog.tracks.find(isVideo),
      audio: catalog.tracks.find(isAudio),
      continues: sameSession,
      pictures: new BoundedQueue<FeedFrame>(feedLimits.frames, ({ data }) => data.byteLength),
      sounds: new BoundedQueue<NumberedFrame>(feedLimits.frames, ({ data }) => data.byteLength),
      last: undefined,
      ended: false,
    }
    if (this.#isLive()) this.#segments = []
    if (this.#segments.length >= feedLimits.segments) this.#segments.splice(1, 1)
    this.#segments.push(segment)
    return true
  }

  /** Frames that cannot be decoded, because one before them is missing, are left out. */
  frame(frame: FeedFrame): void {
    const segment = this.#segments.at(-1)
    if (segment === undefined) return
    if (frame.missing !== undefined) {
      this.#lost += frame.missing
      this.#broken = true
    }
    if (frame.track === segment.video?.name) this.#picture(segment, frame)
    else if (frame.track === segment.audio?.name && frame.hidden === true) return
    else if (frame.track === segment.audio?.name && !segment.sounds.push(frame)) this.#lost += 1
    else if (frame.track !== segment.audio?.name) return
    segment.ended = false
    if (segment.last === undefined || frame.timestamp > segment.last) segment.last = frame.timestamp
  }

  end(): void {
    const segment = this.#segments.at(-1)
    if (segment !== undefined) segment.ended = true
  }

  /** The current segment is played out. @returns the next one */
  advance(): Segment | undefined {
    this.#segments.shift()
    return this.current
  }

  clear(): void {
    this.#segments = []
    this.#text = ''
  }

  #picture(segment: Segment, frame: FeedFrame): void {
    if (this.#broken && !frame.keyframe) {
      this.#lost += 1
      return
    }
    this.#broken = false
    // Live, what still waits before a keyframe is older than what the keyframe gives at once.
    if (frame.keyframe && this.#isLive()) segment.pictures.clear()
    if (segment.pictures.push(frame)) return
    this.#lost += 1
    this.#broken = true
  }
}
