/**
 * Presents by WebCodecs what a feed holds: decoders in, canvas and loudspeaker out, one timeline between them. The picture never
 * waits for the sound card, nor for a gesture.
 */
import type { Catalog } from '../../media/catalog.ts'
import { type Micros, micros } from '../../units.ts'
import { Feed, type FeedFrame, type Segment } from './feed.ts'
import type { Place } from './frame-places.ts'
import { PictureCanvas } from './picture-canvas.ts'
import { PictureDecoder } from './picture-decoder.ts'
import { PictureQueue, pictureLimit } from './picture-queue.ts'
import type { SoundState, SoundWish } from './player.ts'
import type {
  Presentation,
  PresentationFigures,
  PresentationHandler,
  PresentationOptions,
} from './presentation.ts'
import { Refresh } from './refresh.ts'
import { SoundLane } from './sound-lane.ts'
import { Timeline, type TimelineMode } from './timeline.ts'

export const playbackLimits = {
  /** Media time that a replay decodes ahead, microseconds; a live broadcast decodes what it has. */
  pictureAhead: 200_000,
  soundAhead: 600_000,
  /** A picture is painted this much before its time: it comes onto the screen with the next refresh. Microseconds. */
  early: 8000,
  /** A picture later than this is passed over on the way back to the edge, unless nothing was painted for a while. */
  late: 250_000,
  while: 200,
  /** Milliseconds in which a decoder gives its first picture, unless it wants to see more of them before. */
  first: 50,
  /** Milliseconds for which sound waits for a first picture, before it is played without. */
  pictureless: 2000,
  /**
   * Milliseconds from what is on now at which a replay goes over to it: at its own pace, as far as a short pause takes it, and
   * hurrying no further than the timeline takes up by and by.
   */
  reach: { usual: 400, hurrying: 150 },
  /** Milliseconds between two words to the audio thread. */
  follow: 50,
} as const

export class WebCodecsPresentation implements Presentation {
  readonly #feed = new Feed(() => this.#timeline.mode === 'live')
  readonly #canvas: PictureCanvas
  readonly #refresh: Refresh
  readonly #handler: PresentationHandler
  readonly #sound: SoundLane
  readonly #queue = new PictureQueue<VideoFrame & { readonly timestamp: Micros }>()
  #timeline = new Timeline('live')
  /** Of the picture on the page. */
  #shownSession = ''
  #rate = 1
  #isPaused = false
  /** A replay stands at its first picture until its sound can be heard too. */
  #awaitsSound = false
  /** Media times of pictures that are decoded only because others need them. */
  readonly #hidden = new Set<number>()
  #pictures: PictureDecoder | undefined
  /** No picture of the segment was painted yet; its first frame was given to the decoder then. */
  #fresh = true
  #freshAt = 0
  /** When the first sound of a segment was there. */
  #soundAt: number | undefined
  #playedOut = false
  #decoded = 0
  #late = 0
  #followedAt = 0
  /** Wall clock of the gateway at capture minus media time, milliseconds. */
  #capture: number | undefined

  constructor({ sound, label }: PresentationOptions, handler: PresentationHandler) {
    this.#canvas = new PictureCanvas(label)
    this.#refresh = new Refresh(this.#canvas.element)
    this.#handler = handler
    this.#sound = new SoundLane(sound, {
      timeline: () => this.#timeline,
      onChange: () => {
        handler.onSound()
        this.pump()
      },
      onReport: () => {
        this.#follow(performance.now())
        this.pump()
      },
      onError: handler.onError,
    })
  }

  get mode(): TimelineMode {
    return this.#timeline.mode
  }

  get surface(): HTMLElement {
    return this.#canvas.element
  }

  get shown(): Place | undefined {
    const timestamp = this.#canvas.shown
    return timestamp === undefined ? undefined : { session: this.#shownSession, timestamp }
  }

  get firstAt(): number | undefined {
    return this.#canvas.firstAt
  }

  get playedOut(): boolean {
    return this.#playedOut
  }

  get sound(): SoundState {
    return this.#sound.state
  }

  figures(now: number): PresentationFigures {
    const { peak, played, starved, skewMs } = this.#sound.report
    const { sound } = this
    const { shown, firstAt, first, painted, element } = this.#canvas
    const bufferMs = this.#timeline.buffer(now)
    const segment = this.#feed.current
    return {
      painted,
      decoded: this.#decoded,
      late: this.#late,
      lost: this.#feed.lost,
      fps: this.#canvas.rate(now),
      codecs: [segment?.video?.codec, segment?.audio?.codec].filter(codec => codec !== undefined),
      ...(firstAt === undefined ? {} : { firstPaintAt: firstAt }),
      ...(shown === undefined ? {} : { mediaTime: shown }),
      ...(first === undefined ? {} : { firstMediaTime: first }),
      ...(bufferMs === undefined ? {} : { bufferMs }),
      ...(painted > 0 ? { size: { width: element.width, height: element.height } } : {}),
      audio: {
        state: sound,
        playing: sound === 'heard' || sound === 'silent',
        peak,
        samplesPlayed: played,
        starved,
        avSkewMs: skewMs,
      },
    }
  }

  capturedAt(timestamp: Micros): number | undefined {
    return this.#capture === undefined ? undefined : timestamp / 1000 + this.#capture
  }

  position(): Place | undefined {
    const segment = this.#feed.current
    const now = this.#timeline.mediaAt(performance.now())
    if (segment?.last === undefined || now === undefined) return undefined
    return { session: segment.session, timestamp: now < segment.last ? now : segment.last }
  }

  begin(mode: TimelineMode): void {
    this.#close()
    this.#feed.clear()
    if (mode === 'live') {
      this.#rate = 1
      this.#isPaused = false
    }
    this.#awaitsSound = false
    this.#timeline = new Timeline(mode, { rate: this.#rate, isPaused: this.#isPaused })
    this.#playedOut = false
    this.#canvas.forget()
    this.#sound.leave()
    this.#holdSound()
  }

  setRate(rate: number): void {
    if (this.mode === 'live') return
    this.#rate = rate
    this.#timeline.setRate(rate, performance.now())
    this.#holdSound()
    this.pump()
  }

  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused
    this.#pauseTimeline(performance.now())
    this.#holdSound()
    this.#animate()
    this.pump()
  }

  get reach(): number {
    return this.#rate === 1 ? playbackLimits.reach.usual : playbackLimits.reach.hurrying
  }

  get ahead(): number | undefined {
    if (this.#feed.hasNext) return Number.POSITIVE_INFINITY
    const last = this.#feed.current?.last
    const media = this.#timeline.mediaAt(performance.now())
    return last === undefined || media === undefined ? undefined : (last - media) / 1000
  }

  goLive(): void {
    if (this.mode === 'live') return
    this.#rate = 1
    this.#isPaused = false
    this.#awaitsSound = false
    this.#timeline.goLive(performance.now())
    this.#holdSound()
    this.#animate()
    this.pump()
  }

  /** Sound is played at its own pace, or not at all. */
  #holdSound(): void {
    this.#sound.hold(this.#rate !== 1 ? 'mute' : this.#isPaused ? 'still' : 'none')
  }

  goOn(): void {
    if (this.mode === 'live') this.#timeline.reset()
  }

  catalog(session: string, catalog: Catalog): void {
    const first = this.#feed.current === undefined
    if (!this.#feed.catalog(session, catalog)) return
    this.#playedOut = false
    const segment = this.#feed.current
    if (segment !== undefined && (first || this.mode === 'live')) this.#enter(segment)
  }

  frame(frame: FeedFrame): void {
    this.#feed.frame(frame)
    this.#playedOut = false
    this.pump()
  }

  end(): void {
    this.#feed.end()
    this.pump()
  }

  setSound(wish: SoundWish): void {
    this.#sound.setWish(wish)
  }

  stop(): void {
    this.#refresh.stop()
    this.#close()
    this.#feed.clear()
    this.#sound.stop()
  }

  /** Moves what is due into the decoders. Called by everything that happens: frames, pictures, refreshes, sound. */
  pump(): void {
    const now = performance.now()
    this.#timeline.advance(now)
    if (this.#awaitsSound) this.#awaitSound(now)
    if (now - this.#followedAt > playbackLimits.follow) this.#follow(now)
    if (this.#refresh.isHidden) this.#passOver(now)
    // The window that was to be refreshed may be gone.
    else if (this.#queue.length > 0) this.#animate()
    const segment = this.#feed.current
    if (segment === undefined) return
    this.#pumpPictures(segment, now)
    this.#pumpSounds(segment, now)
    if (segment.pictures.length + segment.sounds.length > 0) return
    if (!(segment.ended || this.#feed.hasNext)) return
    this.#pictures?.flush()
    const shown = this.#timeline.mediaAt(now)
    const over = segment.last === undefined || (shown !== undefined && shown > segment.last)
    if (!over || (this.#pictures?.inside ?? 0) > 0 || this.#queue.length > 0) return
    if (this.#feed.hasNext) {
      const next = this.#feed.advance()
      if (next !== undefined) this.#enter(next)
    } else if (!this.#playedOut) {
      this.#playedOut = true
      this.#handler.onPlayedOut()
    }
  }

  /** A hidden page is not refreshed: pictures whose time has come make room for the next. */
  #passOver(now: number): void {
    const media = this.#timeline.mediaAt(now)
    const due = media === undefined ? undefined : this.#queue.take(media)
    due?.picture.close()
  }

  #pumpPictures(segment: Segment, now: number): void {
    const decoder = this.#pictures
    if (decoder === undefined) {
      segment.pictures.clear()
      return
    }
    const limit = this.#limit(now, playbackLimits.pictureAhead, true)
    for (let head = segment.pictures.peek(); head !== undefined; head = segment.pictures.peek()) {
      if (decoder.isFull || head.timestamp > limit) return
      if (head.hidden === true) {
        segment.pictures.shift()
        this.#hidden.add(head.timestamp)
        decoder.decode(head)
        continue
      }
      // The first picture is wanted soonest: nothing that came with it goes before it into the decoder's thread.
      const inside = Math.max(0, decoder.inside - this.#hidden.size)
      if (this.#fresh && inside > 0 && now - this.#freshAt < playbackLimits.first) return
      if (this.#fresh && inside === 0) this.#freshAt = now
      // A replay's pictures wait for their time, and the queue takes only so many.
      if (this.mode === 'replay' && inside + this.#queue.length >= pictureLimit) return
      segment.pictures.shift()
      if (head.capturedAt !== undefined) this.#capture = head.capturedAt - head.timestamp / 1000
      decoder.decode(head)
    }
  }

  #pumpSounds(segment: Segment, now: number): void {
    const leads = this.#soundLeads(segment, now)
    if (leads) this.#sound.open()
    const playing = this.#sound.isPlaying
    // Sound that nobody hears is passed over as its time goes by; alone, it still sets the timeline.
    const ahead = playing ? playbackLimits.soundAhead : 0
    for (let head = segment.sounds.peek(); head !== undefined; head = segment.sounds.peek()) {
      if (head.timestamp > this.#limit(now, ahead, leads)) return
      if (playing && this.#sound.isFull) return
      segment.sounds.shift()
      if (playing) this.#sound.decode(head)
      if (leads && (!playing || this.mode === 'replay')) this.#timeline.ready('audio', head.timestamp, now)
    }
  }

  /** Whether there is no picture to begin with: none is named, or none comes. */
  #soundLeads({ video, pictures, sounds }: Segment, now: number): boolean {
    if (video === undefined) return true
    if (!this.#fresh || pictures.length + (this.#pictures?.inside ?? 0) > 0) return false
    if (sounds.length > 0) this.#soundAt ??= now
    return this.#soundAt !== undefined && now - this.#soundAt > playbackLimits.pictureless
  }

  /**
   * Media time up to which is decoded: live, all there is. A replay's timeline begins with its first picture, so
   * before that only what leads there is decoded.
   */
  #limit(now: number, ahead: number, leads: boolean): number {
    if (this.mode === 'live') return Number.POSITIVE_INFINITY
    const shown = this.#timeline.mediaAt(now)
    if (shown !== undefined) return shown + ahead
    return leads ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY
  }

  #enter(segment: Segment): void {
    this.#close()
    if (!segment.continues) {
      this.#timeline.reset()
      this.#capture = undefined
    }
    this.#sound.enter(segment.audio, !segment.continues)
    this.#fresh = true
    this.#soundAt = undefined
    if (segment.video !== undefined) {
      const { codec } = segment.video
      this.#pictures = new PictureDecoder(segment.video, {
        onPicture: picture => this.#take(picture),
        onError: (error, supported) => {
          this.#handler.onError(error)
          if (!supported) this.#handler.onUnsupported(codec)
        },
      })
    }
    // Where there is a picture, the sound card is opened after it.
    if (segment.video === undefined) this.#sound.open()
    this.#sound.hear()
    this.#handler.onSound()
    this.pump()
  }

  #take(decoded: VideoFrame): void {
    const picture = decoded as VideoFrame & { readonly timestamp: Micros }
    const now = performance.now()
    this.#decoded += 1
    if (this.#hidden.delete(picture.timestamp)) {
      picture.close()
      this.pump()
      return
    }
    this.#handler.onDecoded(picture.timestamp)
    if (this.#tells()) this.#timeline.ready('video', picture.timestamp, now)
    if (this.#fresh) {
      // The first picture at once: what is right about its moment comes with those that follow.
      this.#fresh = false
      this.#show(picture, now)
      picture.close()
      this.#sound.open()
      if (this.mode === 'replay') this.#awaitSound(now)
    } else this.#late += this.#queue.push(picture)
    this.#animate()
    this.pump()
  }

  #awaitSound(now: number): void {
    this.#awaitsSound = this.#sound.isOpening(now)
    this.#pauseTimeline(now)
  }

  #pauseTimeline(now: number): void {
    this.#timeline.setPaused(this.#isPaused || this.#awaitsSound, now)
  }

  /**
   * Whether the time at which a picture is ready says something about what comes. In a replay it does not where
   * the page itself is what is late: hidden, it is given a turn a second, and shown again it decodes a backlog.
   */
  #tells(): boolean {
    if (this.mode === 'live' || !this.#timeline.isSet) return true
    return !this.#refresh.isHidden && (this.#feed.current?.pictures.length ?? 0) === 0
  }

  /**
   * Asks for the next refresh only while a picture waits for it: each costs the page as much as a picture does.
   * A replay is driven by refreshes; live, frames come by themselves.
   */
  #animate(): void {
    this.#refresh.ask(() => {
      this.pump()
      this.#paint()
      if (this.#queue.length > 0 || (this.mode === 'replay' && !this.#playedOut)) this.#animate()
    })
  }

  #paint(): void {
    const now = performance.now()
    const media = this.#timeline.mediaAt(now)
    if (media === undefined) return
    const due = this.#queue.take(micros(media + playbackLimits.early))
    if (due === undefined) return
    const { picture, dropped } = due
    this.#late += dropped
    const isLate = this.mode === 'live' && media - picture.timestamp > playbackLimits.late
    if (isLate && now - (this.#canvas.paintedAt ?? 0) < playbackLimits.while) this.#late += 1
    else this.#show(picture, now)
    picture.close()
  }

  #show(picture: VideoFrame, now: number): void {
    this.#canvas.paint(picture, now)
    this.#shownSession = this.#feed.current?.session ?? ''
    this.#handler.onPainted(now)
  }

  #follow(now: number): void {
    this.#followedAt = now
    this.#sound.follow()
  }

  #close(): void {
    this.#pictures?.close()
    this.#pictures = undefined
    this.#hidden.clear()
    this.#queue.clear()
  }
}
