/** Follows one broadcast through its states and over lost connections, whatever presents it. */
import { mainTrack } from '../../media/catalog.ts'
import type { NumberedFrame } from '../../media/frame.ts'
import type { BroadcastId, Millis, Offset, TrackName } from '../../units.ts'
import { type BroadcastState, type Message, type MessageOf, protocolVersion } from '../../wire/message.ts'
import { socketUrl, tokenOf } from '../net/address.ts'
import { Link, type Problem } from '../net/link.ts'
import { GopOffsets, type Place } from './gop-offsets.ts'
import { MediaSourcePresentation } from './mse/media-source-presentation.ts'
import { mediaSourceClass } from './mse/source.ts'
import type { OnPlayerChange, Player, PlayerFigures, PlayerState, SoundState, SoundWish } from './player.ts'
import type { Presentation, PresentationMaker, Rejoin } from './presentation.ts'
import { WebCodecsPresentation } from './webcodecs-presentation.ts'

/** How a page decodes; the first that works, in this order, where it does not matter. */
export const playerModes = ['webcodecs', 'mse'] as const
export type PlayerMode = (typeof playerModes)[number]

const ways: Readonly<
  Record<PlayerMode, { readonly name: string; isThere(): boolean; readonly make: PresentationMaker }>
> = {
  webcodecs: {
    name: 'WebCodecs',
    isThere: () => 'VideoDecoder' in globalThis && 'AudioDecoder' in globalThis,
    make: (options, handler) => new WebCodecsPresentation(options, handler),
  },
  mse: {
    name: 'MediaSource',
    isThere: () => mediaSourceClass() !== undefined,
    make: (options, handler) => new MediaSourcePresentation(options, handler),
  },
}

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
  /** The picture becomes its first child. */
  readonly stage: HTMLElement
  /** What a screen reader says of the picture. */
  readonly label: string
  /** Undefined for whatever works. */
  readonly mode: PlayerMode | undefined
  /** Whether a live picture that has fallen behind hurries back. */
  readonly chases: boolean
  /** `live`, `start`, `-30s`, an ISO time, or `@` and an offset. */
  readonly from: string
  readonly sound: SoundWish
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
  #session: string | undefined
  /** Whose keyframes begin a GOP. */
  #main: TrackName | undefined
  #offset: Offset | undefined
  /** Of a replay. */
  readonly #gops = new GopOffsets()
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
    this.#modes = (options.mode === undefined ? [...playerModes] : [options.mode]).filter(mode =>
      ways[mode].isThere(),
    )
    this.#present()
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
    return this.#presentation?.sound ?? 'none'
  }

  get figures(): PlayerFigures {
    const [mode = this.#options.mode ?? 'webcodecs'] = this.#modes
    return {
      ...(this.#presentation?.figures(performance.now()) ?? nothing),
      mode,
      ...(this.#joinMs === undefined ? {} : { joinMs: this.#joinMs }),
      ...(this.#joinPhaseMs === undefined ? {} : { joinPhaseMs: this.#joinPhaseMs }),
      ...(this.#lagMs === undefined ? {} : { lagMs: this.#lagMs }),
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

  stop(): void {
    clearInterval(this.#timer)
    this.#link.close()
    this.#presentation?.stop()
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
    const now = performance.now()
    const away = now - (this.#lostAt ?? now)
    const wantsAnew = away > playerLimits.goOn || this.#problem?.code === 'VIEWER_TOO_SLOW'
    // Whoever has seen it to its end stays there, until somebody publishes again.
    if (this.#presentation?.mode !== 'live' || !wantsAnew || this.#over) return `@${this.#offset + 1}`
    // What comes is begun with anew, whatever the broadcast has become meanwhile.
    this.#offset = undefined
    return 'live'
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
      this.#presentation?.begin(live ? 'live' : 'replay')
      // Whoever waits for a publisher joins when it comes.
      if (welcome.state !== 'waiting') this.#joinFrom ??= openedAt
    } else this.#presentation?.goOn()
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
        this.#noteGop(message.frame, offset)
        // The first frame opens the GOP that the viewer came into.
        if (message.relayed !== undefined && this.#welcomedAt !== undefined)
          this.#joinPhaseMs ??= Math.max(0, this.#welcomedAt - message.relayed.time)
        this.#presentation?.frame(message.frame)
        // A publisher that was given up for lost goes on where it was.
        if (this.#state.kind === 'ended') break
        return
      }
      case 'state':
        this.#broadcast = message.state
        break
      case 'end':
        this.#over = true
        this.#presentation?.end()
        break
      default:
        return
    }
    this.#update()
  }

  #catalog({ session = 'unnamed', catalog }: MessageOf<'catalog'>): void {
    this.#over = false
    this.#main = mainTrack(catalog)?.name
    this.#joinFrom ??= performance.now()
    if (session !== this.#session) {
      this.#session = session
      this.#offset = undefined
      // Whoever wanted to see it live, and saw its recording to the end, is live with the next publisher.
      if (
        this.#options.from === 'live' &&
        this.#presentation?.playedOut &&
        this.#presentation.mode === 'replay'
      ) {
        this.#presentation?.begin('live')
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
    if (how === 'anew') this.#offset = undefined
    else if (this.#presentation?.mode === 'replay') {
      const next = this.#gops.after(place)
      if (next !== undefined) this.#offset = (next - 1) as Offset
    }
    this.#gops.clear()
    if (this.#connection === 'open') this.#link.reconnect()
  }

  #noteGop({ track, keyframe, timestamp }: NumberedFrame, offset: Offset | undefined): void {
    if (offset === undefined || !keyframe || track !== this.#main || this.#session === undefined) return
    if (this.#presentation?.mode === 'replay') this.#gops.add({ session: this.#session, timestamp, offset })
  }

  #painted(shownAt: number): void {
    const { shown, firstAt } = this.#presentation ?? {}
    if (this.#joinMs === undefined && firstAt !== undefined) {
      this.#joinMs = firstAt - (this.#joinFrom ?? firstAt)
      this.#update()
    }
    const captured = shown === undefined ? undefined : this.#presentation?.capturedAt(shown)
    if (captured !== undefined) this.#lagMs = this.#link.gatewayTime(shownAt) - captured
  }

  #report(): void {
    if (this.#paced) {
      const position = this.#presentation?.position()
      if (position !== undefined) this.#link.send({ type: 'position', ...position })
    }
    this.#presentation?.pump()
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
    if (this.#presentation?.playedOut) return { kind: 'ended' }
    if (this.#presentation?.mode === 'replay' && started) return { kind: 'replaying' }
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
