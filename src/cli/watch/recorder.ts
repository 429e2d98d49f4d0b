/**
 * Turns what a viewer is sent into files: media times of sessions into one time that goes on, and one file after
 * the other where what comes has no place in the one before.
 */
import { sameBytes } from '../../container/decoder-config.ts'
import type { Catalog } from '../../media/catalog.ts'
import { type Micros, type Millis, micros } from '../../units.ts'
import type { Container } from './container.ts'
import type { Destination } from './destination.ts'
import { carriedDescription, goesOn, type Lane, lanesOf } from './lane.ts'
import { type LaneCount, MediaFile } from './media-file.ts'
import { type Arrival, Opening } from './opening.ts'

export const recorderLimits = {
  /** Frames of one MP4, whose index is held in memory until its end; what follows goes on in another. */
  mp4Frames: 1_000_000,
  /** Time without frames in one file, microseconds: players and the fields of an MP4 end somewhere. */
  hole: 6 * 3600 * 1_000_000,
} as const

export interface RecorderOptions {
  readonly container: Container
  /** The next place to write to, from 1 on. @throws FramelogError CANNOT_GO_ON where there is only one */
  readonly open: (number: number) => Promise<Destination>
  /** Media time after which enough is written. */
  readonly duration: Micros | undefined
  /** In place of the limit. */
  readonly mp4Frames?: number
  readonly onNote: (note: string) => void
  readonly onFinished: (file: FileReport) => void
}

export interface FileReport {
  readonly name: string
  readonly duration: Micros
  readonly bytes: number
  readonly counts: readonly LaneCount[]
}

export class Recorder {
  readonly #options: RecorderOptions
  #session: string | undefined
  /** Of the newest catalog. */
  #lanes: readonly Lane[] = []
  #opening: Opening | undefined
  #file: MediaFile | undefined
  #files = 0
  /** Time in the file less media time, of the session. */
  #shift = 0
  /** Of the newest frame: its time in the file, and its record's. */
  #newest: { readonly timestamp: number; readonly time: Millis | undefined } | undefined
  /** Media time in the files before this one. */
  #before = 0
  /** Names of tracks that have reached the wanted duration. */
  readonly #done = new Set<string>()
  #enough = false
  /** Frames of which no file tells. */
  undecodable = 0

  constructor(options: RecorderOptions) {
    this.#options = options
  }

  /** Whether the wanted duration is written. */
  get enough(): boolean {
    return this.#enough
  }

  /** Whether there is a file, begun or finished. */
  get hasBegun(): boolean {
    return this.#files > 0
  }

  get current(): FileReport | undefined {
    return this.#file && reportOf(this.#file)
  }

  /** What comes belongs to these tracks. @throws FramelogError UNSUITABLE_FORMAT */
  async catalog(session: string, catalog: Catalog): Promise<void> {
    const lanes = lanesOf(catalog, this.#options.container)
    const isNew = session !== this.#session
    if (!isNew && isSame(lanes, this.#lanes)) return
    await this.#begin()
    this.#session = session
    this.#lanes = lanes
    const file = this.#file
    const stays = file !== undefined && lanes.every(lane => fits(lane, file.lane(lane.name)))
    if (file !== undefined && !stays) await this.#goOn('its tracks have changed')
    if (isNew || !stays) this.#opening = new Opening(lanes)
  }

  /** Resolves when there is room for the next. */
  async frame(arrival: Arrival): Promise<void> {
    if (this.#enough) return
    if (this.#opening === undefined) {
      await this.#write(arrival)
      return
    }
    const held = this.#opening.push(arrival)
    if (this.#opening.isReady) await this.#begin()
    if (!held) await this.#write(arrival)
  }

  /** Writes what is still held, and finishes the file. */
  async finish(): Promise<void> {
    await this.#begin()
    await this.#finishFile()
  }

  /** Leaves the file as it is, after an error. */
  async abandon(): Promise<void> {
    const file = this.#file
    if (file === undefined) return
    this.#file = undefined
    await file.abandon()
    this.#options.onFinished(reportOf(file))
  }

  /** The first frames are here: a file is opened where there is none, and they are written. */
  async #begin(): Promise<void> {
    const opening = this.#opening
    this.#opening = undefined
    const first = opening?.first
    if (opening === undefined || first === undefined) return
    const file = this.#file
    if (file !== undefined && !opening.lanes.every(lane => fits(lane, file.lane(lane.name), true)))
      await this.#goOn('its tracks have changed')
    if (file !== undefined && this.#isHole(this.#resumeAt(opening.time)))
      await this.#goOn('what follows is hours later')
    if (this.#file === undefined) {
      await this.#open(opening.lanes)
      this.#shift = -first
    } else {
      this.#shift = this.#resumeAt(opening.time) - first
    }
    // One of them may begin another file, which the rest of them belongs to.
    for (const arrival of opening.arrivals()) await this.frame(arrival)
  }

  /** Where a new session begins in the file: as long after the newest frame as its record came after that one's. */
  #resumeAt(time: Millis | undefined): number {
    const end = this.#file?.duration ?? 0
    if (this.#newest?.time === undefined || time === undefined) return end
    return Math.max(end, this.#newest.timestamp + (time - this.#newest.time) * 1000)
  }

  #isHole(timestamp: number): boolean {
    const file = this.#file
    return file !== undefined && !file.appendOnly && timestamp - file.duration > recorderLimits.hole
  }

  async #open(lanes: readonly Lane[]): Promise<void> {
    if (lanes.length === 0) return
    this.#files += 1
    const destination = await this.#options.open(this.#files)
    if (this.#files > 1) this.#options.onNote(`Goes on in ${destination.name}.`)
    this.#file = new MediaFile(destination, this.#options.container, lanes)
    await this.#file.start()
  }

  /** The file cannot hold what comes. */
  async #goOn(why: string): Promise<void> {
    this.#options.onNote(`${this.#file?.name} cannot hold what comes: ${why}.`)
    await this.#finishFile()
  }

  async #finishFile(): Promise<void> {
    const file = this.#file
    if (file === undefined) return
    this.#before += file.duration
    await file.finish()
    this.#file = undefined
    this.#newest = undefined
    this.#options.onFinished(reportOf(file))
  }

  async #write(arrival: Arrival): Promise<void> {
    const { frame, time } = arrival
    if (this.#enough) return
    const lane = this.#lanes.find(({ name }) => name === frame.track)
    if (lane === undefined) return
    const made = this.#file?.lane(frame.track)
    if (made === undefined) {
      if (opensTrack(lane, arrival)) await this.#reopen(arrival, 'another track has begun')
      else this.undecodable += 1
      return
    }
    if (!isDescribed(made, arrival)) {
      await this.#reopen(arrival, 'the picture has changed')
      return
    }
    const timestamp = micros(frame.timestamp + this.#shift)
    if (opensTrack(lane, arrival) && this.#isHole(timestamp)) {
      await this.#reopen(arrival, 'what follows is hours later')
      return
    }
    if (this.#isFull(lane, frame.keyframe)) {
      await this.#reopen(
        arrival,
        `an index of over ${recorderLimits.mp4Frames} frames is too much for the memory`,
      )
      return
    }
    if (this.#isBeyond(frame.track, timestamp)) return
    const written = await this.#file?.add(frame.track, {
      data: frame.data,
      keyframe: frame.keyframe,
      timestamp,
      duration: frame.duration,
    })
    if (!written) this.undecodable += 1
    this.#newest = { timestamp, time }
  }

  /** Another file begins with a keyframe of the picture, where there is one. */
  #isFull(lane: Lane, keyframe: boolean): boolean {
    const { container, mp4Frames = recorderLimits.mp4Frames } = this.#options
    if (container !== 'mp4' || !keyframe || (this.#file?.frames ?? 0) < mp4Frames) return false
    return lane.kind === 'video' || this.#lanes.every(({ kind }) => kind === 'audio')
  }

  /** A frame begins another file. */
  async #reopen(arrival: Arrival, why: string): Promise<void> {
    if (this.#file !== undefined) await this.#goOn(why)
    this.#opening = new Opening(this.#lanes)
    this.#opening.push(arrival)
    if (this.#opening.isReady) await this.#begin()
  }

  /**
   * In the order of decoding, a track ends with the first frame past the wanted duration: what comes after it may
   * need it. All of it is enough when every track has ended, or one is a second ahead of the rest.
   */
  #isBeyond(track: string, timestamp: Micros): boolean {
    const { duration } = this.#options
    if (duration === undefined) return false
    const over = this.#before + timestamp - duration
    if (over >= 0) this.#done.add(track)
    if (over >= 1_000_000 || this.#lanes.every(({ name }) => this.#done.has(name))) this.#enough = true
    return this.#done.has(track)
  }
}

/** @param strictly also where a keyframe has told what was not known of an in-band lane before */
const fits = (lane: Lane, made: Lane | undefined, strictly = false): boolean =>
  made !== undefined && goesOn(lane, made) && (!strictly || sameBytes(lane.description, made.description))

const isSame = (lanes: readonly Lane[], others: readonly Lane[]): boolean =>
  lanes.length === others.length &&
  lanes.every(lane =>
    fits(
      lane,
      others.find(({ name }) => name === lane.name),
    ),
  )

/** Whether a track can begin with a frame. */
const opensTrack = (lane: Lane, { frame }: Arrival): boolean =>
  lane.kind === 'audio' || (frame.keyframe && (!lane.inBand || carriedDescription(frame.data) !== undefined))

/** Whether what a keyframe says of its decoder is what its track in the file was made with. */
function isDescribed(made: Lane, { frame }: Arrival): boolean {
  if (!made.inBand || !frame.keyframe) return true
  const carried = carriedDescription(frame.data)
  return carried === undefined || sameBytes(carried, made.description)
}

const reportOf = (file: MediaFile): FileReport => ({
  name: file.name,
  duration: file.duration,
  bytes: file.bytes,
  counts: file.counts,
})
