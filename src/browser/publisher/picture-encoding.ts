/**
 * One picture in one or several sizes, each an encoder and a track of its own (simulcast). All have their keyframes at the same
 * pictures, and the largest one's frame of a picture goes first: it is the one that opens a GOP.
 */
import { BoundedQueue } from '../../core/queue.ts'
import type { VideoTrack } from '../../media/catalog.ts'
import type { Frame } from '../../media/frame.ts'
import { type Micros, type TrackName, trackName } from '../../units.ts'
import { bitrateFor } from './video-codec.ts'
import { scaled, VideoEncoding } from './video-encoding.ts'

/** How many sizes a picture may be sent in. */
export const sizeCounts = [1, 2, 3] as const
export type SizeCount = (typeof sizeCounts)[number]

interface Size {
  readonly name: TrackName
  /** Of the picture's width and height. */
  readonly scale: number
}

const size = (name: string, scale: number): Size => ({ name: trackName(name), scale })
const sizes: Readonly<Record<SizeCount, readonly Size[]>> = {
  1: [size('video', 1)],
  2: [size('video', 1), size('video-low', 1 / 2)],
  3: [size('video', 1), size('video-mid', 1 / 2), size('video-low', 1 / 4)],
}
const altGroup = 1
/** Frames that wait for the largest one's: encoders hold two pictures each. */
const heldLimit = { items: 64, bytes: Number.POSITIVE_INFINITY }

export interface PictureEncodingHandler {
  /** Called before the first frame, and again before a frame that needs another decoder configuration. */
  onTracks(tracks: readonly VideoTrack[]): void
  /** @param frame without its time of capture, which whoever holds the clocks adds */
  onFrame(frame: Frame): void
  onError(error: DOMException): void
}

/** Of each size, the largest first. */
export type PictureConfigs = readonly VideoEncoderConfig[]

/** @param config of the largest */
export function configsOf(config: VideoEncoderConfig, count: SizeCount): PictureConfigs {
  return sizes[count].map(({ scale }) => {
    if (scale === 1) return config
    const format = scaled(config.width, config.height, scale)
    return { ...config, ...format, bitrate: bitrateFor({ ...format, frameRate: config.framerate ?? 30 }) }
  })
}

/** Bits a second of all of them. */
export const totalBitrate = (configs: PictureConfigs): number =>
  configs.reduce((sum, { bitrate = 0 }) => sum + bitrate, 0)

export class PictureEncoding {
  readonly #handler: PictureEncodingHandler
  readonly #encodings: readonly VideoEncoding[]
  #configs: PictureConfigs
  readonly #tracks: (VideoTrack | undefined)[]
  /** Of the largest one's newest frame. */
  #newest = Number.NEGATIVE_INFINITY
  readonly #held = new BoundedQueue<Frame>(heldLimit, ({ data }) => data.byteLength)

  /** @param configs as many as there are sizes */
  constructor(configs: PictureConfigs, handler: PictureEncodingHandler) {
    this.#handler = handler
    this.#configs = configs
    this.#tracks = configs.map(() => undefined)
    const its = sizes[configs.length as SizeCount]
    this.#encodings = configs.map((config, i) => {
      const { name, scale } = its[i] as Size
      const group = configs.length > 1 ? { altGroup } : {}
      return new VideoEncoding(
        { name, config, scale, ...group },
        {
          onTrack: track => this.#announce(i, track),
          onFrame: frame => (i === 0 ? this.#lead(frame) : this.#follow(frame)),
          onError: error => handler.onError(error),
        },
      )
    })
  }

  /**
   * @param picture owned by the caller, closed by it
   * @returns false where it was dropped
   */
  encode(picture: VideoFrame, timestamp: Micros): boolean {
    const isKey = this.#encodings.some(encoding => encoding.isDue(timestamp))
    // A viewer changes over at a keyframe, so each size has its own of this picture, or none has.
    if (isKey && !this.#encodings.every(({ hasRoom }) => hasRoom)) return false
    const [largest, ...others] = this.#encodings
    if (largest?.encode(picture, timestamp, isKey) !== true) return false
    for (const other of others) other.encode(picture, timestamp, isKey)
    return true
  }

  forceKeyframe(): void {
    for (const encoding of this.#encodings) encoding.forceKeyframe()
  }

  /** Half of what it was: frames have been too large. @returns the configurations from now on */
  lowerBitrate(): PictureConfigs {
    this.#configs = this.#encodings.map(encoding => encoding.lowerBitrate())
    return this.#configs
  }

  /** Bits a second that all aim at from now on, each with its share. */
  setBitrate(bitrate: number): void {
    const total = totalBitrate(this.#configs)
    for (const [i, encoding] of this.#encodings.entries())
      encoding.setBitrate(Math.round((bitrate * (this.#configs[i]?.bitrate ?? 0)) / total))
  }

  /** Gives what the encoders still hold. */
  async flush(): Promise<void> {
    await Promise.all(this.#encodings.map(encoding => encoding.flush()))
    this.#release(Number.POSITIVE_INFINITY)
  }

  close(): void {
    for (const encoding of this.#encodings) encoding.close()
    this.#held.clear()
  }

  #announce(index: number, track: VideoTrack): void {
    this.#tracks[index] = track
    const tracks = this.#tracks.filter(each => each !== undefined)
    if (tracks.length === this.#tracks.length) this.#handler.onTracks(tracks)
  }

  #lead(frame: Frame): void {
    this.#newest = frame.timestamp
    this.#handler.onFrame(frame)
    this.#release(frame.timestamp)
  }

  /** The smaller one is the sooner encoded. */
  #follow(frame: Frame): void {
    if (frame.timestamp <= this.#newest) this.#handler.onFrame(frame)
    // Where the largest gives nothing any more there is nothing to be gone behind.
    else if (!this.#held.push(frame)) this.#release(Number.POSITIVE_INFINITY)
  }

  #release(until: number): void {
    for (
      let frame = this.#held.peek();
      frame !== undefined && frame.timestamp <= until;
      frame = this.#held.peek()
    ) {
      this.#held.shift()
      this.#handler.onFrame(frame)
    }
  }
}
