/**
 * One SourceBuffer: appends in order, one frame at a time; makes room behind what is played; tries the same append again
 * where there was none. Whoever owns it calls `pump` from time to time: an append that waits for room needs it.
 *
 * Room is made up to a keyframe: what is removed takes with it all that is decoded from it, up to the next one (Media
 * Source Extensions 2, section 5.5.9, step 3.4), be it what is playing.
 *
 * Frames are not joined: our durations are written long, and Firefox gives up all that follows up to the next keyframe
 * where frames of one append overlap. An append of its own costs a frame under half a millisecond.
 */
import { BoundedQueue } from '../../../core/queue.ts'
import type { Micros } from '../../../units.ts'
import type { BufferedChange, Ranges } from './evictions.ts'

export const trackBufferLimits = {
  /** What may wait to be appended. A replay runs 10 s ahead, and a joining viewer's GOP has up to 8 MiB. */
  waiting: { items: 32_768, bytes: 64 * 1024 * 1024 },
  /** Seconds behind what is played that are kept, and past which they are evicted. */
  kept: 10,
  evictAt: 20,
  /** Seconds that are kept where there is no room. */
  keptWhenFull: 1,
  /** Keyframes whose times are remembered. */
  openings: 4096,
  /** Seconds left to play at which a buffer without room counts as stuck. */
  stuck: 0.1,
} as const

/** What a TrackBuffer needs of a SourceBuffer. */
export type Appendable = Pick<
  SourceBuffer,
  'appendBuffer' | 'changeType' | 'remove' | 'updating' | 'buffered' | 'addEventListener'
>

export interface TrackBufferHandler {
  /** Seconds: what is played now. */
  now(): number
  /** Something was appended or removed. */
  onUpdate(): void
  /** The browser has removed something, be it as it was told or by itself; only a managed one tells. */
  onRemoved(ranges: Ranges): void
  /** It takes no more: the source is broken, or more waits than may. */
  onError(error: Error): void
}

type Item =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'type'; readonly type: string }

export class TrackBuffer {
  readonly #buffer: Appendable
  readonly #handler: TrackBufferHandler
  readonly #items = new BoundedQueue<Item>(trackBufferLimits.waiting, item =>
    item.kind === 'bytes' ? item.bytes.byteLength : 0,
  )
  /** Seconds at which the GOPs to come begin; and the newest one that may be all there is. */
  readonly #openings = new BoundedQueue<number>(
    { items: trackBufferLimits.openings, bytes: Number.POSITIVE_INFINITY },
    () => 0,
  )
  #opening: number | undefined
  #dead = false

  constructor(buffer: Appendable, handler: TrackBufferHandler) {
    this.#buffer = buffer
    this.#handler = handler
    buffer.addEventListener('updateend', () => {
      this.pump()
      if (!this.#dead) handler.onUpdate()
    })
    buffer.addEventListener('bufferedchange', (event: Event & BufferedChange) => {
      const { removedRanges } = event
      if (!this.#dead && removedRanges !== undefined && removedRanges.length > 0)
        handler.onRemoved(removedRanges)
    })
  }

  /** Bytes that wait to be appended. */
  get waiting(): number {
    return this.#items.bytes
  }

  get isUpdating(): boolean {
    return this.#buffer.updating
  }

  get canChangeType(): boolean {
    return 'changeType' in this.#buffer
  }

  get isIdle(): boolean {
    return this.#items.length === 0 && !this.#buffer.updating
  }

  /**
   * @param parts owned by the buffer from here on
   * @param opensAt element time, microseconds, where a GOP begins with them; never told of tracks that begin anywhere
   */
  append(parts: readonly Uint8Array<ArrayBuffer>[], opensAt?: Micros): void {
    if (opensAt !== undefined) {
      if (this.#openings.length === trackBufferLimits.openings) this.#openings.shift()
      this.#openings.push(opensAt / 1_000_000)
    }
    for (const bytes of parts) {
      if (this.#items.push({ kind: 'bytes', bytes })) continue
      this.#fail(new Error('more waits to be appended than may'))
      return
    }
    this.pump()
  }

  /** What is appended from here on is of another type. */
  changeType(type: string): void {
    this.#items.push({ kind: 'type', type })
    this.pump()
  }

  /** Does what is next, unless something is being done. */
  pump(): void {
    if (this.#dead) return
    try {
      if (this.#buffer.updating || this.#evict(trackBufferLimits.evictAt, trackBufferLimits.kept)) return
      this.#appendNext()
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Nothing is done from here on: its source is gone. */
  leave(): void {
    this.#dead = true
    this.#items.clear()
  }

  #appendNext(): void {
    let item = this.#items.peek()
    for (; item?.kind === 'type'; item = this.#items.peek()) {
      this.#buffer.changeType(item.type)
      this.#items.shift()
    }
    if (item === undefined) return
    try {
      this.#buffer.appendBuffer(item.bytes)
      this.#items.shift()
    } catch (error) {
      if (!(error instanceof DOMException && error.name === 'QuotaExceededError')) throw error
      // The same bytes stay first; room comes by what is removed now, or by what will have been played.
      const isEvicting = this.#evict(trackBufferLimits.keptWhenFull, trackBufferLimits.keptWhenFull)
      if (!isEvicting && this.#isStuck()) throw new Error('a GOP is larger than the buffer', { cause: error })
    }
  }

  /** @returns whether something is being removed now */
  #evict(past: number, kept: number): boolean {
    const { buffered } = this.#buffer
    if (buffered.length === 0) return false
    const start = buffered.start(0)
    const now = this.#handler.now()
    if (now - start <= past) return false
    const limit = this.#openingBefore(now - kept)
    if (limit === undefined || limit <= start) return false
    this.#buffer.remove(0, limit)
    return true
  }

  /** The last moment up to this one that is needed by nothing before it. Moments only grow, or nearly so. */
  #openingBefore(moment: number): number | undefined {
    if (this.#openings.length === 0 && this.#opening === undefined) return moment
    for (let next = this.#openings.peek(); next !== undefined && next <= moment; next = this.#openings.peek())
      this.#opening = this.#openings.shift()
    // Just before it: times are seconds as fractions, and the keyframe must not fall to their rounding.
    return this.#opening === undefined ? undefined : this.#opening - 0.001
  }

  /** Nothing is left to play, and no room can be made. */
  #isStuck(): boolean {
    const { buffered } = this.#buffer
    const last = buffered.length - 1
    return last >= 0 && buffered.end(last) - this.#handler.now() < trackBufferLimits.stuck
  }

  #fail(error: Error): void {
    this.leave()
    this.#handler.onError(error)
  }
}
