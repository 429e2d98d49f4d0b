/** Follows one broadcast through its states and over lost connections, whatever presents it. */
import { mainTrack } from '../../media/catalog.ts'
import type { NumberedFrame } from '../../media/frame.ts'
import type { TimedData } from '../../media/timed-data.ts'
import type { BroadcastId, Millis, Offset, TrackName } from '../../units.ts'
import { type BroadcastState, type Delivery, type MessageOf, protocolVersion } from '../../wire/message.ts'
import { socketPath, tokenOf } from '../net/address.ts'
import { Link, type LinkMessage, type Problem } from '../net/link.ts'
import { type Aim, Course } from './course.ts'
import { DataLane } from './data-lane.ts'
import type { Place } from './frame-places.ts'
import { FrameWays } from './frame-ways.ts'
import { MissingFrames } from './missing-frames.ts'
import type {
  OnPlayerChange,
  Player,
  PlayerFigures,
  PlayerState,
  SoundState,
  SoundWish,
  Span,
} from './player.ts'
import { type PlayerMode, playerModes, ways } from './player-modes.ts'
import type { Presentation, Rejoin } from './presentation.ts'
import { RenditionChoice, type RenditionWish } from './rendition-choice.ts'
import type { TimelineMode } from './timeline.ts'

export const playerLimits = {
  /** Milliseconds between two reports of the position. */
  position: 250,
  /** Milliseconds without a connection after which a live viewer joins anew instead of going on. */
  goOn: 10_000,
  errors: 20,
  rates: { least: 0.25, most: 4 },
} as const

export interface PlayerOptions {
  readonly id: BroadcastId
  readonly page: URL
  /** The picture becomes its first child. */
  readonly stage: HTMLElement
  /** What a screen reader says of the picture. */
  readonly label: string
  /** Undefined for whatever works. */
  readonly mode: PlayerMode | undefined
  /** Whether a live picture that has fallen behind hurries back. */
  readonly chases: boolean
  /** What it asks of the gateway; undefined leaves it to that. */
  readonly delivery?: Delivery | undefined
  /** Which size of the picture; without it, what the connection takes. */
  readonly rendition?: RenditionWish | undefined
  /** `live`, `start`, `-30s`, an ISO time, or `@` and an offset. */
  readonly from: string
  readonly sound: SoundWish
  /** Called with timed data when the picture that it belongs to, or one behind it, is painted; without pictures, by the sound. */
  readonly onData?: (record: TimedData) => void
  /** The viewer goes elsewhere: what was handed on last belongs to where it was. */
  readonly onDataLeft?: () => void
}

export class BroadcastPlayer implements Player {
  readonly #options: PlayerOptions
  readonly #onChange: OnPlayerChange
  readonly #link: Link
  /** What is left to be tried, the one in use first. */
  #modes: PlayerMode[]
  #sound: SoundWish
  #presentation: Presentation | undefined
  #state: PlayerState = { kind: 'connecting' }
  #connection: 'connecting' | 'open' | 'lost' = 'connecting'
  #problem: Problem | undefined
  #broadcast: BroadcastState = 'waiting'
  #paced = false
  /** The viewer wants the picture to stand still. */
  #isPaused = false
  /** It stands still over what is on now: going on is a replay. */
  #isHalted = false
  #rate = 1
  #span: Span | undefined
  #title: string | undefined
  readonly #course: Course
  readonly #data: DataLane | undefined
  readonly #ways = new FrameWays()
  readonly #missing = new MissingFrames()
  readonly #renditions: RenditionChoice
  #session: string | undefined
  /** Whose keyframes begin a GOP. */
  #main: TrackName | undefined
  #lostAt: number | undefined
  #joinFrom: number | undefined
  /** The gateway's clock when it welcomed this viewer. */
  #welcomedAt: Millis | undefined
  #joinMs: number | undefined
  #joinPhaseMs: number | undefined
  #lagMs: number | undefined
  #errors: string[] = []
  #timer: number | undefined
  /** Whether the gateway has said that no frame follows. */
  #over = false

  constructor(options: PlayerOptions, onChange: OnPlayerChange) {
    this.#options = options
    this.#onChange = onChange
    this.#sound = options.sound
    this.#course = new Course({ from: options.from })
    this.#renditions = new RenditionChoice(options.rendition ?? 'auto')
    this.#data = options.onData && new DataLane(options.onData)
    this.#modes = (options.mode === undefined ? [...playerModes] : [options.mode]).filter(mode =>
      ways[mode].isThere(),
    )
    this.#present()
    this.#link = new Link(options.page, socketPath(options.id, 'watch'), {
      hello: () => this.#hello(),
      onWelcome: (welcome, openedAt) => this.#welcome(welcome, openedAt),
      onMessage: message => this.#receive(message),
      onLost: problem => this.#lost(problem),
      onFailed: problem => {
        this.#note(`${problem.code}: ${problem.message}`)
        this.#end({ kind: 'failed', problem })
      },
    })
  }

  get state(): PlayerState {
    return this.#state
  }

  get title(): string | undefined {
    return this.#title
  }

  get isOver(): boolean {
    return this.#span?.isOver ?? this.#broadcast === 'ended'
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  get sound(): SoundState {
    return this.#presentation?.sound ?? 'none'
  }

  get figures(): PlayerFigures {
    const [mode = this.#options.mode ?? 'webcodecs'] = this.#modes
    const clock = this.#course.timeAt(this.#presentation?.shown)
    const way = this.#ways.mean(this.#link.gatewayTime(performance.now()))
    const renditions = this.#renditions.state
    return {
      ...(this.#presentation?.figures(performance.now()) ?? nothing),
      mode,
      rate: this.#rate,
      gateway: this.#link.origin,
      ...(clock === undefined ? {} : { clock }),
      ...(this.#span === undefined ? {} : { span: this.#span }),
      ...(this.#joinMs === undefined ? {} : { joinMs: this.#joinMs }),
      ...(this.#joinPhaseMs === undefined ? {} : { joinPhaseMs: this.#joinPhaseMs }),
      ...(this.#lagMs === undefined ? {} : { lagMs: this.#lagMs }),
      ...(way === undefined ? {} : { way }),
      ...(renditions === undefined ? {} : { renditions }),
      errors: [...this.#errors],
    }
  }

  start(): void {
    if (this.#presentation === undefined) {
      const wanted = this.#options.mode === undefined ? playerModes : [this.#options.mode]
      this.#end({ kind: 'unsupported', missing: wanted.map(mode => ways[mode].name).join(' and ') })
      return
    }
    this.#link.open()
    this.#timer = setInterval(() => this.#report(), playerLimits.position)
  }

  setSound(wish: SoundWish): void {
    this.#sound = wish
    this.#presentation?.setSound(wish)
  }

  pause(): void {
    if (this.#isPaused || this.#presentation === undefined) return
    this.#isPaused = true
    this.#presentation.setPaused(true)
    if (this.#presentation.mode === 'live' || this.#course.isLive) this.#halt()
    this.#update()
  }

  play(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#presentation?.setPaused(false)
    if (this.#isHalted) {
      const behind = this.#course.behind(this.#presentation?.shown)
      this.#go(behind === undefined ? this.#course.aim : { from: behind })
    }
    this.#update()
  }

  seek(from: string): void {
    if (from === 'live') {
      this.#isPaused = false
      this.#rate = 1
    }
    this.#go({ from })
    this.#update()
  }

  step(direction: -1 | 1): void {
    const from = this.#course.at(this.#presentation?.shown)
    if (from === undefined) return
    this.#isPaused = true
    this.#presentation?.setPaused(true)
    this.#go({ from, step: direction })
    this.#update()
  }

  setRate(rate: number): void {
    const { least, most } = playerLimits.rates
    const wanted = Math.min(most, Math.max(least, rate))
    const isLive = this.#presentation?.mode === 'live'
    // What is on now comes no faster, and slower it is no longer that.
    if (wanted === this.#rate || (isLive && wanted > 1)) return
    this.#rate = wanted
    const behind = isLive && !this.#isPaused ? this.#course.behind(this.#presentation?.shown) : undefined
    if (behind !== undefined) this.#go({ from: behind })
    else this.#presentation?.setRate(wanted)
    this.#update()
  }

  setRendition(wish: RenditionWish): void {
    this.#ask(this.#renditions.want(wish))
    this.#update()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#link.close()
    this.#presentation?.stop()
  }

  #hello(): MessageOf<'hello'> {
    const { page, delivery } = this.#options
    const token = tokenOf(page)
    // What comes is begun with anew, whatever the broadcast has become meanwhile.
    if (this.#joinsAnew) this.#course.forget()
    const place = this.#course.hello()
    this.#paced = place.from !== 'live'
    return {
      type: 'hello',
      role: 'watch',
      version: protocolVersion,
      ...place,
      rendition: this.#renditions.hello(),
      ...(delivery === undefined ? {} : { delivery }),
      ...(token === undefined ? {} : { token }),
    }
  }

  /** After a loss it goes on where it was; a live viewer who was away for long, or too slow, joins anew. */
  get #joinsAnew(): boolean {
    const now = performance.now()
    const away = now - (this.#lostAt ?? now)
    const wantsAnew = away > playerLimits.goOn || this.#problem?.code === 'VIEWER_TOO_SLOW'
    // Whoever has seen it to its end stays there, until somebody publishes again.
    return this.#presentation?.mode === 'live' && wantsAnew && !this.#over && !this.#isPaused
  }

  #welcome(welcome: MessageOf<'welcome'>, openedAt: number): void {
    if (welcome.role !== 'watch') return
    const first = this.#connection === 'connecting'
    this.#connection = 'open'
    this.#problem = undefined
    this.#lostAt = undefined
    this.#broadcast = welcome.state
    this.#welcomedAt ??= welcome.time as Millis
    if (first || !this.#course.hasBegun) {
      const live = this.#course.aim.from === 'live' && welcome.state !== 'ended'
      this.#begin(live ? 'live' : 'replay')
      // Whoever waits for a publisher joins when it comes.
      if (welcome.state !== 'waiting') this.#joinFrom ??= openedAt
    } else this.#presentation?.goOn()
    if (this.#isHalted) this.#link.send({ type: 'pause' })
    this.#update()
  }

  #receive(message: LinkMessage): void {
    switch (message.type) {
      case 'catalog':
        if (!this.#isHalted) this.#catalog(message)
        break
      case 'frame':
        this.#frame(message)
        // A publisher that was given up for lost goes on where it was.
        if (this.#state.kind === 'ended') break
        return
      case 'data':
        if (!this.#isHalted && this.#course.data(message.relayed)) this.#data?.add(message.record)
        return
      case 'gap':
        this.#missing.tell(message.frames)
        return
      case 'place':
        this.#place(message)
        break
      case 'span':
        this.#span = {
          first: message.first,
          last: message.last,
          gaps: message.gaps ?? [],
          isOver: message.over === true,
        }
        break
      case 'state':
        this.#broadcast = message.state
        break
      case 'end':
        if (this.#isHalted || !this.#course.takes) break
        this.#over = true
        this.#presentation?.end()
        break
      default:
        return
    }
    this.#update()
  }

  #frame({ frame, relayed }: MessageOf<'frame'>): void {
    if (this.#isHalted) return
    const verdict = this.#course.frame(frame, frame.track === this.#main, relayed)
    if (verdict === 'stale') return
    // The first frame opens the GOP that the viewer came into.
    if (relayed !== undefined && this.#welcomedAt !== undefined)
      this.#joinPhaseMs ??= Math.max(0, this.#welcomedAt - relayed.time)
    // What was captured before this viewer came is what it joins with: that is no lag.
    const isNews = (frame.capturedAt ?? 0) >= (this.#welcomedAt ?? Number.POSITIVE_INFINITY)
    if (this.#presentation?.mode === 'live' && frame.track === this.#main && isNews) this.#arrived(frame)
    const missing = this.#missing.before(frame.sequence)
    this.#presentation?.frame({
      ...frame,
      ...(verdict === 'hidden' ? { hidden: true } : {}),
      ...(missing === undefined ? {} : { missing }),
    })
  }

  /** A picture's frame came as it was published. */
  #arrived(frame: NumberedFrame): void {
    const now = performance.now()
    const at = this.#link.gatewayTime(now)
    this.#ways.arrived(frame, at)
    const { capturedAt, hops } = frame
    // A page that nobody sees is given its turns late.
    if (capturedAt === undefined || hops?.relayed === undefined || document.hidden) return
    this.#ask(this.#renditions.arrived(at - capturedAt - hops.relayed / 1000, now))
  }

  #ask(rendition: string | undefined): void {
    if (rendition !== undefined) this.#link.send({ type: 'rendition', track: rendition })
  }

  /** The gateway has come to what was asked for, or a replay to what is on now. */
  #place(place: MessageOf<'place'>): void {
    const isFirst = !this.#course.hasBegun
    if (!this.#course.place(place)) return
    if (this.#course.owesStep) {
      this.#go(this.#course.aim)
      return
    }
    const mode = place.live && this.#course.aim.from === 'live' ? 'live' : 'replay'
    if (isFirst && this.#presentation?.mode !== mode) this.#begin(mode)
    this.#paced = !place.live || this.#presentation?.mode === 'replay'
  }

  /** Goes where it is sent: what it has is left, but for the picture. */
  #go(aim: Aim): void {
    this.#isHalted = false
    this.#over = false
    this.#session = undefined
    const message = this.#course.seek(aim)
    this.#begin(aim.from === 'live' ? 'live' : 'replay')
    if (message !== undefined) this.#link.send(message)
    else this.#link.reconnect()
  }

  #begin(mode: TimelineMode): void {
    this.#paced = mode === 'replay'
    this.#data?.clear()
    this.#missing.clear()
    this.#options.onDataLeft?.()
    this.#ways.clear()
    this.#presentation?.begin(mode)
    if (mode === 'live') this.#rate = 1
    else {
      this.#presentation?.setRate(this.#rate)
      this.#presentation?.setPaused(this.#isPaused)
    }
  }

  /** Nothing more is taken of what is on now: where the picture goes on, it is a replay. */
  #halt(): void {
    this.#isHalted = true
    this.#link.send({ type: 'pause' })
  }

  /** What is on now comes without end, and a picture that stands still has no use for it. */
  #haltAtEdge(): void {
    const isAtEdge = this.#course.isLive && this.#presentation?.shown !== undefined
    if (this.#isPaused && !this.#isHalted && isAtEdge) this.#halt()
  }

  /** A replay that has come to what is on now goes over to it. */
  #reachEdge(): void {
    const presentation = this.#presentation
    if (presentation?.mode !== 'replay' || this.#isPaused || !this.#course.isLive) return
    const { ahead, reach } = presentation
    if (this.#broadcast !== 'live' || ahead === undefined || ahead > reach) return
    this.#rate = 1
    this.#paced = false
    this.#course.arrive()
    presentation.goLive()
    this.#update()
  }

  #catalog({ session = 'unnamed', catalog, renditions }: MessageOf<'catalog'>): void {
    if (!this.#course.begin(session)) return
    this.#over = false
    this.#title = catalog.title
    this.#main = mainTrack(catalog)?.name
    this.#joinFrom ??= performance.now()
    this.#missing.begin(renditions === undefined)
    this.#ask(this.#renditions.learn(renditions ?? [], this.#main, performance.now()))
    if (session !== this.#session) {
      this.#session = session
      this.#missing.clear()
      this.#ways.clear()
      // Whoever wanted to see it live, and saw its recording to the end, is live with the next publisher.
      if (
        this.#course.aim.from === 'live' &&
        this.#presentation?.playedOut &&
        this.#presentation.mode === 'replay'
      ) {
        this.#begin('live')
      }
    }
    this.#presentation?.catalog(session, catalog)
  }

  /** Puts the first of the ways that are left on the stage. */
  #present(): void {
    const [mode] = this.#modes
    this.#presentation?.stop()
    this.#presentation?.surface.remove()
    const { label, chases, stage } = this.#options
    this.#presentation =
      mode &&
      ways[mode].make(
        { sound: this.#sound, label, chases },
        {
          onDecoded: timestamp => this.#ways.decoded(timestamp, this.#link.gatewayTime(performance.now())),
          onPainted: shownAt => this.#painted(shownAt),
          onPlayedOut: () => this.#update(),
          onUnsupported: missing => this.#unsupported(missing),
          onSound: () => this.#onChange(),
          onError: error => this.#note(`${error.name}: ${error.message}`),
          onRejoin: (how, place) => this.#rejoin(how, place),
        },
      )
    if (this.#presentation !== undefined) stage.prepend(this.#presentation.surface)
  }

  /** The next way may have the decoder that this one lacks. */
  #unsupported(missing: string): void {
    this.#modes.shift()
    if (this.#modes.length === 0) {
      this.#end({ kind: 'unsupported', missing })
      return
    }
    this.#present()
    this.#rejoin('anew')
  }

  #rejoin(how: Rejoin, place?: Place): void {
    const here = how === 'here' ? this.#course.at(place) : undefined
    if (here !== undefined) {
      this.#go({ from: here })
      this.#update()
      return
    }
    if (how === 'anew') this.#course.forget()
    else if (this.#presentation?.mode === 'replay') {
      const next = this.#course.keyframeAfter(place)
      if (next !== undefined) this.#course.goOnBehind((next - 1) as Offset)
    }
    if (this.#connection === 'open') this.#link.reconnect()
  }

  #painted(shownAt: number): void {
    const { shown, firstAt } = this.#presentation ?? {}
    if (shown !== undefined) this.#data?.show(shown)
    this.#reachEdge()
    this.#haltAtEdge()
    if (this.#joinMs === undefined && firstAt !== undefined) {
      this.#joinMs = firstAt - (this.#joinFrom ?? firstAt)
      this.#update()
    }
    const captured = shown === undefined ? undefined : this.#presentation?.capturedAt(shown.timestamp)
    if (captured !== undefined) this.#lagMs = this.#link.gatewayTime(shownAt) - captured
    if (shown !== undefined) this.#ways.painted(shown.timestamp, this.#link.gatewayTime(shownAt))
  }

  #report(): void {
    if (this.#paced) {
      const position = this.#presentation?.position()
      if (position !== undefined) this.#link.send({ type: 'position', ...position })
    }
    if (this.#data !== undefined && this.#presentation?.shown === undefined) {
      // Where there is no picture, what is heard tells.
      const heard = this.#presentation?.position()
      if (heard !== undefined) this.#data.show(heard)
    }
    this.#presentation?.pump()
    this.#reachEdge()
    this.#haltAtEdge()
  }

  #lost(problem: Problem | undefined): void {
    this.#problem = problem
    if (this.#connection === 'open') {
      this.#connection = 'lost'
      this.#lostAt = performance.now()
    }
    this.#update()
  }

  #note(error: string): void {
    if (this.#errors.length >= playerLimits.errors) this.#errors.shift()
    this.#errors.push(error)
  }

  #end(state: PlayerState): void {
    this.stop()
    this.#state = state
    this.#onChange()
  }

  /** The one place where the state follows from what is known; nothing follows an end. */
  #update(): void {
    const { kind } = this.#state
    if (kind === 'unsupported' || kind === 'failed') return
    this.#state = this.#judge()
    this.#onChange()
  }

  #judge(): PlayerState {
    const problem = this.#problem === undefined ? {} : { problem: this.#problem }
    if (this.#connection === 'connecting') return { kind: 'connecting', ...problem }
    if (this.#connection === 'lost') return { kind: 'reconnecting', ...problem }
    const started = this.#session !== undefined
    if (this.#isPaused) return { kind: 'paused' }
    if (this.#presentation?.playedOut) return { kind: 'ended' }
    // Where a picture has been shown, it is a replay from the seek on, however long that takes.
    const isSeeking = this.#joinMs !== undefined && this.#connection === 'open'
    if (this.#presentation?.mode === 'replay' && (started || isSeeking)) return { kind: 'replaying' }
    // A recording is on its way until its first frame is here, or it turns out to have none.
    if (this.#broadcast === 'ended') return { kind: started ? 'live' : this.#over ? 'ended' : 'connecting' }
    return { kind: this.#broadcast }
  }
}

/** Where nothing can be shown. */
const nothing = {
  painted: 0,
  decoded: 0,
  late: 0,
  lost: 0,
  fps: 0,
  codecs: [],
  audio: { state: 'none', playing: false, samplesPlayed: 0, starved: 0, avSkewMs: 0 },
} as const
