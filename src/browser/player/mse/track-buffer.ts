/**
 * One SourceBuffer: appends in order, one at a time; makes room behind what is played; tries the same append again
 * where there was none. Whoever owns it calls `pump` from time to time: an append that waits for room needs it.
 */

export const trackBufferLimits = {
  /** Bytes that may wait to be appended. A replay runs 10 s ahead, and a joining viewer's GOP has up to 8 MiB. */
  waiting: 64 * 1024 * 1024,
  /** Bytes of an append that joins several: one that is larger than the whole buffer would never find room. */
  joined: 256 * 1024,
  /** Seconds behind what is played that are kept, and past which they are evicted. */
  kept: 10,
  evictAt: 20,
  /** Seconds that are kept where there is no room. */
  keptWhenFull: 1,
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
  /** It takes no more: the source is broken, or more waits than may. */
  onError(error: Error): void
}

type Item =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'type'; readonly type: string }

export class TrackBuffer {
  readonly #buffer: Appendable
  readonly #handler: TrackBufferHandler
  #items: Item[] = []
  #waiting = 0
  #dead = false
  #retries = 0

  constructor(buffer: Appendable, handler: TrackBufferHandler) {
    this.#buffer = buffer
    this.#handler = handler
    buffer.addEventListener('updateend', () => {
      this.pump()
      if (!this.#dead) handler.onUpdate()
    })
  }

  /** Bytes that wait to be appended. */
  get waiting(): number {
    return this.#waiting
  }

  /** Appends that found no room. */
  get retries(): number {
    return this.#retries
  }

  get isUpdating(): boolean {
    return this.#buffer.updating
  }

  get isIdle(): boolean {
    return this.#items.length === 0 && !this.#buffer.updating
  }

  /** Seconds; undefined where it holds nothing. */
  get end(): number | undefined {
    const { buffered } = this.#buffer
    return buffered.length === 0 ? undefined : buffered.end(buffered.length - 1)
  }

  /** @param parts owned by the buffer from here on */
  append(parts: readonly Uint8Array<ArrayBuffer>[]): void {
    for (const bytes of parts) {
      this.#items.push({ kind: 'bytes', bytes })
      this.#waiting += bytes.byteLength
    }
    if (this.#waiting > trackBufferLimits.waiting) this.#fail(new Error('more waits to be appended than may'))
    else this.pump()
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
    this.#items = []
    this.#waiting = 0
  }

  #appendNext(): void {
    for (let [first] = this.#items; first?.kind === 'type'; [first] = this.#items) {
      this.#buffer.changeType(first.type)
      this.#items.shift()
    }
    const joined = this.#join()
    if (joined === undefined) return
    try {
      this.#buffer.appendBuffer(joined)
    } catch (error) {
      if (!(error instanceof DOMException && error.name === 'QuotaExceededError')) throw error
      this.#retries += 1
      // The same bytes stay first; room comes by what is removed now, or by what will have been played.
      this.#items.unshift({ kind: 'bytes', bytes: joined })
      this.#evict(trackBufferLimits.keptWhenFull, trackBufferLimits.keptWhenFull)
      return
    }
    this.#waiting -= joined.byteLength
  }

  /** Bytes that wait, up to a change of type: one append costs as much as another. */
  #join(): Uint8Array<ArrayBuffer> | undefined {
    const parts: Uint8Array<ArrayBuffer>[] = []
    let size = 0
    for (const item of this.#items) {
      if (item.kind === 'type' || (size > 0 && size + item.bytes.byteLength > trackBufferLimits.joined)) break
      parts.push(item.bytes)
      size += item.bytes.byteLength
    }
    this.#items = this.#items.slice(parts.length)
    if (parts.length < 2) return parts[0]
    const joined = new Uint8Array(size)
    let at = 0
    for (const part of parts) {
      joined.set(part, at)
      at += part.byteLength
    }
    return joined
  }

  /** @returns whether something is being removed now */
  #evict(past: number, kept: number): boolean {
    const { buffered } = this.#buffer
    if (buffered.length === 0) return false
    const start = buffered.start(0)
    const limit = this.#handler.now() - kept
    if (this.#handler.now() - start <= past || limit <= start) return false
    this.#buffer.remove(0, limit)
    return true
  }

  #fail(error: Error): void {
    this.leave()
    this.#handler.onError(error)
  }
}
