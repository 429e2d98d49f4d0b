/** The player that decodes with WebCodecs: follows one broadcast through its states and over lost connections. */
import type { BroadcastId, Millis, Offset } from '../../units.ts'
import { type BroadcastState, type Message, type MessageOf, protocolVersion } from '../../wire/message.ts'
import { socketUrl, tokenOf } from '../net/address.ts'
import { Link, type Problem } from '../net/link.ts'
import { PictureCanvas } from './picture-canvas.ts'
import { Playback } from './playback.ts'
import type { OnPlayerChange, Player, PlayerFigures, PlayerState, SoundState, SoundWish } from './player.ts'

export const playerLimits = {
  /** Milliseconds between two reports of the position. */
  position: 250,
  /** Milliseconds without a connection after which a live viewer joins anew instead of going on. */
  goOn: 10_000,
  errors: 20,
} as const

export interface PlayerOptions {
  readonly id: BroadcastId
  readonly page: URL
  readonly canvas: HTMLCanvasElement
  /** `live`, `start`, `-30s`, an ISO time, or `@` and an offset. */
  readonly from: string
  readonly sound: SoundWish
}

export class WebCodecsPlayer implements Player {
  readonly #options: PlayerOptions
  readonly #onChange: OnPlayerChange
  readonly #link: Link
  readonly #canvas: PictureCanvas
  readonly #playback: Playback
  #state: PlayerState = { kind: 'connecting' }
  #connection: 'connecting' | 'open' | 'lost' = 'connecting'
  #problem: Problem | undefined
  #broadcast: BroadcastState = 'waiting'
  #paced = false
  #session: string | undefined
  #offset: Offset | undefined
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
    this.#canvas = new PictureCanvas(options.canvas)
    this.#playback = new Playback(this.#canvas, options.sound, {
      onPainted: () => this.#painted(),
      onPlayedOut: () => this.#update(),
      onUnsupported: codec => this.#end({ kind: 'unsupported', missing: codec }),
      onSound: () => this.#onChange(),
      onError: error => this.#note(`${error.name}: ${error.message}`),
    })
    this.#link = new Link(socketUrl(options.page, options.id, 'watch'), {
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

  get sound(): SoundState {
    return this.#playback.sound
  }

  get figures(): PlayerFigures {
    const now = performance.now()
    const { peak, played, starved, skewMs } = this.#playback.soundReport
    const { sound, bufferMs } = this.#playback
    const segment = this.#playback.feed.current
    const { width, height } = this.#canvas.element
    const defined = {
      joinMs: this.#joinMs,
      joinPhaseMs: this.#joinPhaseMs,
      firstPaintAt: this.#canvas.firstAt,
      lagMs: this.#lagMs,
      mediaTime: this.#canvas.shown,
      firstMediaTime: this.#canvas.first,
      bufferMs,
      size: this.#canvas.painted > 0 ? { width, height } : undefined,
    }
    return {
      ...(Object.fromEntries(
        Object.entries(defined).filter(([, value]) => value !== undefined),
      ) as Partial<PlayerFigures>),
      painted: this.#canvas.painted,
      decoded: this.#playback.decoded,
      late: this.#playback.late,
      lost: this.#playback.feed.lost,
      fps: this.#canvas.rate(now),
      codecs: [segment?.video?.codec, segment?.audio?.codec].filter(codec => codec !== undefined),
      audio: {
        state: sound,
        playing: sound === 'heard' || sound === 'silent',
        peak,
        samplesPlayed: played,
        starved,
        avSkewMs: skewMs,
      },
      errors: [...this.#errors],
    }
  }

  start(): void {
    if (!('VideoDecoder' in globalThis && 'AudioDecoder' in globalThis)) {
      this.#end({ kind: 'unsupported', missing: 'WebCodecs' })
      return
    }
    this.#link.open()
    this.#timer = setInterval(() => this.#report(), playerLimits.position)
  }

  setSound(wish: SoundWish): void {
    this.#playback.setSound(wish)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#link.close()
    this.#playback.stop()
  }

  #hello(): MessageOf<'hello'> {
    const token = tokenOf(this.#options.page)
    const from = this.#from()
    this.#paced = from !== 'live'
    return {
      type: 'hello',
      role: 'watch',
      version: protocolVersion,
      from,
      ...(token === undefined ? {} : { token }),
    }
  }

  /** After a loss it goes on where it was; a live viewer who was away for long, or too slow, joins anew. */
  #from(): string {
    if (this.#offset === undefined) return this.#options.from
    const away = performance.now() - (this.#lostAt ?? 0)
    const anew = away > playerLimits.goOn || this.#problem?.code === 'VIEWER_TOO_SLOW'
    return this.#playback.mode === 'live' && anew ? 'live' : `@${this.#offset + 1}`
  }

  #welcome(welcome: MessageOf<'welcome'>, openedAt: number): void {
    if (welcome.role !== 'watch') return
    const first = this.#connection === 'connecting'
    this.#connection = 'open'
    this.#problem = undefined
    this.#lostAt = undefined
    this.#broadcast = welcome.state
    this.#welcomedAt ??= welcome.time as Millis
    if (first || this.#offset === undefined) {
      const live = this.#options.from === 'live' && welcome.state !== 'ended'
      this.#paced = !live
      this.#playback.begin(live ? 'live' : 'replay')
      // Whoever waits for a publisher joins when it comes.
      if (welcome.state !== 'waiting') this.#joinFrom ??= openedAt
    } else this.#playback.goOn()
    this.#update()
  }

  #receive(message: Exclude<Message, { type: 'welcome' | 'ping' | 'pong' | 'error' }>): void {
    switch (message.type) {
      case 'catalog':
        this.#catalog(message)
        break
      case 'frame': {
        const offset = message.relayed?.offset
        // A connection that goes on begins with the GOP that it goes on in.
        if (offset !== undefined && this.#offset !== undefined && offset <= this.#offset) return
        this.#offset = offset ?? this.#offset
        // The first frame opens the GOP that the viewer came into.
        if (message.relayed !== undefined && this.#welcomedAt !== undefined)
          this.#joinPhaseMs ??= Math.max(0, this.#welcomedAt - message.relayed.time)
        this.#playback.frame(message.frame)
        return
      }
      case 'state':
        this.#broadcast = message.state
        break
      case 'end':
        this.#over = true
        this.#playback.end()
        break
      default:
        return
    }
    this.#update()
  }

  #catalog({ session = 'unnamed', catalog }: MessageOf<'catalog'>): void {
    this.#over = false
    this.#joinFrom ??= performance.now()
    if (session !== this.#session) {
      this.#session = session
      this.#offset = undefined
      // Whoever wanted to see it live, and saw its recording to the end, is live with the next publisher.
      if (this.#options.from === 'live' && this.#playback.playedOut && this.#playback.mode === 'replay') {
        this.#playback.begin('live')
      }
    }
    this.#playback.catalog(session, catalog)
  }

  #painted(): void {
    const { shown, firstAt } = this.#canvas
    const now = performance.now()
    if (this.#joinMs === undefined && firstAt !== undefined) {
      this.#joinMs = firstAt - (this.#joinFrom ?? firstAt)
      this.#update()
    }
    const captured = shown === undefined ? undefined : this.#playback.capturedAt(shown)
    if (captured !== undefined) this.#lagMs = this.#link.gatewayTime(now) - captured
  }

  #report(): void {
    if (this.#paced) {
      const position = this.#playback.position()
      if (position !== undefined) this.#link.send({ type: 'position', ...position })
    }
    this.#playback.pump()
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
    if (this.#playback.playedOut) return { kind: 'ended' }
    if (this.#playback.mode === 'replay' && started) return { kind: 'replaying' }
    // A recording is on its way until its first frame is here, or it turns out to have none.
    if (this.#broadcast === 'ended') return { kind: started ? 'live' : this.#over ? 'ended' : 'connecting' }
    return { kind: this.#broadcast }
  }
}
