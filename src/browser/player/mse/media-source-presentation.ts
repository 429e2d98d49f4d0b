/**
 * Presents by MediaSource, for browsers and pages that have no WebCodecs: frames are put into fragments as they come,
 * the video element decodes, and its own clock is the timeline for picture and sound.
 */
import type { FramelogError } from '../../../errors.ts'
import type { Catalog } from '../../../media/catalog.ts'
import { type Micros, micros } from '../../../units.ts'
import { Feed, type FeedFrame, type Segment } from '../feed.ts'
import type { Place } from '../frame-places.ts'
import { lipSync } from '../lip-sync.ts'
import type { SoundState, SoundWish } from '../player.ts'
import type {
  Presentation,
  PresentationFigures,
  PresentationHandler,
  PresentationOptions,
  Rejoin,
} from '../presentation.ts'
import type { TimelineMode } from '../timeline.ts'
import { Evictions } from './evictions.ts'
import { MissingTracks } from './missing-tracks.ts'
import { Playhead } from './playhead.ts'
import { SourceTracks, type Tracks, writerFor } from './source-tracks.ts'
import { type Kind, type Stretch, Stretches } from './stretches.ts'
import { VideoSurface } from './video-surface.ts'
import { WantedTracks } from './wanted-tracks.ts'

export const mseLimits = {
  /** Milliseconds between two looks at the edge. */
  look: 50,
  /** Microseconds of element time before the first frame: what belongs to it may begin a little earlier. */
  lead: 1_000_000,
  /**
   * Microseconds into a picture at which it is begun with where there is one before it: browsers cut a time off at a microsecond,
   * and would show that.
   */
  inside: 1000,
  /** Bytes that wait to be appended, past which a replay leaves its frames in the feed. */
  waiting: 16 * 1024 * 1024,
  /** Sources that may break, and keyframes that may be none, one after the other without a picture in between. */
  breaks: 5,
  /** The same, after which it is tried without the sound. */
  breaksWithSound: 2,
  /** Microseconds by which sound may begin after its session. */
  late: 2_000_000,
  /**
   * Milliseconds from what is on now at which a replay goes over to it. Nearer, one that plays faster runs dry, and Chromium
   * then wants seconds of sound before it goes on.
   */
  reach: 800,
  /** Milliseconds without anything to play after which a replay is said to have played all it was sent. */
  starved: 1000,
} as const

export class MediaSourcePresentation implements Presentation {
  readonly #feed = new Feed(() => this.#mode === 'live')
  readonly #handler: PresentationHandler
  readonly #surface: VideoSurface
  readonly #playhead: Playhead
  readonly #stretches = new Stretches()
  readonly #evictions = new Evictions()
  readonly #missing = new MissingTracks()
  readonly #wanted = new WantedTracks()
  readonly #timer: number
  readonly #onVisible = (): void => this.#visibilityChanged()
  #mode: TimelineMode = 'live'
  #wish: SoundWish
  #source: SourceTracks | undefined
  #segment: Segment | undefined
  #tracks = ''
  /** Element time that playback begins with at the earliest, as long as it has not, microseconds. */
  #joins: number | undefined
  /** What came so far, or some of it, is only there to be decoded. */
  #hasHidden = false
  /**
   * A picture that is only there to be decoded, until the next one tells how long it lasts. Chromium shows first what lasts into
   * the time that was asked for, be it by a duration that was written long.
   */
  #held: { readonly frame: FeedFrame; readonly segment: Segment } | undefined
  #isPaused = false
  #playedOut = false
  #breaks = 0
  #shown: { readonly stretch: Stretch; readonly timestamp: Micros } | undefined
  #first: Micros | undefined
  #stopped = false

  constructor({ sound, label, chases }: PresentationOptions, handler: PresentationHandler) {
    this.#handler = handler
    this.#wish = sound
    this.#surface = new VideoSurface(label, sound, {
      onPainted: (time, shownAt) => this.#painted(time, shownAt),
      onSound: () => handler.onSound(),
    })
    const { element } = this.#surface
    this.#playhead = new Playhead(element, chases)
    element.addEventListener('waiting', () => this.#playhead.waits(this.#mode === 'live'))
    element.addEventListener('playing', () => this.#playhead.flows())
    element.addEventListener('seeking', () => this.#playhead.seeks())
    element.addEventListener('ended', () => this.pump())
    element.addEventListener('error', () => {
      if (element.error !== null) this.#broke(new Error('the element failed'))
    })
    document.addEventListener('visibilitychange', this.#onVisible)
    this.#timer = setInterval(() => this.#look(), mseLimits.look)
  }

  get surface(): HTMLElement {
    return this.#surface.element
  }

  get mode(): TimelineMode {
    return this.#mode
  }

  get playedOut(): boolean {
    return this.#playedOut
  }

  get sound(): SoundState {
    if (this.#segment?.audio === undefined || writerFor(this.#segment.audio) === undefined) return 'none'
    return this.#surface.isBlocked ? 'blocked' : this.#wish
  }

  get shown(): Place | undefined {
    return this.#shown && { session: this.#shown.stretch.session, timestamp: this.#shown.timestamp }
  }

  get firstAt(): number | undefined {
    return this.#surface.firstAt
  }

  figures(now: number): PresentationFigures {
    const { sound } = this
    const left = this.#left()
    const { video, audio } = this.#segment ?? {}
    const rate = sound === 'none' ? 0 : (audio?.sampleRate ?? 0)
    return {
      ...this.#surface.figures(now),
      lost: this.#feed.lost,
      codecs: [video?.codec, audio?.codec].filter(codec => codec !== undefined),
      ...(this.#shown === undefined ? {} : { mediaTime: this.#shown.timestamp }),
      ...(this.#first === undefined ? {} : { firstMediaTime: this.#first }),
      ...(left === undefined ? {} : { bufferMs: Math.max(0, left) }),
      audio: {
        state: sound,
        playing: (sound === 'heard' || sound === 'silent') && this.#surface.isPlaying,
        samplesPlayed: Math.round((this.#playhead.playedMs * rate) / 1000),
        starved: Math.round((this.#playhead.dryMs * rate) / 1000),
        avSkewMs: this.#surface.skewMs - this.#soundBehind,
      },
    }
  }

  position(): Place | undefined {
    // What is missing between its tracks can be longer than a replay runs ahead: it has played what it can.
    const waitsFor = this.#playhead.waitsFor(performance.now()) ?? 0
    const isStarved = this.#mode === 'replay' && waitsFor > mseLimits.starved && this.#source?.isIdle === true
    if (isStarved && this.#segment?.last !== undefined)
      return { session: this.#segment.session, timestamp: this.#segment.last }
    const place = this.#stretches.at(this.#surface.element.currentTime)
    if (place === undefined || this.#playhead.isJoining) return undefined
    const { stretch, timestamp } = place
    return { session: stretch.session, timestamp: micros(Math.min(timestamp, stretch.last)) }
  }

  capturedAt(timestamp: Micros): number | undefined {
    const capture = this.#shown?.stretch.capture
    return capture === undefined ? undefined : timestamp / 1000 + capture
  }

  begin(mode: TimelineMode): void {
    this.#closeSource()
    this.#feed.clear()
    this.#mode = mode
    this.#playedOut = false
    this.#shown = undefined
    if (mode === 'live') {
      this.setRate(1)
      this.setPaused(false)
    }
  }

  setRate(rate: number): void {
    this.#surface.setRate(rate)
  }

  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused
    this.#surface.setHeld(isPaused)
  }

  get reach(): number {
    return mseLimits.reach
  }

  get ahead(): number | undefined {
    if (this.#feed.hasNext) return Number.POSITIVE_INFINITY
    return this.#playhead.isJoining ? undefined : this.#left()
  }

  goLive(): void {
    if (this.#mode === 'live') return
    this.#mode = 'live'
    this.setRate(1)
    this.setPaused(false)
    this.#playhead.goLive()
  }

  goOn(): void {
    this.#playhead.reset()
  }

  catalog(session: string, catalog: Catalog): void {
    if (!this.#feed.catalog(session, catalog)) return
    // A new connection begins with the same catalog: what was learnt of its tracks holds.
    const tracks = session + JSON.stringify(catalog.tracks)
    if (tracks !== this.#tracks) this.#missing.reset()
    this.#tracks = tracks
    this.#revive()
    this.#drain()
  }

  frame(frame: FeedFrame): void {
    this.#feed.frame(frame)
    this.#revive()
    this.#drain()
  }

  end(): void {
    this.#feed.end()
    this.pump()
  }

  setSound(wish: SoundWish): void {
    const changes = (this.#wish === 'off') !== (wish === 'off')
    this.#wish = wish
    this.#surface.setSound(wish)
    // A live picture without sound has no use for it and is the sooner shown: the other way is another source.
    const isOver = this.#playedOut || this.#segment?.ended === true
    if (changes && this.#mode === 'live' && this.sound !== 'none' && !isOver) this.#rejoin('anew')
    this.#handler.onSound()
  }

  pump(): void {
    this.#source?.pump()
    this.#drain()
    const segment = this.#feed.current
    if (segment?.ended !== true || this.#feed.hasNext || segment.pictures.length + segment.sounds.length > 0)
      return
    this.#playOut()
    if (this.#playedOut || !this.#isPlayedOut()) return
    this.#playedOut = true
    this.#handler.onPlayedOut()
  }

  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    clearInterval(this.#timer)
    document.removeEventListener('visibilitychange', this.#onVisible)
    this.#closeSource()
    this.#feed.clear()
    this.#surface.stop()
  }

  /** What follows an end begins as a join does: an element that has ended stays where it is. */
  #revive(): void {
    if (!this.#playedOut) return
    this.#playedOut = false
    if (this.#source !== undefined) this.#playhead.join()
  }

  /** Moves what came into the source. */
  #drain(): void {
    for (;;) {
      const segment = this.#feed.current
      if (segment === undefined || this.#stopped) return
      if (this.#wanted.pictureIsBack(segment)) this.#segment = undefined
      if (segment !== this.#segment) {
        const way = this.#enter(segment)
        if (way === 'later') return
        if (way === 'never') {
          if (!this.#feed.hasNext) return
          this.#feed.advance()
          continue
        }
      }
      if (this.#mode === 'replay' && this.#isFull) return
      const hasCome = segment.pictures.length + segment.sounds.length > 0
      if (hasCome) this.#playhead.came(this.#left(), this.#mode === 'live')
      if (this.#waitsForPicture(segment)) {
        if (!this.#wanted.givesUpPicture(segment, this.#feed.hasNext)) return
        // Nothing was put into the source: one for sound alone takes its place.
        this.#closeSource()
        continue
      }
      for (let frame = segment.pictures.shift(); frame !== undefined; frame = segment.pictures.shift())
        this.#appendPicture(segment, frame)
      for (let frame = segment.sounds.shift(); frame !== undefined; frame = segment.sounds.shift())
        this.#append('audio', segment, frame)
      if (this.#mode === 'live' && document.hidden) this.#playhead.passOver(this.#left())
      if (!this.#feed.hasNext) return
      this.#feed.advance()
    }
  }

  /** What is on now is always taken: it is never much, and what is not appended is not seen. */
  get #isFull(): boolean {
    return this.#source !== undefined && (this.#source.isSated || this.#source.waiting > mseLimits.waiting)
  }

  #waitsForPicture(segment: Segment): boolean {
    return this.#source?.hasPicture === true && !this.#source.hasBegun && segment.pictures.length === 0
  }

  /** @returns `later` where what is still to be played must be played out first, `never` where there is nothing to show */
  #enter(segment: Segment): 'entered' | 'later' | 'never' {
    const soundComes = !this.#missing.isGivenUp
    const tracks = this.#wanted.of(segment, this.#mode === 'live', this.#wish, soundComes)
    if (segment.video !== undefined && this.#wanted.isUndecodable(segment)) {
      this.#segment = segment
      this.#handler.onUnsupported(segment.video.codec)
      return 'later'
    }
    if (tracks.video === undefined && tracks.audio === undefined) {
      segment.sounds.clear()
      return 'never'
    }
    if (this.#source?.takes(tracks) === true) this.#source.change(tracks)
    else {
      if (this.#mode === 'replay' && this.#source !== undefined && !this.#isPlayedOut()) {
        this.#playOut()
        return 'later'
      }
      this.#openSource(tracks)
    }
    this.#segment = segment
    this.#handler.onSound()
    return 'entered'
  }

  /** Nothing follows in the source: what it has is played to its very end. */
  #playOut(): void {
    const { video, audio } = this.#source?.ends ?? {}
    // Sound that never came: the element would not begin without it.
    if (video !== undefined && audio === undefined) this.#fillSound(micros(video))
    this.#beginPlaying(true)
    this.#source?.end()
  }

  #openSource(tracks: Tracks): void {
    this.#closeSource()
    this.#playhead.open(tracks.audio !== undefined)
    const source = new SourceTracks(this.#surface.element, tracks, {
      onUpdate: () => this.#updated(),
      onRemoved: ranges => this.#evictions.add(ranges, this.#surface.element.currentTime),
      onUnwritable: (kind, error) => this.#unwritable(kind, error),
      onError: error => {
        if (this.#source === source) this.#broke(error)
      },
    })
    this.#source = source
    this.#surface.play()
  }

  #closeSource(): void {
    this.#source?.close()
    this.#source = undefined
    this.#segment = undefined
    this.#stretches.clear()
    this.#evictions.clear()
    this.#joins = undefined
    this.#hasHidden = false
    this.#held = undefined
    this.#playhead.close()
  }

  /** Milliseconds by which sound is placed behind its picture: as much less is the picture behind the newest sound. */
  get #soundBehind(): number {
    return this.#mode === 'live' ? lipSync.behind : 0
  }

  #appendPicture(segment: Segment, frame: FeedFrame): void {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined)
      this.#append('video', held.segment, held.frame, frame.timestamp - held.frame.timestamp)
    if (frame.hidden === true) {
      this.#hasHidden = true
      this.#held = { frame, segment }
    } else this.#append('video', segment, frame)
  }

  #append(kind: Kind, segment: Segment, frame: FeedFrame, lasts?: number): void {
    if (kind === 'audio' && this.#missing.isGivenUp) {
      // With the next source it is heard again.
      if (this.#missing.isBack(performance.now())) this.#rejoin('anew')
      return
    }
    const { currentTime } = this.#surface.element
    const after = this.#stretches.newest === undefined ? mseLimits.lead : currentTime * 1_000_000
    const stretch = this.#stretches.place(kind, frame, segment.session, after)
    if (frame.hidden !== true && this.#playhead.isJoining) this.#joinWith(kind, frame, stretch)
    if (frame.capturedAt !== undefined && kind === 'video')
      stretch.capture = frame.capturedAt - frame.timestamp / 1000
    if (kind === 'audio') this.#fillBefore(frame.timestamp + stretch.base, stretch)
    const later = kind === 'audio' ? this.#soundBehind * 1000 : 0
    this.#source?.append(kind, frame, stretch.base + later, lasts)
  }

  /** What is hidden is in front of what was asked for; sound of that time may come before its picture. */
  #joinWith(kind: Kind, { timestamp }: FeedFrame, { base, from }: Stretch): void {
    if (this.#hasHidden && kind === 'audio' && this.#source?.hasPicture === true) return
    this.#joins ??= this.#hasHidden ? base + timestamp + mseLimits.inside : from
  }

  /** Milliseconds of what was appended that are still to be played: of the track that has less. */
  #left(): number | undefined {
    const ends = Object.values(this.#source?.ends ?? {})
    if (ends.length === 0) return undefined
    return Math.min(...ends) / 1000 - this.#surface.element.currentTime * 1000
  }

  #updated(): void {
    if (this.#playhead.isJoining) this.#look()
    else this.pump()
  }

  #look(): void {
    const now = performance.now()
    this.#playhead.count(now)
    this.#missTracks(now)
    if (this.#playhead.isJoining) {
      this.#beginPlaying(false)
      return
    }
    this.pump()
    if (this.#isAtEviction(now)) {
      this.#rejoin(this.#mode === 'live' ? 'anew' : 'here')
      return
    }
    this.#playhead.overHoles(now)
    if (this.#mode === 'live' && !document.hidden && !this.#isPaused) {
      this.#playhead.chase(now)
      this.#playhead.restart(this.#left(), now)
    }
  }

  #isAtEviction(now: number): boolean {
    const { currentTime, paused } = this.#surface.element
    return !paused && this.#playhead.waitsFor(now) !== undefined && this.#evictions.meets(currentTime, now)
  }

  #beginPlaying(isAll: boolean): void {
    const ends = Object.values(this.#source?.ends ?? {})
    const from = this.#joins ?? 0
    // Until what was asked for has come, there is nothing to begin with.
    if (this.#hasHidden && this.#joins === undefined) return
    if (!this.#playhead.begin({ isLive: this.#mode === 'live', from, ends }, isAll)) return
    this.#joins = undefined
    this.#hasHidden = false
    this.#surface.play()
  }

  #missTracks(now: number): void {
    if (this.#source?.hasSound !== true || !this.#source.hasPicture) return
    const { heard } = this.#source
    const { video, audio } = this.#source.ends
    const isLive = this.#mode === 'live'
    const waitsFor = this.#playhead.waitsFor(now)
    const from = this.#stretches.newest?.from ?? 0
    const remedy = this.#missing.judge({ isLive, video, audio, heard, from, waitsFor }, now)
    if (remedy.kind === 'fill') this.#fillSound(remedy.until)
    else if (remedy.kind === 'give up sound') this.#rejoin('anew')
    else if (remedy.kind === 'give up picture' && this.#segment !== undefined) {
      // What sound comes next goes into a source of its own.
      this.#wanted.giveUpPicture(this.#segment)
      this.#closeSource()
    }
  }

  /** Sound that begins long after the pictures would hold what is before it. @param begins element time, microseconds */
  #fillBefore(begins: number, { from }: Stretch): void {
    if (begins - from <= mseLimits.late) return
    const { video = 0, audio } = this.#source?.ends ?? {}
    if (audio === undefined) this.#fillSound(micros(Math.min(begins, video)))
  }

  #fillSound(until: Micros): void {
    this.#source?.fillSound(until, micros(this.#stretches.newest?.from ?? 0))
  }

  #visibilityChanged(): void {
    if (document.hidden && this.#mode === 'live') this.#playhead.hide()
    if (document.hidden || this.#source === undefined || this.#playhead.isJoining) return
    this.#surface.play()
    this.#playhead.shownAgain(this.#left(), this.#mode === 'live')
  }

  #painted(time: number, shownAt: number): void {
    const place = this.#stretches.at(time)
    if (place === undefined) return
    this.#breaks = 0
    this.#shown = place
    this.#first ??= place.timestamp
    this.#handler.onPainted(shownAt)
  }

  #isPlayedOut(): boolean {
    const { element } = this.#surface
    if (this.#source === undefined) return true
    if (!this.#source.isIdle || this.#playhead.isJoining) return false
    return element.ended || element.currentTime >= Math.max(...Object.values(this.#source.ends)) / 1_000_000
  }

  #rejoin(how: Rejoin): void {
    // One that waits for long has played, as far as the gateway is told, what it cannot.
    const place = how === 'here' ? (this.shown ?? this.position()) : this.position()
    this.#closeSource()
    this.#feed.clear()
    this.#handler.onRejoin(how, place)
  }

  /** A source that is broken is replaced; one after the other without a picture means that none will do. */
  #broke(error: Error): void {
    // What the element says is the cause; that the buffers are gone follows from it.
    const { error: cause } = this.#surface.element
    this.#handler.onError(cause === null ? error : new Error(`${cause.message} (${cause.code})`))
    if (this.#givesUp()) return
    // Which of the tracks it was, browsers do not tell.
    if (this.#breaks > mseLimits.breaksWithSound && this.#source?.hasPicture === true)
      this.#missing.giveUpForGood()
    this.#rejoin(cause === null && this.#mode === 'live' ? 'anew' : 'behind')
  }

  /** A keyframe that is none costs its GOP; sound that cannot be written is done without. */
  #unwritable(kind: Kind, error: FramelogError): void {
    this.#handler.onError(error)
    if (kind === 'video' || this.#source?.hasPicture !== true) this.#givesUp()
    else {
      this.#missing.giveUpForGood()
      this.#rejoin(this.#mode === 'live' || this.#first === undefined ? 'anew' : 'behind')
    }
  }

  #givesUp(): boolean {
    this.#breaks += 1
    if (this.#breaks <= mseLimits.breaks) return false
    const codec = this.#segment?.video?.codec ?? this.#segment?.audio?.codec ?? 'MediaSource'
    this.#closeSource()
    this.#handler.onUnsupported(codec)
    return true
  }
}
