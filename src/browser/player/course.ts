/**
 * Where in its broadcast a viewer is, and where it wants to be: through seeks, and over connections that come and go. What
 * still comes of where it was before is told apart from what it has asked for.
 */
import type { NumberedFrame } from '../../media/frame.ts'
import type { Millis, Offset } from '../../units.ts'
import type { KnownMessage, MessageOf } from '../../wire/message.ts'
import { FramePlaces, type Place } from './frame-places.ts'

/** Where to go; `step` is the keyframe before that, or behind it. */
export interface Aim {
  /** `live`, `start`, `-30s`, an ISO time, or `@` and an offset. */
  readonly from: string
  readonly step?: -1 | 1
}

/** `stale` belongs to where the viewer was before, or has come already; `hidden` lies before what it has asked for. */
export type Verdict = 'stale' | 'hidden' | 'shown'

export class Course {
  #aim: Aim
  /** The topic that an offset in the aim is of; undefined where whoever made the address knew of none. */
  #aimTopic: string | undefined
  /** The newest seek of this connection; and whether what comes is still of the one before. */
  #seek = 0
  #isAwaited = false
  /** Whether the gateway says what it sends, and so takes seeks. */
  #canSeek = false
  #isLive = false
  #topic: string | undefined
  /** Of the newest frame or data that came. */
  #offset: Offset | undefined
  #wanted: Offset | undefined
  #session: string | undefined
  readonly #places = new FramePlaces()

  constructor(aim: Aim) {
    this.#aim = aim
  }

  /** Where it was sent last. */
  get aim(): Aim {
    return this.#aim
  }

  /** Whether a frame has come of where it was sent. */
  get hasBegun(): boolean {
    return this.#offset !== undefined
  }

  /** Whether what comes is of where it was sent. */
  get takes(): boolean {
    return !this.#isAwaited
  }

  /** Whether what comes is what is on now. */
  get isLive(): boolean {
    return this.#isLive && !this.#isAwaited
  }

  /** What a new connection asks for: to go on behind what came, where something did. */
  hello(): { from: string; topic?: string } {
    this.#seek = 0
    this.#isAwaited = false
    this.#canSeek = false
    this.#isLive = false
    this.#wanted = undefined
    if (this.#offset === undefined) return { from: this.#aim.from, ...named(this.#aimTopic) }
    return { from: `@${this.#offset + 1}`, ...named(this.#topic) }
  }

  /** Whether the step that was asked for is still to be taken: a hello cannot ask for one. */
  get owesStep(): boolean {
    return this.#seek === 0 && this.#offset === undefined && this.#aim.step !== undefined
  }

  /** It has come to what is on now: where it has to begin anew, it begins there. */
  arrive(): void {
    this.#aim = { from: 'live' }
    this.#aimTopic = undefined
  }

  /** @returns what is to be sent; undefined where only a new connection gets there */
  seek(aim: Aim): KnownMessage | undefined {
    this.#aim = aim
    this.#aimTopic = aim.from.startsWith('@') ? this.#topic : undefined
    this.forget()
    if (!this.#canSeek) return undefined
    this.#seek += 1
    this.#isAwaited = true
    return { type: 'seek', seek: this.#seek, ...aim }
  }

  /** What came is not gone on from. */
  forget(): void {
    this.#offset = undefined
    this.#wanted = undefined
    this.#places.clear()
  }

  /** What comes next is behind an offset. */
  goOnBehind(offset: Offset): void {
    this.#offset = offset
    this.#places.clear()
  }

  /** @returns whether it is what was asked for last */
  place({ seek, live, topic, offset }: MessageOf<'place'>): boolean {
    this.#canSeek = true
    if (seek !== this.#seek) return false
    this.#isAwaited = false
    this.#isLive = live
    this.#topic = topic ?? this.#topic
    this.#wanted = offset as Offset | undefined
    return true
  }

  /** Frames of another media clock follow. @returns false where they are of where the viewer was before */
  begin(session: string): boolean {
    if (this.#isAwaited) return false
    // Where the broadcast was deleted and made anew, offsets begin anew.
    if (this.#session !== undefined && session !== this.#session) this.#offset = undefined
    this.#session = session
    return true
  }

  /** @param isMain whether it is of the track that positions are told by */
  frame(frame: NumberedFrame, isMain: boolean, relayed: MessageOf<'frame'>['relayed']): Verdict {
    if (this.#isAwaited) return 'stale'
    if (relayed === undefined) return 'shown'
    const { offset, time } = relayed
    // A connection that goes on begins with the GOP that it goes on in.
    if (this.#offset !== undefined && offset <= this.#offset) return 'stale'
    this.#offset = offset
    const { timestamp, keyframe } = frame
    if (isMain && this.#session !== undefined)
      this.#places.add({ session: this.#session, timestamp, offset, time, keyframe })
    return this.#wanted !== undefined && offset < this.#wanted ? 'hidden' : 'shown'
  }

  /** @returns whether timed data is of where it was sent, and has not come before */
  data(relayed: MessageOf<'data'>['relayed']): boolean {
    if (this.#isAwaited) return false
    // Before the first frame nothing has begun that could be gone on with.
    if (relayed === undefined || this.#offset === undefined) return true
    if (relayed.offset <= this.#offset) return false
    this.#offset = relayed.offset
    return true
  }

  /** Wall clock of what is shown, by its record. */
  timeAt(place: Place | undefined): Millis | undefined {
    return this.#places.at(place)?.time
  }

  /** The position behind what is shown; undefined where that is not known. */
  behind(place: Place | undefined): string | undefined {
    const shown = this.#places.at(place)
    return shown && `@${shown.offset + 1}`
  }

  /** The position of what is shown. */
  at(place: Place | undefined): string | undefined {
    const shown = this.#places.at(place)
    return shown && `@${shown.offset}`
  }

  /** Offset of the keyframe that follows what is shown. */
  keyframeAfter(place: Place | undefined): Offset | undefined {
    return this.#places.after(place)
  }
}

const named = (topic: string | undefined): { topic?: string } => (topic === undefined ? {} : { topic })
