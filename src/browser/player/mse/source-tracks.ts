/** A MediaSource on a video element, with one SourceBuffer for the picture and one for the sound. */
import { type FragmentWriter, fragmentWriters } from '../../../container/fragments.ts'
import { FramelogError } from '../../../errors.ts'
import { durationOfAac, silentAac } from '../../../media/aac.ts'
import type { AudioTrack, VideoTrack } from '../../../media/catalog.ts'
import { parseCodec } from '../../../media/codec.ts'
import type { Frame } from '../../../media/frame.ts'
import { durationOfOpus, isStereoOpus, silentOpus, silentOpusDuration } from '../../../media/opus.ts'
import { type Micros, micros } from '../../../units.ts'
import type { Ranges } from './evictions.ts'
import { type FrameTime, frameTimeLimits, PictureTimes, SoundTimes } from './frame-times.ts'
import { attach, mediaSourceClass } from './source.ts'
import type { Kind } from './stretches.ts'
import { TrackBuffer } from './track-buffer.ts'

export interface SourceTracksHandler {
  onUpdate(): void
  /** Ranges of element time are there no more; told by managed sources only. */
  onRemoved(ranges: Ranges): void
  /** A frame lacks what its container must say of it; it is left out, and what depends on it. */
  onUnwritable(kind: Kind, error: FramelogError): void
  onError(error: Error): void
}

interface Lane {
  readonly buffer: TrackBuffer
  writer: FragmentWriter
  times: PictureTimes | SoundTimes
  /** Element time at which what was put in ends, microseconds; and of that, what came. */
  end: number | undefined
  came: number | undefined
  /** Nothing can be put in before the next keyframe. */
  isBroken: boolean
  codec: string
  sampleRate: number
  /** What fills missing sound, where the codec has such a thing. */
  silence: Silence | undefined
}

interface Silence {
  readonly data: Uint8Array
  /** Microseconds of one packet. */
  readonly duration: number
}

export type Tracks = { readonly [K in Kind]: (K extends 'video' ? VideoTrack : AudioTrack) | undefined }

/** How the track can be written for this browser. @returns undefined where it cannot */
export function writerFor(track: VideoTrack | AudioTrack): FragmentWriter | undefined {
  const source = mediaSourceClass()
  return fragmentWriters(track)
    .map(make => make())
    .find(({ mimeType }) => source?.isTypeSupported(mimeType))
}

export class SourceTracks {
  readonly #video: HTMLVideoElement
  readonly #handler: SourceTracksHandler
  readonly #source: MediaSource
  readonly #detach: () => void
  readonly #tracks: Tracks
  #lanes: Partial<Record<Kind, Lane>> = {}
  /** What came before the source was open. */
  #early: (() => void)[] = []
  #isOpen = false
  #isSated = false
  #hasBegun = false
  #ended = false
  #closed = false

  /** @param tracks that this browser can decode, at least one */
  constructor(video: HTMLVideoElement, tracks: Tracks, handler: SourceTracksHandler) {
    const Source = mediaSourceClass()
    if (Source === undefined) throw new Error('There is no MediaSource')
    this.#video = video
    this.#tracks = tracks
    this.#handler = handler
    this.#source = new Source()
    this.#source.addEventListener('sourceopen', () => this.#open(), { once: true })
    this.#source.addEventListener('endstreaming', () => {
      this.#isSated = true
    })
    this.#source.addEventListener('startstreaming', () => {
      this.#isSated = false
      if (!this.#closed) handler.onUpdate()
    })
    this.#detach = attach(video, this.#source)
  }

  /** Element times at which picture and sound end, microseconds; only of those that there are. */
  get ends(): { readonly video?: number; readonly audio?: number } {
    const { video, audio } = this.#lanes
    return {
      ...(video?.end === undefined ? {} : { video: video.end }),
      ...(audio?.end === undefined ? {} : { audio: audio.end }),
    }
  }

  get hasSound(): boolean {
    return this.#lanes.audio !== undefined
  }

  get hasPicture(): boolean {
    return this.#tracks.video !== undefined
  }

  /** Whether a frame was given, of whatever track. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  /** Element time at which the sound that came ends, microseconds. */
  get heard(): number | undefined {
    return this.#lanes.audio?.came
  }

  /** Everything that came has been appended. */
  get isIdle(): boolean {
    return this.#early.length === 0 && Object.values(this.#lanes).every(({ buffer }) => buffer.isIdle)
  }

  /** A managed source says that it has enough for now; others never do. */
  get isSated(): boolean {
    return this.#isSated
  }

  get waiting(): number {
    return Object.values(this.#lanes).reduce((sum, { buffer }) => sum + buffer.waiting, 0)
  }

  /** Whether these tracks can follow in the same buffers. */
  takes(tracks: Tracks): boolean {
    const same = (['video', 'audio'] as const).every(
      kind => (tracks[kind] !== undefined) === kind in this.#lanes,
    )
    const canChange = Object.values(this.#lanes).every(({ buffer }) => buffer.canChangeType)
    return same && canChange && this.#source.readyState !== 'closed'
  }

  /** Other tracks follow, which `takes` has said can. */
  change(tracks: Tracks): void {
    for (const kind of ['video', 'audio'] as const) {
      const lane = this.#lanes[kind]
      const track = tracks[kind]
      const writer = track && writerFor(track)
      if (lane === undefined || track === undefined || writer === undefined) continue
      if (writer.mimeType !== lane.writer.mimeType) lane.buffer.changeType(writer.mimeType)
      lane.writer = writer
      Object.assign(lane, described(track))
    }
  }

  /**
   * @param base element time minus media time, microseconds
   * @param lasts microseconds to the next frame of the track, where that is known
   */
  append(kind: Kind, frame: Frame, base: number, lasts?: number): void {
    if (this.#closed) return
    this.#hasBegun = true
    // The source is open a moment before it says so; its buffers are made when it does.
    if (!this.#isOpen) {
      if (this.#early.length < 16_384) this.#early.push(() => this.append(kind, frame, base, lasts))
      return
    }
    const lane = this.#lanes[kind]
    const timestamp = micros(frame.timestamp + base)
    if (lane === undefined || timestamp < 0 || (lane.isBroken && !frame.keyframe)) return
    lane.isBroken = false
    this.#ended = false
    if (lane.times instanceof PictureTimes) {
      lane.end = Math.max(lane.end ?? 0, timestamp + (frame.duration ?? 0))
      const decodeTimestamp = micros((frame.decodeTimestamp ?? frame.timestamp) + base)
      const placed = lane.times.place(decodeTimestamp, frame.keyframe, lasts)
      const moved = decodeTimestamp - placed.timestamp
      this.#write(kind, frame, {
        timestamp: micros(timestamp - moved),
        decodeTimestamp: placed.timestamp,
        duration: placed.duration,
      })
      return
    }
    // Where there were pictures in a long gap, it is silence; where there were none, it is a hole in both.
    const seen = micros(Math.min(timestamp, this.#lanes.video?.end ?? 0))
    if (seen - (lane.times.end ?? seen) > frameTimeLimits.soundGap) this.fillSound(seen, seen)
    const time = lane.times.place(timestamp, soundDuration(lane, frame))
    if (time === undefined) return
    if (lane.codec === 'opus' && lane.silence !== undefined)
      lane.silence = { ...lane.silence, data: silentOpus(isStereoOpus(frame.data)) }
    this.#fill(lane, { timestamp: micros(time.timestamp - time.silence), duration: time.silence })
    lane.end = lane.times.end
    lane.came = lane.end
    this.#write(kind, frame, time)
  }

  /**
   * Fills up missing sound to a moment of the element's, microseconds, as far as its codec lets it.
   * @param from where sound should have begun, where none came
   */
  fillSound(until: Micros, from: Micros): void {
    const lane = this.#lanes.audio
    if (!(lane?.times instanceof SoundTimes) || lane.silence === undefined) return
    const time = lane.times.fill(until, from)
    if (time === undefined) return
    this.#fill(lane, time)
    lane.end = lane.times.end
  }

  #fill(lane: Lane, { timestamp, duration }: FrameTime): void {
    if (lane.silence === undefined) return
    const { data, duration: each } = lane.silence
    for (let at = 0; at < duration && !this.#closed; at += each) {
      const part = micros(Math.min(each, duration - at))
      this.#write('audio', { keyframe: true, data }, { timestamp: micros(timestamp + at), duration: part })
    }
  }

  #write(
    kind: Kind,
    { keyframe, data }: Pick<Frame, 'keyframe' | 'data'>,
    time: FrameTime & { decodeTimestamp?: Micros },
  ): void {
    const lane = this.#lanes[kind]
    if (lane === undefined) return
    const { timestamp, duration, decodeTimestamp } = time
    const decode = decodeTimestamp === undefined ? {} : { decodeTimestamp }
    try {
      const parts = lane.writer.write({ timestamp, duration, ...decode, keyframe, data })
      lane.buffer.append(parts, kind === 'video' && keyframe ? timestamp : undefined)
    } catch (error) {
      lane.isBroken = true
      if (error instanceof FramelogError) this.#handler.onUnwritable(kind, error)
      else this.#handler.onError(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** No frame follows: the element plays to the very end. */
  end(): void {
    // Evicting opens an ended source again, so it may have to be ended more than once.
    if (!this.#isOpen || this.#source.readyState !== 'open' || !this.isIdle) return
    this.#ended = true
    this.#source.endOfStream()
  }

  pump(): void {
    for (const { buffer } of Object.values(this.#lanes)) buffer.pump()
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true
    this.#early = []
    for (const { buffer } of Object.values(this.#lanes)) buffer.leave()
    this.#detach()
  }

  #updated(): void {
    // What follows an end is live again.
    const isIdle = Object.values(this.#lanes).every(({ buffer }) => !buffer.isUpdating)
    if (
      !this.#ended &&
      isIdle &&
      this.#source.readyState === 'open' &&
      Number.isFinite(this.#source.duration)
    )
      this.#source.duration = Number.POSITIVE_INFINITY
    this.#handler.onUpdate()
  }

  #open(): void {
    if (this.#closed) return
    // Before the first append: only then does the browser take it for live, and hold nothing back.
    this.#source.duration = Number.POSITIVE_INFINITY
    this.#isOpen = true
    try {
      for (const kind of ['video', 'audio'] as const) {
        const track = this.#tracks[kind]
        const writer = track && writerFor(track)
        if (track === undefined || writer === undefined) continue
        const buffer = new TrackBuffer(this.#source.addSourceBuffer(writer.mimeType), {
          now: () => this.#video.currentTime,
          onUpdate: () => this.#updated(),
          onRemoved: ranges => this.#handler.onRemoved(ranges),
          onError: error => this.#handler.onError(error),
        })
        const empty = { end: undefined, came: undefined, isBroken: false }
        this.#lanes[kind] = { ...described(track), ...empty, buffer, writer }
      }
    } catch (error) {
      this.#handler.onError(error instanceof Error ? error : new Error(String(error)))
      return
    }
    const early = this.#early
    this.#early = []
    for (const append of early) append()
    this.#handler.onUpdate()
  }
}

const described = (
  track: VideoTrack | AudioTrack,
): Pick<Lane, 'times' | 'codec' | 'sampleRate' | 'silence'> => ({
  times: track.kind === 'video' ? new PictureTimes(track.frameRate) : new SoundTimes(),
  codec: parseCodec(track.codec).family,
  sampleRate: track.kind === 'audio' ? track.sampleRate : 0,
  silence: track.kind === 'audio' ? silenceOf(track) : undefined,
})

function silenceOf({ codec, channels, sampleRate }: AudioTrack): Silence | undefined {
  if (parseCodec(codec).family === 'opus')
    return channels > 2 ? undefined : { data: silentOpus(channels === 2), duration: silentOpusDuration }
  const data = silentAac(channels)
  return data && { data, duration: durationOfAac(sampleRate) }
}

/** Sound says itself how long it plays; what some muxers say of it leaves holes. */
function soundDuration(
  { codec, sampleRate }: Pick<Lane, 'codec' | 'sampleRate'>,
  { duration, data }: Frame,
): Micros {
  if (codec === 'aac') return micros(durationOfAac(sampleRate))
  return micros(durationOfOpus(data) ?? duration ?? 20_000)
}
