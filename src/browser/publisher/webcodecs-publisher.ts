/** The publisher that encodes with WebCodecs: camera and microphone, two encoders, one media clock, one uplink. */
import type { VideoTrack } from '../../media/catalog.ts'
import type { Frame } from '../../media/frame.ts'
import { type BroadcastId, type Millis, micros, trackName } from '../../units.ts'
import { resumeToken, socketUrl, tokenOf } from '../net/address.ts'
import type { Problem } from '../net/link.ts'
import { DeviceError, openDevices } from './devices.ts'
import { readPictures } from './picture-source.ts'
import type { OnPublisherState, Publisher, PublisherFigures, PublisherState } from './publisher.ts'
import { readSamples, type Samples } from './sample-source.ts'
import { SoundEncoding } from './sound-encoding.ts'
import { Uplink } from './uplink.ts'
import { chooseVideoCodec } from './video-codec.ts'
import { VideoEncoding } from './video-encoding.ts'

const names = { video: trackName('video'), audio: trackName('audio') } as const
/** Frames that may wait for the video track's configuration before the first catalog can be written. */
const heldLimit = 256

export class WebCodecsPublisher implements Publisher {
  readonly #onState: OnPublisherState
  readonly #uplink: Uplink
  #state: PublisherState = { kind: 'idle' }
  #stream: MediaStream | undefined
  #videoConfig: VideoEncoderConfig | undefined
  #channels = 0
  #video: VideoEncoding | undefined
  #sound: SoundEncoding | undefined
  #videoTrack: VideoTrack | undefined
  #described = false
  #held: Frame[] = []
  /** Zero of the media clock on the page's, milliseconds; undefined while there is no session. */
  #zero: number | undefined
  #stopSources: (() => void)[] = []
  #encoded = { video: 0, audio: 0 }
  #skipped = 0
  #bytes = 0

  constructor(id: BroadcastId, page: URL, onState: OnPublisherState) {
    this.#onState = onState
    const options = { url: socketUrl(page, id, 'publish'), resume: resumeToken(id), token: tokenOf(page) }
    this.#uplink = new Uplink(options, {
      onSession: () => this.#beginSession(),
      onLive: () => this.#enter({ kind: 'live' }),
      onLost: problem => this.#lost(problem),
      onFailed: problem => this.#end({ kind: 'failed', problem }),
      onKeyframeWanted: () => this.#video?.forceKeyframe(),
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
    return {
      ...this.#uplink.figures,
      encoded: { ...this.#encoded },
      skipped: this.#skipped,
      bytes: this.#bytes,
      codecs: [
        ...(this.#videoTrack === undefined ? [] : [this.#videoTrack.codec]),
        ...(this.#sound === undefined ? [] : ['opus']),
      ],
      ...(roundTrip === undefined ? {} : { roundTrip }),
    }
  }

  async start(): Promise<void> {
    if (this.#state.kind !== 'idle') return
    // Without a secure context there is neither a camera nor a codec: the camera's words say what to do.
    if (isSecureContext && !('VideoEncoder' in globalThis && 'AudioEncoder' in globalThis)) {
      this.#end({ kind: 'unsupported', missing: 'WebCodecs' })
      return
    }
    this.#enter({ kind: 'asking' })
    try {
      this.#stream = await openDevices()
    } catch (error) {
      this.#end({ kind: 'refused', problem: error instanceof DeviceError ? error.problem : 'busy' })
      return
    }
    // The person may have stopped it while the browser asked.
    if (this.state.kind !== 'asking') {
      this.#release()
      return
    }
    this.#enter({ kind: 'connecting' })
    const [camera] = this.#stream.getVideoTracks()
    if (camera !== undefined && !(await this.#chooseCodec(camera))) return
    this.#uplink.open()
    if (camera !== undefined) {
      camera.addEventListener('ended', () => void this.stop())
      this.#stopSources.push(readPictures(camera, (frame, at) => this.#takePicture(frame, at)))
    }
    const [microphone] = this.#stream.getAudioTracks()
    if (microphone !== undefined) {
      this.#channels = Math.min(2, microphone.getSettings().channelCount ?? 1)
      this.#stopSources.push(readSamples(microphone, samples => this.#takeSamples(samples)))
    }
  }

  async stop(): Promise<void> {
    if (isOver(this.#state)) return
    for (const stop of this.#stopSources) stop()
    this.#stopSources = []
    await Promise.all([this.#video?.flush(), this.#sound?.flush()])
    await this.#uplink.finish('the publisher stopped')
    this.#end({ kind: 'ended' })
  }

  abandon(): void {
    if (isOver(this.#state)) return
    this.#uplink.abandon('the publisher left')
    this.#end({ kind: 'ended' })
  }

  async #chooseCodec(camera: MediaStreamTrack): Promise<boolean> {
    const { width = 640, height = 360, frameRate = 30 } = camera.getSettings()
    const format = { width: width & ~1, height: height & ~1, frameRate: Math.max(1, Math.round(frameRate)) }
    this.#videoConfig = await chooseVideoCodec(format)
    if (this.state.kind !== 'connecting') return false
    if (this.#videoConfig !== undefined) return true
    this.#end({ kind: 'unsupported', missing: 'a video encoder that keeps up with the camera' })
    return false
  }

  /** Media time begins anew near zero, and so do the encoders: their first frames are keyframes. */
  #beginSession(): void {
    this.#video?.close()
    this.#sound?.close()
    this.#sound = undefined
    this.#videoTrack = undefined
    this.#described = false
    this.#held = []
    this.#zero = performance.now()
    this.#video = this.#videoConfig && this.#newVideoEncoding(this.#videoConfig)
    if (this.#video === undefined) this.#describe()
  }

  #newVideoEncoding(config: VideoEncoderConfig): VideoEncoding {
    return new VideoEncoding(names.video, config, {
      onTrack: track => {
        this.#videoTrack = track
        this.#describe()
      },
      onFrame: frame => this.#takeFrame(frame, 'video'),
      onError: error => this.#encoderFailed(error),
    })
  }

  #describe(): void {
    const audio = this.#channels > 0 ? [SoundEncoding.describe(names.audio, this.#channels)] : []
    const video = this.#videoTrack === undefined ? [] : [this.#videoTrack]
    this.#uplink.describe({ version: 1, tracks: [...video, ...audio] })
    this.#described = true
    const held = this.#held
    this.#held = []
    for (const frame of held) this.#uplink.offer(frame)
  }

  #takePicture(picture: VideoFrame, at: number): void {
    if (this.#zero !== undefined && at >= this.#zero) {
      if (this.#video?.encode(picture, micros((at - this.#zero) * 1000)) !== true) this.#skipped += 1
    }
    picture.close()
  }

  #takeSamples(samples: Samples): void {
    if (this.#zero === undefined || samples.at < this.#zero) return
    const [first] = samples.planes
    const planes = Array.from({ length: this.#channels }, (_, i) => samples.planes[i] ?? first).filter(
      plane => plane !== undefined,
    )
    const taken = { ...samples, planes }
    if (this.#sound?.takes(taken) === false) {
      this.#sound.close()
      this.#sound = undefined
    }
    this.#sound ??= new SoundEncoding(names.audio, samples.rate, this.#channels, {
      onFrame: frame => this.#takeFrame(frame, 'audio'),
      onError: error => this.#encoderFailed(error),
    })
    this.#sound.encode(taken, micros((samples.at - this.#zero) * 1000))
  }

  #takeFrame(frame: Frame, track: 'video' | 'audio'): void {
    if (this.#zero === undefined) return
    const at = this.#zero + frame.timestamp / 1000
    const stamped = { ...frame, capturedAt: Math.round(this.#uplink.link.gatewayTime(at)) as Millis }
    this.#bytes += frame.data.byteLength
    if (this.#described) {
      this.#encoded[track] += 1
      this.#uplink.offer(stamped)
    } else if (this.#held.length < heldLimit) {
      this.#encoded[track] += 1
      this.#held.push(stamped)
    }
  }

  #encoderFailed(error: DOMException): void {
    if (isOver(this.#state)) return
    this.#uplink.abandon('the encoder failed')
    const { name, message } = error
    this.#end({ kind: 'failed', problem: { code: name, message, advice: '', retryable: false } })
  }

  #lost(problem: Problem | undefined): void {
    const kind = this.#state.kind === 'connecting' && this.#zero === undefined ? 'connecting' : 'reconnecting'
    this.#enter(problem === undefined ? { kind } : { kind, problem })
  }

  #end(state: PublisherState): void {
    this.#release()
    this.#uplink.link.close()
    this.#enter(state)
  }

  #release(): void {
    for (const stop of this.#stopSources) stop()
    this.#stopSources = []
    this.#video?.close()
    this.#sound?.close()
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
