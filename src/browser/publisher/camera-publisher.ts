/** The publisher of a camera and a microphone: devices, a source of encoded frames, and one uplink. */
import { type Catalog, catalogLimits } from '../../media/catalog.ts'
import type { Frame } from '../../media/frame.ts'
import { addHops } from '../../media/hops.ts'
import { type BroadcastId, type Millis, trackName } from '../../units.ts'
import { resumeToken, socketPath, tokenOf } from '../net/address.ts'
import type { Problem } from '../net/link.ts'
import { DeviceError, openDevices } from './devices.ts'
import type { FrameSource, FrameSourceHandler } from './frame-source.ts'
import type { SizeCount } from './picture-encoding.ts'
import type { OnPublisherState, Publisher, PublisherFigures, PublisherState } from './publisher.ts'
import { RateControl } from './rate-control.ts'
import { RecorderSource } from './recorder-source.ts'
import { Thumbnails } from './thumbnails.ts'
import { Uplink } from './uplink.ts'
import { WebCodecsSource } from './webcodecs-source.ts'

/** How a page encodes; the first that works, in this order, where it does not matter. */
export const publisherModes = ['webcodecs', 'mediarecorder'] as const
export type PublisherMode = (typeof publisherModes)[number]

/** Borrows the stream: whoever opened the devices lets them go. */
type FrameSourceMaker = (stream: MediaStream, handler: FrameSourceHandler, sizes: SizeCount) => FrameSource

const makers: Readonly<Record<PublisherMode, FrameSourceMaker>> = {
  webcodecs: (stream, handler, sizes) => new WebCodecsSource(stream, handler, sizes),
  // The browser's own recorder makes one.
  mediarecorder: (stream, handler) => new RecorderSource(stream, handler),
}

export interface PublisherOptions {
  readonly id: BroadcastId
  readonly page: URL
  /** Undefined for whatever works. */
  readonly mode: PublisherMode | undefined
  /** What the broadcast is called; nothing where it is empty. */
  readonly title: string
  /** How many sizes the picture is sent in, where WebCodecs encodes. */
  readonly sizes: SizeCount
}

export class CameraPublisher implements Publisher {
  readonly #modes: readonly PublisherMode[]
  readonly #onState: OnPublisherState
  readonly #uplink: Uplink
  #state: PublisherState = { kind: 'idle' }
  #stream: MediaStream | undefined
  readonly #thumbnails = new Thumbnails(data =>
    this.#uplink.write({ track: trackName('meta-thumbnail'), data }),
  )
  #source: FrameSource | undefined
  #mode: PublisherMode | undefined
  /** Undefined where the source cannot follow. */
  #rate: RateControl | undefined
  /** As its source describes it. */
  #catalog: Catalog | undefined
  #title: string
  readonly #sizes: SizeCount
  #hasSession = false
  #encoded = { video: 0, audio: 0 }
  #skipped = 0
  #bytes = 0

  constructor({ id, page, mode, title, sizes }: PublisherOptions, onState: OnPublisherState) {
    this.#title = title
    this.#sizes = sizes
    this.#modes = mode === undefined ? publisherModes : [mode]
    this.#onState = onState
    const options = {
      page,
      path: socketPath(id, 'publish'),
      resume: resumeToken(id),
      token: tokenOf(page),
    }
    this.#uplink = new Uplink(options, {
      onSession: () => {
        this.#hasSession = true
        this.#source?.begin()
      },
      onLive: () => this.#enter({ kind: 'live' }),
      onStalled: () => this.#enter({ kind: 'stalled' }),
      onAcknowledged: (bytes, age) => {
        this.#rate?.acknowledged(bytes, age, performance.now())
        this.#follow()
      },
      onLost: problem => {
        this.#rate?.reset()
        this.#follow()
        this.#lost(problem)
      },
      onFailed: problem => this.#end({ kind: 'failed', problem }),
      onKeyframeWanted: () => this.#source?.wantKeyframe(),
      onTooLarge: () => {
        this.#source?.lowerBitrate()
        if (this.#source?.bitrate !== undefined) this.#rate?.limit(this.#source.bitrate)
      },
    })
  }

  get state(): PublisherState {
    return this.#state
  }

  get stream(): MediaStream | undefined {
    return this.#stream
  }

  get figures(): PublisherFigures {
    const roundTrip = this.#uplink.link.clock.roundTrip
    const codecs = this.#catalog?.tracks.map(track => ('codec' in track ? String(track.codec) : '')) ?? []
    return {
      ...this.#uplink.figures,
      gateway: this.#uplink.link.origin,
      ...(this.#mode === undefined ? {} : { mode: this.#mode }),
      ...(this.#rate === undefined ? {} : { bitrate: this.#rate.pace.bitrate }),
      encoded: { ...this.#encoded },
      skipped: this.#skipped,
      bytes: this.#bytes,
      codecs: [...new Set(codecs)],
      ...(roundTrip === undefined ? {} : { roundTrip }),
    }
  }

  async start(): Promise<void> {
    if (this.#state.kind !== 'idle') return
    this.#enter({ kind: 'asking' })
    let stream: MediaStream
    try {
      stream = await openDevices()
    } catch (error) {
      this.#end({ kind: 'refused', problem: error instanceof DeviceError ? error.problem : 'busy' })
      return
    }
    this.#stream = stream
    // The person may have stopped it while the browser asked.
    if (isOver(this.#state)) {
      this.#release()
      return
    }
    this.#enter({ kind: 'connecting' })
    const missing = await this.#openSource(stream)
    if (isOver(this.#state)) return
    if (missing !== undefined) {
      this.#end({ kind: 'unsupported', missing })
      return
    }
    const [main = stream.getAudioTracks()[0]] = stream.getVideoTracks()
    main?.addEventListener('ended', () => void this.stop())
    this.#thumbnails.start(stream)
    this.#uplink.open()
  }

  setTitle(title: string): void {
    this.#title = title
    if (this.#catalog !== undefined) this.#describe(this.#catalog)
  }

  async stop(): Promise<void> {
    if (isOver(this.#state)) return
    await this.#source?.finish()
    await this.#uplink.finish('the publisher stopped')
    this.#end({ kind: 'ended' })
  }

  abandon(): void {
    if (isOver(this.#state)) return
    this.#uplink.abandon('the publisher left')
    this.#end({ kind: 'ended' })
  }

  /** @returns what is missing for the way that was wanted, or for the last one */
  async #openSource(stream: MediaStream): Promise<string | undefined> {
    let missing: string | undefined
    for (const mode of this.#modes) {
      const handler: FrameSourceHandler = {
        onCatalog: catalog => this.#describe(catalog),
        onFrame: (frame, at) => this.#take(frame, at),
        onSkipped: () => {
          this.#skipped += 1
        },
        onError: problem => this.#sourceFailed(problem),
      }
      const source = makers[mode](stream, handler, this.#sizes)
      missing = await source.open()
      if (missing === undefined) {
        this.#source = source
        this.#mode = mode
        this.#rate = source.bitrate === undefined ? undefined : new RateControl(source.bitrate)
        return undefined
      }
    }
    return missing
  }

  /** Where nothing is under way any more, nothing is too much. */
  #follow(): void {
    if (this.#rate === undefined) return
    const { bitrate, isFull } = this.#rate.pace
    this.#source?.follow({ bitrate, isFull: isFull && this.#uplink.figures.unacknowledged > 0 })
  }

  #describe(catalog: Catalog): void {
    this.#catalog = catalog
    const title = this.#title.trim().slice(0, catalogLimits.title)
    this.#uplink.describe(title === '' ? catalog : { ...catalog, title })
  }

  #take(frame: Frame, at: number): void {
    this.#encoded[frame.track.startsWith('audio') ? 'audio' : 'video'] += 1
    this.#bytes += frame.data.byteLength
    const encoded = (performance.now() - at) * 1000
    const capturedAt = Math.round(this.#uplink.link.gatewayTime(at)) as Millis
    this.#uplink.offer({ ...frame, capturedAt, hops: addHops(undefined, { encoded }) }, at)
  }

  #sourceFailed(problem: Problem): void {
    if (isOver(this.#state)) return
    this.#uplink.abandon('the encoder failed')
    this.#end({ kind: 'failed', problem })
  }

  #lost(problem: Problem | undefined): void {
    const kind = this.#state.kind === 'connecting' && !this.#hasSession ? 'connecting' : 'reconnecting'
    this.#enter(problem === undefined ? { kind } : { kind, problem })
  }

  #end(state: PublisherState): void {
    this.#release()
    this.#uplink.link.close()
    this.#enter(state)
  }

  #release(): void {
    this.#thumbnails.stop()
    this.#source?.close()
    for (const track of this.#stream?.getTracks() ?? []) track.stop()
  }

  /** The one place where the state changes; nothing follows an end. */
  #enter(state: PublisherState): void {
    if (isOver(this.#state)) return
    if (state.kind === 'live' && this.#state.kind === 'live') return
    this.#state = state
    this.#onState(state)
  }
}

const isOver = ({ kind }: PublisherState): boolean =>
  kind === 'ended' || kind === 'failed' || kind === 'refused' || kind === 'unsupported'
